"""The roles of a source's folders (split, class or neither) by a given layout."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from convscope.data.class_names import look_alikes
from convscope.data.layout import BY_CLASSES, BY_SPLITS, CLASS_FIRST, GROUPS, SPLITS, Layout
from convscope.data.listing import WHOLE
from convscope.data.sources.hints import hint
from convscope.data.sources.split_folders import find_splits, lack_of_train, loose_images, unwrapped
from convscope.data.sources.tree import Branch
from convscope.errors import DataError
from convscope.report.printable import few
from convscope.report.units import plural
from convscope.report.usage import call_text, settings_text

LAYOUT = "a folder for each class, or train/, val/ and test/ with a folder for each class"


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The roles of the folders below `root`.

    `classes` holds the folders of each class of each split; the only split is WHOLE if the source has none. `holders`
    are the folders that contain a split's class folders. `notes` list assumptions and skipped folders.
    """

    root: Branch
    layout: Layout
    classes: dict[str, dict[str, list[str]]]
    holders: dict[str, list[Branch]]
    notes: tuple[str, ...] = ()

    @property
    def learned(self) -> str:
        """The split whose classes are learned."""
        return WHOLE if WHOLE in self.classes else "train"


def read_by(root: Branch, layout: Layout) -> Reading:
    """Read the folders below `root` by a layout other than auto; raises DataError if it does not fit."""
    readings = {BY_SPLITS: by_splits, BY_CLASSES: by_classes, CLASS_FIRST: by_class_first, GROUPS: by_groups}
    if layout.folders:
        return by_names(root, layout)
    return readings[layout.word](root)


def by_classes(root: Branch) -> Reading:
    """Return the reading in which each folder is a class."""
    return _reading(root, Layout(word=BY_CLASSES), {WHOLE: [root]}, list(_loose([root])))


def by_groups(root: Branch) -> Reading:
    """Return the reading in which each folder holds class folders, and all are read together."""
    notes = [*_loose([root, *root.below])]
    if not root.below:
        raise DataError(no_classes(root))
    return _reading(root, Layout(word=GROUPS), {WHOLE: list(root.below)}, notes)


def by_splits(root: Branch) -> Reading:
    """Return the reading in which the folders are splits by their names, with class folders in them."""
    chosen = find_splits(root)
    if "train" not in chosen:
        there = " and ".join(f"{branch.name}/" for branch in chosen.values())
        lack = lack_of_train(root)
        has = (
            f"has {there} but {lack}"
            if chosen
            else "has no folder named train/"
            if lack == "no train/"
            else f"has {lack}"
        )
        do = "name the folder of training images train" if lack == "no train/" else "put the training images there"
        raise DataError(f"{root.shown} {has}: {do}, or {settings_text(layout='train=FOLDER')}")
    holders: dict[str, list[Branch]] = {}
    notes: list[str] = []
    for split, branch in chosen.items():
        without_class = loose_images(branch) if split != "train" else None
        if without_class is None:
            holders[split] = [unwrapped(branch)]
        else:
            notes.append(
                f"{split}: {plural(without_class.images, 'image')} in {without_class.shown} not read: they "
                f"lie in no class folder, so nothing can be measured on them ({call_text('predict')} takes them)"
            )
    if any(branch.name != split for split, branch in chosen.items()) or _stepped(chosen, holders):
        said = ", ".join(f"{split} in {_below(root, held[0])}/" for split, held in holders.items())
        notes.insert(0, f"layout: splits, {said} (to read the folders as classes: {settings_text(layout='classes')})")
    beside = [branch.name for branch in root.below if branch not in chosen.values()]
    if beside:
        notes.append(f"beside {_below(root, chosen['train'])}/, these folders were not read: {few(beside)}")
    notes += _loose([held[0] for held in holders.values()])
    return _reading(root, Layout(word=BY_SPLITS), holders, notes)


def by_class_first(root: Branch) -> Reading:
    """Return the reading in which each folder is a class, with a folder for each split in it."""
    classes: dict[str, dict[str, list[str]]] = {split: {} for split in SPLITS}
    beside: list[str] = []
    for name, (branch,) in _by_class_name(root.below).items():
        chosen = find_splits(branch)
        if "train" not in chosen:
            raise DataError(f"{branch.shown} has no train/ in it, as the layout class-first needs")
        for split, inner in chosen.items():
            classes[split][name] = [inner.path]
        beside += [f"{name}/{inner.name}" for inner in branch.below if inner not in chosen.values()]
    there = {split: found for split, found in classes.items() if found}
    if not there:
        raise DataError(no_classes(root))
    _refuse_look_alikes(there["train"], root)
    said = ", ".join(f"{split}/" for split in there)
    notes = [
        f"layout: class-first, a folder for each class with {said} in it (otherwise: {settings_text(layout='classes')})"
    ]
    if beside:
        notes.append(f"beside the splits of a class, these folders were not read: {few(beside)}")
    notes += _loose([root, *root.below])
    return Reading(
        root=root, layout=Layout(word=CLASS_FIRST), classes=there, holders={"train": [root]}, notes=tuple(notes)
    )


def by_names(root: Branch, layout: Layout) -> Reading:
    """Return the reading of a layout that names the folders of each split; raises DataError if one is missing."""
    holders: dict[str, list[Branch]] = {}
    for split in SPLITS:
        for other, folder in layout.folders:
            if other == split:
                path = Path(root.path, folder)
                if not path.is_dir():
                    raise DataError(f"layout {str(layout)!r}: there is no folder {path}")
                holders.setdefault(split, []).append(Branch(str(path)))
    notes = list(_loose([held for found in holders.values() for held in found]))
    named = frozenset(PurePath(folder) for _, folder in layout.folders)
    if beside := list(_not_named(root, root, named)):
        notes.insert(0, f"not named in the layout, and not read: {few(beside)}")
    return _reading(root, layout, holders, notes)


def _not_named(root: Branch, branch: Branch, named: frozenset[PurePath]) -> Iterator[str]:
    """Return the folders with images that a layout does not cover."""
    for inner in branch.below:
        path = PurePath(_below(root, inner))
        if path in named:
            continue
        if any(other.is_relative_to(path) for other in named):
            yield from _not_named(root, inner, named)
        else:
            yield str(path)


def _reading(root: Branch, layout: Layout, holders: dict[str, list[Branch]], notes: list[str]) -> Reading:
    classes = {split: _classes_of(held) for split, held in holders.items()}
    return Reading(root=root, layout=layout, classes=classes, holders=holders, notes=tuple(notes))


def _classes_of(holders: Sequence[Branch]) -> dict[str, list[str]]:
    """Return the paths of class folders in some folders, by class name."""
    found: dict[str, list[str]] = {}
    for holder in holders:
        for name, (branch,) in _by_class_name(holder.below).items():
            found.setdefault(name, []).append(branch.path)
    _refuse_look_alikes(found, holders[0])
    return found


def _by_class_name(branches: Iterable[Branch]) -> dict[str, list[Branch]]:
    """Return the folders in a folder by class name (NFC); raises DataError if two have the same name."""
    named: dict[str, list[Branch]] = {}
    for branch in branches:
        try:
            # The bytes, for they are UTF-8 in a locale of another encoding as well.
            name = os.fsencode(branch.name).decode()
        except UnicodeDecodeError:
            raise DataError(f"class folder {branch.shown} has a name that is not UTF-8: rename it") from None
        named.setdefault(unicodedata.normalize("NFC", name), []).append(branch)
    for found in named.values():
        if len(found) > 1:
            raise _look_alike(Path(found[0].path).parent, found[0].name, found[1].name)
    return named


def _refuse_look_alikes(names: Iterable[str], holder: Branch) -> None:
    """Raise DataError for class names that differ only in case or in look-alike characters."""
    for first, second in look_alikes(names):
        raise _look_alike(Path(holder.path), first, second)


def _look_alike(folder: Path, first: str, second: str) -> DataError:
    return DataError(
        f"{folder} has two class folders whose names differ in case or accents only, "
        f"{first!r} and {second!r}: rename or merge them"
    )


def _stepped(chosen: Mapping[str, Branch], holders: Mapping[str, Sequence[Branch]]) -> bool:
    return any(held[0] is not chosen[split] for split, held in holders.items())


def _below(root: Branch, branch: Branch) -> str:
    return str(Path(branch.path).relative_to(root.path))


def _loose(branches: Iterable[Branch]) -> Iterator[str]:
    """Note the number of images outside class folders."""
    loose = {branch.shown: branch.images for branch in branches if branch.images}
    if len(loose) > 3:
        yield f"outside any class folder, and not read: {plural(sum(loose.values()), 'image')} in {len(loose)} folders"
        return
    for path, count in loose.items():
        yield f"outside any class folder, and not read: {plural(count, 'image')} in {path}"


def no_classes(where: Branch) -> str:
    """Return the error for a folder without class folders that hold images."""
    if where.images:
        count = plural(where.images, "image")
        return f"{where.shown} holds {count} but no class folders{hint(where.path) or f': put them into {LAYOUT}'}"
    try:
        is_empty = not any(Path(where.path).iterdir())
    except OSError as error:
        return f"{where.shown} can't be read: {error.strerror}"
    found = "is empty" if is_empty else "has no class folders"
    if where.folders:
        found = f"has no class folders with images (found: {few(branch.name for branch in where.folders)})"
    return f"{where.shown} {found}: what is needed is {LAYOUT}"
