"""Layouts of image folders: the values of the setting `layout`, and the folder names that denote a split.

splits        train/CLASS/, val/CLASS/, test/CLASS/
classes       CLASS/
class-first   CLASS/train/, CLASS/val/, CLASS/test/
groups        ANY/CLASS/, all read together
train=A,test=B  the class folders of the folders A and B
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final

from convscope.errors import DataError, did_you_mean

SPLITS = ("train", "val", "test")
SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
# A test set beside a validation set or alone, a validation set beside a test set.
EVALUATION = ("eval", "evaluation")

AUTO: Final = "auto"
NONE: Final = "none"  # the source is not read by class folders: a table, shards, one file
BY_SPLITS: Final = "splits"
BY_CLASSES: Final = "classes"
CLASS_FIRST: Final = "class-first"
GROUPS: Final = "groups"
NAMED: Final = "named"
WORDS = (AUTO, BY_SPLITS, BY_CLASSES, CLASS_FIRST, GROUPS, NONE)

_WORDS_OF_SPLITS = {**SPLIT_NAMES, "trainval": "train", **dict.fromkeys(EVALUATION, "test")}
# trainset, test_images: the word itself, and what such a folder holds.
_COMPOUND = re.compile(
    rf"({'|'.join(_WORDS_OF_SPLITS)})(?:sets?|data|datasets?|images?|imgs?|dir|folder|split|samples?)?"
)
_NAMED = re.compile(r"(?:^|,)(train|val|test)=")


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How the folders of a source are read: one of WORDS, or NAMED with `folders`, (split, folder) pairs.

    >>> Layout.parse("train=fold1,train=fold2,val=fold3").folders
    (('train', 'fold1'), ('train', 'fold2'), ('val', 'fold3'))
    """

    word: str = AUTO
    folders: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Layout:
        """Parse the value of the setting `layout`.

        Raises:
            DataError: another word, no train folder, or folders outside the source, named twice or one in another.
        """
        if text in WORDS:
            return cls(word=text)
        pieces = _NAMED.split(text)
        if pieces[0] or len(pieces) < 3:
            raise DataError(
                f"layout is {text!r}: it is one of {', '.join(WORDS)}, or names folders, like "
                f"train=training_set,test=test_set.{did_you_mean(text, WORDS)}"
            )
        folders = tuple(
            zip(pieces[1::2], (folder.strip().rstrip("/") or folder.strip() for folder in pieces[2::2]), strict=True)
        )
        _check_folders(text, folders)
        return cls(word=NAMED, folders=folders)

    def __str__(self) -> str:
        return ",".join(f"{split}={folder}" for split, folder in self.folders) if self.folders else self.word


def _check_folders(text: str, folders: tuple[tuple[str, str], ...]) -> None:
    """Raise DataError where the folders of a layout can't be read as its splits."""
    for split, folder in folders:
        if not folder:
            raise DataError(f"layout {text!r}: a folder's name is missing after {split}=")
    paths = [PurePath(folder) for _, folder in folders]
    for path in paths:
        if not path.parts or path.is_absolute() or ".." in path.parts:
            raise DataError(f"layout {text!r}: {str(path)!r} is not the name of a folder inside the source")
    for place, path in enumerate(paths):
        if path in paths[:place]:
            raise DataError(f"layout {text!r}: {str(path)!r} is named twice: name it once")
        for other in paths[:place]:
            if path.is_relative_to(other) or other.is_relative_to(path):
                raise DataError(f"layout {text!r}: {str(other)!r} and {str(path)!r} hold the same images: keep one")
    if all(split != "train" for split, _ in folders):
        raise DataError(f"layout {text!r} has no train=FOLDER: name the folder of training images")


def words_of(name: str) -> list[str]:
    """Return the words of a name, case-folded: runs of letters, a capital after a small letter beginning another.

    >>> words_of("Seg_trainSet-2")
    ['seg', 'train', 'set']
    """
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)
    return [word for word in re.split(r"[\W\d_]+", apart.casefold()) if word]


def split_in_name(name: str) -> str | None:
    """Return the split that a word of a folder's name denotes, or None if none does or two different ones.

    >>> [split_in_name(name) for name in ("seg_train", "TestSet", "val2017", "trains", "contest", "train_test")]
    ['train', 'test', 'val', None, None, None]
    """
    found = (_COMPOUND.fullmatch(word) for word in words_of(name))
    splits = {_WORDS_OF_SPLITS[match[1]] for match in found if match}
    return splits.pop() if len(splits) == 1 else None


def words_beside_split(name: str) -> tuple[str, ...]:
    """Return the words of a name that denote no split: the folders of one data set agree in them.

    >>> words_beside_split("seg_train"), words_beside_split("testset")
    (('seg',), ())
    """
    return tuple(word for word in words_of(name) if not _COMPOUND.fullmatch(word))


def is_evaluation(name: str) -> bool:
    """Return whether a folder's name contains eval or evaluation, which is a test set or a validation set.

    >>> is_evaluation("eval_images"), is_evaluation("test")
    (True, False)
    """
    return any(word.startswith("eval") for word in words_of(name))


def is_split_name(name: str) -> bool:
    """Return whether a folder is named as a split and nothing else: train, Testing, eval."""
    return name.casefold() in SPLIT_NAMES or name.casefold() in EVALUATION
