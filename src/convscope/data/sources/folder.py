"""Folders of images as a data source, in the layouts of `convscope.data.layout`.

Labels follow the class's name, never its position among a split's folders.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from convscope.data.layout import AUTO, Layout
from convscope.data.listing import WHOLE, ListedFile, Listing, class_order, identity_of
from convscope.data.sources.hints import hint
from convscope.data.sources.measure import FileReader, typical_image
from convscope.data.sources.reading import Reading, no_classes, read_by
from convscope.data.sources.recognize import recognized
from convscope.data.sources.tree import Branch
from convscope.data.sources.walk import Walk, folders_around
from convscope.errors import DataError, did_you_mean
from convscope.report.printable import few
from convscope.report.units import plural

# Files of these kinds lie beside images; a folder that holds others alone may be a class whose images can't be read.
_TEXTS = "txt md rst csv tsv json jsonl xml yaml yml toml html htm pdf log ini py ipynb sh"
_ARCHIVES = "zip tar gz tgz 7z rar db h5 hdf5 pt pth onnx safetensors pkl"
_BESIDE_IMAGES = frozenset(_TEXTS.split()) | frozenset(_ARCHIVES.split())


def list_folder(
    root: Branch, *, layout: Layout | None = None, to_learn: bool = True, earlier: tuple[str, ...] = ()
) -> Listing:
    """Return the listing of a folder of images, in a fixed order.

    Args:
        root: the folder.
        layout: what its folders are; None recognizes it.
        to_learn: whether it must hold what a training needs; else one class alone will do, and may have no image.
        earlier: the classes of a run, in whose order they are listed where they are the same.

    Raises:
        DataError: it can't be trained on, or two layouts are possible.
    """
    reading = recognized(root) if layout is None or layout.word == AUTO else read_by(root, layout)
    source = reading.root.path
    notes = [*reading.notes, *_notes_on_empty(reading, to_learn=to_learn)]
    classes = _classes(reading, to_learn=to_learn, earlier=earlier)
    walks = {split: Walk(around=_around(reading, split)) for split in reading.classes}
    found = {split: _collect(walks[split], folders) for split, folders in reading.classes.items()}
    learned = found[reading.learned]
    for name in classes:
        # Of images to measure, one of any class is enough.
        if not learned[name] and (to_learn or not any(learned.values())):
            raise DataError(f"class folder {reading.classes[reading.learned][name][0]} has no images")
    for split, by_class in found.items():
        missing = [name for name in classes if not by_class.get(name)]
        if missing:
            notes.append(f"{'it' if split == WHOLE else split} has no images of {few(missing)}")
    notes.extend(_notes_on(walks.values()))
    notes.extend(_notes_on_circles((root, reading.root), reading, walks.values()))

    files: list[ListedFile] = []
    labels: list[int] = []
    parts: dict[str, int] = {}
    for split, by_class in found.items():
        start = len(files)
        for label, name in enumerate(classes):
            here = sorted(by_class.get(name, ()))
            files.extend(here)
            labels.extend([label] * len(here))
        parts[split] = len(files) - start
    paths = [file.path for file in files]
    size, channels = typical_image(paths)
    return Listing(
        source=source,
        kind="folder",
        classes=classes,
        parts=parts,
        labels=np.array(labels, dtype=np.int64),
        names=paths,
        read=FileReader(paths),
        identity=identity_of(source, files),
        image_size=size,
        channels=channels,
        problems=tuple(problem for walk in walks.values() for problem in walk.problems),
        notes=tuple(notes),
        layout=str(reading.layout),
    )


def _classes(reading: Reading, *, to_learn: bool, earlier: tuple[str, ...]) -> tuple[str, ...]:
    """Return the classes in order: those of the training images, to which every other split is limited."""
    root, learned = reading.root, reading.classes[reading.learned]
    where = reading.holders[reading.learned][0]
    if not learned:
        raise DataError(no_classes(where))
    if len(learned) == 1 and to_learn:
        only = next(iter(learned))
        but = f" (no images in {few(branch.name + '/' for branch in where.empty)})" if where.empty else ""
        wanted = hint(where.path, learned[only][0]) or ": a classifier needs the folders of two or more"
        raise DataError(f"{where.shown} has one class only, {only!r}{but}{wanted}")
    for split, by_class in reading.classes.items():
        strangers = [name for name in by_class if name not in learned]
        if strangers:
            near = did_you_mean(strangers[0], learned)
            folders = few(_path_below(root, path) for name in strangers for path in by_class[name])
            raise DataError(
                f"{root.shown}: {split} holds classes that train does not: {few(strangers)}.{near} Put images of "
                f"{few(strangers)} into {_path_below(root, where.path)}/, or remove {folders}"
            )
    return class_order(learned, earlier=earlier)


def _path_below(root: Branch, path: str) -> str:
    return os.path.relpath(path, root.path)


def _around(reading: Reading, split: str) -> frozenset[tuple[int, int]]:
    """Return the folders that contain a split's class folders."""
    holders = reading.holders.get(split, [])
    return frozenset().union(*(folders_around(branch.path) for branch in (reading.root, *holders)))


def _notes_on_circles(roots: Iterable[Branch], reading: Reading, walks: Iterable[Walk]) -> Iterator[str]:
    branches = [*roots, *reading.root.below, *(branch for held in reading.holders.values() for branch in held)]
    links = {link for branch in branches for link in branch.circles} | {link for walk in walks for link in walk.circles}
    if links:
        yield f"not followed, for they lead to a folder that they lie in: {few(sorted(links))}"


def _notes_on_empty(reading: Reading, *, to_learn: bool) -> Iterator[str]:
    """Note the folders without images; raises DataError for one with files that may be images of an unknown kind."""
    empty = [branch for holders in reading.holders.values() for holder in holders for branch in holder.empty]
    for branch in empty:
        endings = (Path(name).suffix.lower() for name in branch.files())
        unknown = Counter(ending for ending in endings if ending and ending[1:] not in _BESIDE_IMAGES)
        if unknown and to_learn:
            raise DataError(
                f"class folder {branch.shown} has no images (it holds {_count_endings(unknown)}): add some "
                "or remove the folder"
            )
    if empty:
        yield f"not read, for they hold no images: {few(branch.name + '/' for branch in empty)}"


def _collect(walk: Walk, folders: dict[str, list[str]]) -> dict[str, list[ListedFile]]:
    """Return the files of each class by its name, in one split."""
    found = {name: walk.collect(*paths) for name, paths in folders.items()}
    walk.follow_links()
    return found


def _notes_on(walks: Iterable[Walk]) -> Iterator[str]:
    for walk in walks:
        if walk.passed_over:
            yield f"not read, being no images by their names: {_count_endings(walk.passed_over)}"
        if again := len(walk.linked_again) + len(walk.folders_again):
            yield f"not counted again: {plural(again, 'link')} to images that were counted already"
        if walk.linked_elsewhere:
            links = plural(len(walk.linked_elsewhere), "link")
            yield f"not counted: {links} to images that are counted in another class: {few(walk.linked_elsewhere)}"


def _count_endings(endings: Counter[str]) -> str:
    return f"{plural(sum(endings.values()), 'file')} ({', '.join(sorted(endings)[:5])})"
