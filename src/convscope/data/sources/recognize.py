"""Recognize the layout of a folder by the names and the content of its folders.

If two layouts are possible the folder is refused, with the setting for each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from convscope.data.layout import SPLITS, is_split_name, split_in_name, words_beside_split
from convscope.data.sources.hints import hint
from convscope.data.sources.reading import Reading, by_class_first, by_classes, by_splits
from convscope.data.sources.split_folders import (
    find_splits,
    is_beside,
    lack_of_train,
    loose_images,
    named_alike,
    option_of,
    unwrapped,
)
from convscope.data.sources.tree import Branch
from convscope.errors import DataError
from convscope.report.printable import few, shell_quote
from convscope.report.usage import settings_text


def recognized(root: Branch) -> Reading:
    """Return the reading of a folder whose layout is auto.

    Raises:
        DataError: two readings are possible, or none is.
    """
    inner = _innermost(root)
    reading = _recognized(inner)
    if inner is root:
        return reading
    note = f"layout: images are read from {inner.shown}, all that {root.shown} holds"
    return replace(reading, notes=(note, *reading.notes))


def _innermost(root: Branch) -> Branch:
    """Return the folder to recognize: the only folder inside, repeatedly, unless it is a split that holds no splits."""
    outer = root if len(root.below) == 1 and split_in_name(root.below[0].name) else unwrapped(root)
    if outer.has_classes and len(outer.below) == 1:
        alone = outer.below[0]
        splits = {split_in_name(inner.name) for inner in alone.below if _class_names(inner)}
        if alone.has_classes and None not in splits and len(splits) > 1:
            return alone
    return outer


def has_class_folders(root: Branch) -> bool:
    """Return whether a folder with a table or shards in it is read by its class folders.

    It is if it has several folders with images, except splits without class folders: the table lists their images.
    """
    chosen = find_splits(root)
    if chosen:
        return any(unwrapped(branch).below for branch in chosen.values()) or len(root.below) > len(chosen)
    return len(root.below) > 1


def _recognized(root: Branch) -> Reading:
    if _holds_plain_splits(root.below) and _is_class_first(root):
        return by_class_first(root)
    chosen = find_splits(root)
    if "train" in chosen:
        train = unwrapped(chosen["train"])
        # Images in the folder itself are loose beside class folders of train/, or those of a class called train.
        if train.has_classes or (train.below and is_split_name(chosen["train"].name)):
            _refuse_splits_that_could_be_classes(root, chosen)
            _refuse_splits_below_classes(train)
            return by_splits(root)
    elif reading := _without_train(root, chosen):
        return reading
    _refuse_splits_without_classes(root)
    if _is_class_first(root):
        return by_class_first(root)
    if alike := named_alike(root.below):
        raise _two_ways(
            root,
            f"as {len(root.below)} parts of the classes {few(sorted(alike))} "
            f"(add {settings_text(layout='groups')} to read them together, or {_option_of_parts(root.below)})",
            _as_classes(root),
        )
    _refuse_splits_in_classes(root)
    reading = by_classes(root)
    if alone := [branch.name for branch in root.below if is_split_name(branch.name)]:
        note = f"layout: {few(alone)}/ is read as a class, for it holds images and no class folders"
        return replace(reading, notes=(note, *reading.notes))
    return reading


def _refuse_splits_that_could_be_classes(root: Branch, chosen: dict[str, Branch]) -> None:
    """Raise DataError if folders named as splits could be classes of these names."""
    plain = {split for split, branch in chosen.items() if is_split_name(branch.name)}
    others = [branch for branch in root.below if branch not in chosen.values() and not is_beside(branch)]
    sure = "train" in plain and len(plain) > 1
    learned = _class_names(chosen["train"])
    if others and not sure:
        _refuse_splits(root, chosen, learned)
    for split, branch in chosen.items():
        names = _class_names(branch)
        if split not in plain and names and 2 * len(names & learned) < min(len(names), len(learned)):
            _refuse_splits(root, chosen, learned)


def _refuse_splits_below_classes(train: Branch) -> None:
    """Raise DataError if most class folders of the training images contain splits again."""
    signed = [branch for branch in train.below if len(_splits_in(branch)) > 1]
    if 2 * len(signed) > len(train.below):
        there = " and ".join(f"{inner.name}/" for inner in signed[0].below if split_in_name(inner.name))
        raise DataError(
            f"{signed[0].path} holds {there}: give {shell_quote(train.path)} to read these as splits, or add "
            f"{settings_text(layout='splits')} to read all images below each class folder as training images"
        )


def _class_names(branch: Branch) -> frozenset[str]:
    """Return the classes in a split's folder; none if its images are not in class folders."""
    return unwrapped(branch).names_below if loose_images(branch) is None else frozenset()


def _refuse_splits(root: Branch, chosen: dict[str, Branch], learned: frozenset[str]) -> None:
    said = ", ".join(f"{split} in {branch.name}/" for split, branch in chosen.items())
    raise _two_ways(
        root,
        f"as splits ({said}) of the classes {few(sorted(learned))} (add {settings_text(layout='splits')})",
        _as_classes(root),
    )


def _without_train(root: Branch, chosen: dict[str, Branch]) -> Reading | None:
    """Raise DataError if a folder named as val or test holds class folders, as there is no train."""
    held = {split: branch for split, branch in chosen.items() if _class_names(branch)}
    if not held:
        return None
    names = _class_names(next(iter(held.values())))
    others = [branch for branch in root.below if branch not in chosen.values()]
    alike = [branch for branch in others if 2 * len(_class_names(branch) & names) >= len(names)]
    if len(alike) == 1:
        named = [("train", alike[0]), *held.items()]
        option = option_of((split, _path_below(root, unwrapped(branch))) for split, branch in named)
        way = f"as splits of the classes {few(sorted(names))} (add {option})"
        raise _two_ways(root, way, _as_classes(root))
    if any(is_split_name(branch.name) for branch in held.values()):
        if others:
            said = [("train", "FOLDER"), *((split, branch.name) for split, branch in held.items())]
            raise DataError(
                f"{root.shown} has {lack_of_train(root)}: say which folder it is ({option_of(said)}), or read all "
                f"{_as_classes(root)}"
            )
        return by_splits(root)  # which says that there is no train/
    return None


def _refuse_splits_without_classes(root: Branch) -> None:
    """Raise DataError if there are only splits without class folders."""
    named = [branch for branch in root.below if split_in_name(branch.name)]
    others = [branch for branch in root.below if branch not in named and not is_beside(branch)]
    beside = [words_beside_split(branch.name) for branch in named]
    if named and (not others or len(set(beside)) < len(beside)) and not _is_split_inside(root.below):
        held = " and ".join(f"{branch.name}/" for branch in named[:3])
        usual = ": put the images into a folder for each class, or give a CSV file with their labels"
        found = hint(root.path, *(branch.path for branch in named)) or usual
        raise DataError(
            f"{root.shown}: no class folders in {held}{found}; "
            f"if {_names_of(root)} are the classes: {settings_text(layout='classes')}"
        )


def _refuse_splits_in_classes(root: Branch) -> None:
    """Raise DataError if a folder that would be a class holds a split with class folders in it."""
    found = [(split, inner) for branch in root.below for split, inner in _splits_with_classes(branch)]
    if not found:
        return
    named = [(split, _path_below(root, inner)) for split, inner in found]
    said = ", ".join(f"{split} in {path}/" for split, path in named[:5])
    if all(split != "train" for split, _ in named):
        named.insert(0, ("train", "FOLDER"))
    learned = sorted(frozenset().union(*(_class_names(inner) for _, inner in found)))
    raise _two_ways(
        root, f"as splits ({said}) of the classes {few(learned)} (add {option_of(named[:5])})", _as_classes(root)
    )


def _splits_with_classes(branch: Branch) -> list[tuple[str, Branch]]:
    """Return the folders in a folder, or in the only one in it, that are named as splits and hold class folders."""
    while True:
        found = [(split_in_name(inner.name), inner) for inner in branch.below if _class_names(inner)]
        splits = [(split, inner) for split, inner in found if split]
        if splits or branch.images or len(branch.below) != 1:
            return splits
        branch = branch.below[0]


def _is_split_inside(branches: Sequence[Branch]) -> bool:
    return any(len(_splits_in(branch)) > 1 for branch in branches)


def _holds_plain_splits(branches: Sequence[Branch]) -> bool:
    """Return whether each folder holds at least two splits and nothing else, and is no split itself."""
    names = [[inner.name for inner in unwrapped(branch).below] for branch in branches]
    plain = all(len(inner) > 1 and all(map(is_split_name, inner)) for inner in names)
    return bool(branches) and plain and not all(is_split_name(branch.name) for branch in branches)


def _splits_in(branch: Branch) -> set[str]:
    """Return the splits in a folder, or in the only one in it, by their names."""
    return {split for inner in unwrapped(branch).below if (split := split_in_name(inner.name))}


def _is_class_first(root: Branch) -> bool:
    """Return whether each folder holds splits; raises DataError if only some do, or if splits hold class folders."""
    signed = [branch for branch in root.below if len(_splits_in(branch)) > 1]
    if not signed:
        return False
    first = unwrapped(signed[0])
    there = " and ".join(f"{inner.name}/" for inner in first.below if split_in_name(inner.name))
    here = f"{first.shown} holds {there}"
    alone = f"give {shell_quote(first.path)} to read it alone"
    without = [branch.name for branch in root.below if "train" not in _splits_in(branch)]
    if without:
        raise DataError(f"{here}, and no train/ is in {few(without)}: {alone}, or read all {_as_classes(root)}")
    if first is not signed[0] or all(_class_names(find_splits(branch)["train"]) for branch in root.below):
        raise DataError(
            f"{here} with class folders in them: {alone}, or {settings_text(layout='class-first')} to read "
            f"{_names_of(root)} as classes"
        )
    return True


def _names_of(root: Branch) -> str:
    return few(branch.name for branch in root.below)


def _as_classes(root: Branch) -> str:
    return f"as the classes {_names_of(root)} (add {settings_text(layout='classes')})"


def _option_of_parts(parts: Sequence[Branch]) -> str:
    """Return the layout that assigns each part by the split in its name, or else the last part to test."""
    if len(parts) > 5:
        return f"{settings_text(layout='train=...,train=...,test=...')} to test on some of them"
    named = [(_split_at_an_end(part.name) or "train", part.name) for part in parts]
    if len(dict(named)) == 1:
        named[-1] = ("test", parts[-1].name)
    return option_of(named)


def _split_at_an_end(name: str) -> str | None:
    folded = name.casefold()
    return next((split for split in SPLITS if folded.startswith(split) or folded.endswith(split)), None)


def _path_below(root: Branch, branch: Branch) -> str:
    return branch.path[len(root.path) :].lstrip("/")


def _two_ways(root: Branch, first: str, second: str) -> DataError:
    return DataError(f"{root.shown} can be read in two ways: {first}, or {second}")
