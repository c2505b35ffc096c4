"""Folders of images: `train/ val/ test/` with a folder a class, or one folder with a folder a class.

Labels go by the class's name, never by its place in whatever a split happens to hold.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from convscope.data.listing import WHOLE, Found, Listing, identity_of
from convscope.data.records import SPLITS
from convscope.data.sources.measure import FileReader, typical_image
from convscope.data.sources.walk import IMAGE_ENDINGS, Walk, is_hidden
from convscope.errors import DataError, did_you_mean
from convscope.files.regular import explain_os_error
from convscope.report.units import plural

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
LAYOUT = "a folder for each class, or train/, val/ and test/ with a folder for each class"


def list_folder(source: str, *, to_learn: bool = True) -> Listing:
    """Everything that a folder of images holds, in a fixed order; raises DataError where it can't be trained on.

    Where nothing is to be learned from it, a class may have no image, and there may be one class alone.
    """
    root = Path(source)
    notes: list[str] = []
    folders = _class_folders_of_splits(root, notes)
    classes = _classes(root, folders, to_learn=to_learn)
    walks = {split: Walk() for split in folders}
    found = {split: _collect(walks[split], folders[split]) for split in folders}
    learned = WHOLE if WHOLE in folders else "train"
    for name in classes:
        # Of images to measure, one of any class is enough.
        if not found[learned].get(name) and (to_learn or not any(found[learned].values())):
            raise DataError(_no_images(folders[learned][name], walks[learned]))
    for split, by_class in found.items():
        missing = [name for name in classes if not by_class.get(name)]
        if missing:
            notes.append(f"{'it' if split == WHOLE else split} has no images of {_few(missing)}")
    notes.extend(_notes_on(walks.values()))

    files: list[Found] = []
    labels: list[int] = []
    parts: dict[str, int] = {}
    for split, by_class in found.items():
        start = len(files)
        for label, name in enumerate(classes):
            here = sorted(by_class.get(name, ()))
            files.extend(here)
            labels.extend([label] * len(here))
        parts[split] = len(files) - start
    size, channels = typical_image([file.path for file in files])
    return Listing(
        source=source,
        kind="folder",
        classes=classes,
        parts=parts,
        labels=np.array(labels, dtype=np.int64),
        names=[file.path for file in files],
        read=FileReader([file.path for file in files]),
        identity=identity_of(source, files),
        image_size=size,
        channels=channels,
        problems=tuple(problem for walk in walks.values() for problem in walk.problems),
        notes=tuple(notes),
    )


def _subfolders(folder: Path) -> dict[str, str]:
    """The folders in a folder that aren't hidden, name to path, in order of their names."""
    try:
        with os.scandir(folder) as entries:
            return {entry.name: entry.path for entry in sorted(entries, key=lambda e: e.name) if _is_folder(entry)}
    except OSError as error:
        raise DataError(f"{folder}: {explain_os_error(error)}") from None


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return not is_hidden(entry.name) and entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _class_folders_of_splits(root: Path, notes: list[str]) -> dict[str, dict[str, str]]:
    """split -> class name -> its folder. The one key is WHOLE where the folder has no splits."""
    below = _subfolders(root)
    splits: dict[str, str] = {}
    for name, path in below.items():
        split = SPLIT_NAMES.get(name.casefold())
        if split is not None:
            if split in splits:
                raise DataError(f"{root} has both {Path(splits[split]).name}/ and {name}/ for one split: keep one")
            splits[split] = path
    if not splits:
        _note_loose_images(root, notes)
        return {WHOLE: _by_class_name(root, below)}
    if "train" not in splits:
        there = " and ".join(f"{Path(splits[split]).name}/" for split in SPLITS if split in splits)
        raise DataError(f"{root} has {there} but no train/: name the folder of training images train")
    extra = [name for name in below if SPLIT_NAMES.get(name.casefold()) is None]
    if extra:
        notes.append(f"beside train/, these folders were not read: {_few(extra)}")
    ordered = {split: Path(splits[split]) for split in SPLITS if split in splits}
    for folder in ordered.values():
        _note_loose_images(folder, notes)
    return {split: _by_class_name(folder, _subfolders(folder)) for split, folder in ordered.items()}


def _by_class_name(folder: Path, below: dict[str, str]) -> dict[str, str]:
    """Class name (NFC) -> folder; raises DataError for names that a disk or an eye can't tell apart."""
    named: dict[str, str] = {}
    folded: dict[str, str] = {}
    for name, path in below.items():
        try:
            name.encode()
        except UnicodeEncodeError:
            raise DataError(f"class folder {path} has a name that is not UTF-8: rename it") from None
        composed = unicodedata.normalize("NFC", name)
        key = unicodedata.normalize("NFC", composed.casefold())
        if key in folded:
            raise DataError(
                f"{folder} has two class folders whose names differ in case or accents only, "
                f"{folded[key]!r} and {name!r}: rename or merge them"
            )
        folded[key] = name
        named[composed] = path
    return named


def _classes(root: Path, folders: dict[str, dict[str, str]], *, to_learn: bool) -> tuple[str, ...]:
    """The classes, in order of their names: those of the training images; every other split may only hold these."""
    whole = WHOLE in folders
    learned = folders[WHOLE if whole else "train"]
    where = root if whole else root / "train"
    if not learned:
        raise DataError(_no_class_folders(where))
    if len(learned) == 1:
        only = next(iter(learned))
        inner = _subfolders(Path(learned[only]))
        if any(SPLIT_NAMES.get(name.casefold()) == "train" for name in inner) or (whole and len(inner) > 1):
            raise DataError(f"{where} holds only the folder {only!r}: did you mean {Path(learned[only])}?")
        if to_learn:
            raise DataError(f"{where} has one class only, {only!r}: a classifier needs the folders of two or more")
    for split, by_class in folders.items():
        strangers = [name for name in by_class if name not in learned]
        if strangers:
            near = did_you_mean(strangers[0], learned)
            raise DataError(f"{root}: {split} holds classes that train does not: {_few(strangers)}.{near}")
    return tuple(sorted(learned))


def _no_class_folders(where: Path) -> str:
    loose = _loose_images(where)
    if loose:
        return f"{where} holds {plural(loose, 'image')} but no class folders: put them into {LAYOUT}"
    if not any(where.iterdir()):
        return f"{where} is empty: what is needed is {LAYOUT}"
    return f"{where} has no class folders: what is needed is {LAYOUT}"


def _no_images(folder: str, walk: Walk) -> str:
    others = f" (it holds {_count_endings(walk.passed_over)})" if walk.passed_over else ""
    return f"class folder {folder} has no images{others}: add some or remove the folder"


def _collect(walk: Walk, folders: dict[str, str]) -> dict[str, list[Found]]:
    """Class name -> its files, in one split."""
    found = {name: walk.collect(path) for name, path in folders.items()}
    walk.follow_links()
    return found


def _loose_images(folder: Path) -> int:
    """Images that lie in a folder itself."""
    with os.scandir(folder) as entries:
        return sum(
            not is_hidden(entry.name)
            and entry.name.rpartition(".")[2].lower() in IMAGE_ENDINGS
            and entry.is_file(follow_symlinks=False)
            for entry in entries
        )


def _note_loose_images(folder: Path, notes: list[str]) -> None:
    count = _loose_images(folder)
    if count:
        notes.append(f"outside any class folder, and not read: {plural(count, 'image')} in {folder}")


def _notes_on(walks: Iterable[Walk]) -> Iterator[str]:
    for walk in walks:
        if walk.passed_over:
            yield f"not read, being no images by their names: {_count_endings(walk.passed_over)}"
        if walk.linked_twice:
            yield f"not counted again: {plural(walk.linked_twice, 'link')} to images that were counted already"


def _count_endings(endings: dict[str, int]) -> str:
    return f"{plural(sum(endings.values()), 'file')} ({', '.join(sorted(endings)[:5])})"


def _few(names: list[str]) -> str:
    """Up to five names, and how many more there are."""
    shown = ", ".join(names[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown
