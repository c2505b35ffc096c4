"""Folders of images for the benches."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path


def read_once(folder: Path) -> None:
    """Read every file, so that the first run does not wait for the disk either."""
    for file in folder.rglob("*"):
        if file.is_file():
            file.read_bytes()


def some_of(folder: Path, place: Path, images: int) -> Path:
    """Return a copy of train/ and test/ with `images` training images, a fifth as many test images, and all classes."""
    for split, count in (("train", images), ("test", images // 5)):
        classes = sorted(entry for entry in (folder / split).iterdir() if entry.is_dir())
        for each in classes:
            copied = place / split / each.name
            copied.mkdir(parents=True)
            for file in sorted(each.iterdir())[: max(1, count // len(classes))]:
                shutil.copy(file, copied)
    return place


def reference_set(name: str, folder: Path | None, work: Path, *, images: int | None = None) -> Path | None:
    """Return the folder of a set: one of `folder`, or of the grey crops, which are made; None where there is none.

    With `images`, a copy of that many training images. What is made is kept in `work`, complete or not at all.
    """
    if name == "grey-crops":
        script = Path(__file__).parents[1] / "grey_crops.py"
        whole = _made(work / name, lambda begun: subprocess.run([sys.executable, script, begun], check=True))
    elif folder is not None and (folder / name / "train").is_dir():
        whole = folder / name
    else:
        return None
    return _made(work / f"{name}-{images}", lambda begun: some_of(whole, begun, images)) if images else whole


def _made(folder: Path, make: Callable[[Path], object]) -> Path:
    """Return a folder, which is made unless it is there."""
    if not folder.is_dir():
        begun = folder.with_name("begun")
        shutil.rmtree(begun, ignore_errors=True)
        begun.parent.mkdir(parents=True, exist_ok=True)
        make(begun)
        begun.rename(folder)
    return folder
