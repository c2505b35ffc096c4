"""Folders of images for the benches."""

from __future__ import annotations

import shutil
from pathlib import Path


def read_once(folder: Path) -> None:
    """Read every file, so that whoever comes first does not wait for the disk alone."""
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
