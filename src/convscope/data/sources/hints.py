"""What to do with images whose labels stand in no folder and no table: in their names, in JSON, in lists of text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from convscope.data.layout import split_in_name, words_of
from convscope.data.sources.walk import could_be_image, is_hidden
from convscope.report.printable import few

# Names that are looked at.
MOST_NAMES = 2000
# What JSON files of annotations are called, by words of their names.
_ANNOTATIONS = frozenset(["coco", "instances", "annotation", "annotations", "captions", "panoptic", "keypoints"])
# Lists of images, which many data sets of before CSV have.
_LISTS = (".txt", ".lst", ".list")
# Other files of labels, of which none is read.
OTHER_TABLES = (*_LISTS, ".json", ".jsonl", ".xml", ".xls", ".xlsx", ".parquet", ".mat")
_WORDS = re.compile(r"([^\W\d_]+(?:[ _-][^\W\d_]+)*)[ ._-]*\d")


def hint(*folders: str) -> str:
    """Return where the labels of images without class folders may be, and what to do then; "" where nothing shows it.

    It begins with a colon, to follow what is missing.
    """
    for folder in folders:
        for inner in (Path(folder), Path(folder, "annotations")):
            for name in _names(inner):
                if name.endswith(".json") and not _ANNOTATIONS.isdisjoint(words_of(name)):
                    return (
                        f": {name} is not read, for an image there has boxes and no label of its own: write a CSV file "
                        "with the columns image and labels"
                    )
    for folder in folders:
        images = [name for name in _names(Path(folder)) if could_be_image(name)]
        if example := label_in_names(images):
            return (
                f": the names seem to hold the labels ({example}): write them into a CSV file with the columns image "
                "and label, or put the images into a folder for each class"
            )
    return ""


def label_in_names(names: Sequence[str]) -> str:
    """Return an example or two if the names of files hold labels, else "".

    >>> label_in_names(["cat.0.jpg", "cat.1.jpg", "dog.0.jpg", "dog.1.jpg"]), label_in_names(["img_1.jpg", "img_2.jpg"])
    ('cat.0.jpg, dog.0.jpg', '')
    >>> label_in_names([f"{20 + n}_{n % 2}_{n % 3}_2017{n}.jpg" for n in range(12)])
    '20_0_0_20170.jpg'
    """
    begun = [match[1] if (match := _WORDS.match(name)) else "" for name in names]
    counts = Counter(begun)
    if len(counts) > 1 and "" not in counts and min(counts.values()) > 1:
        return ", ".join(names[begun.index(word)] for word in list(counts)[:2])
    fields = [name.split("_") for name in names]
    if not fields or {len(each) for each in fields} != {len(fields[0])} or len(fields[0]) < 3:
        return ""
    values = [len(set(column)) for column in zip(*fields, strict=True)][:-1]
    return names[0] if any(1 < count <= len(names) / 4 for count in values) else ""


def notes_on_lists(folder: Path) -> Iterator[str]:
    """Yield a note on lists of text beside class folders that say which image is in which split."""
    lists = [
        name
        for name in _names(folder)
        if name.lower().endswith(_LISTS) and ("split" in words_of(name) or split_in_name(Path(name).stem))
    ]
    if lists:
        yield f"{few(lists)}: not read; to keep these splits, write a CSV file with the columns image, label and split"


def _names(folder: Path) -> list[str]:
    """Return the names of some files in a folder, sorted; none where it can't be read."""
    try:
        with_files = (entry.name for entry in folder.iterdir() if not is_hidden(entry.name) and entry.is_file())
        return sorted(islice(with_files, MOST_NAMES))
    except OSError:
        return []
