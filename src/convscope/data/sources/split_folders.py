"""Find the splits among a source's folders by their names and content."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from convscope.data.layout import SPLIT_NAMES, SPLITS, is_evaluation, is_split_name, split_in_name, words_of
from convscope.data.sources.tree import Branch
from convscope.errors import DataError
from convscope.report.usage import settings_text

# Words of folders that lie beside splits or classes and are neither.
_BESIDE = re.compile(r"(un|non)label+ed|(extra|pred|prediction|mask|annotation|label|sample|output|result|run|log)s?")
_NO_CLASS = ("images", "unknown", "unlabeled", "unlabelled")


def find_splits(root: Branch) -> dict[str, Branch]:
    """Return the folder of each split by their names, in the order of SPLITS.

    A folder named train, val or test has precedence over one with such a word in its name. An evaluation folder is the
    test split, or the validation split where there is a test folder besides.

    Raises:
        DataError: two folders for one split.
    """
    candidates: dict[str, list[Branch]] = {}
    for branch in root.below:
        split = split_in_name(branch.name)
        if split is not None:
            candidates.setdefault(split, []).append(branch)
    tests = candidates.get("test", [])
    evaluation = [branch for branch in tests if is_evaluation(branch.name)]
    if len(tests) > len(evaluation) > 0 and "val" not in candidates:
        candidates["val"] = evaluation
        candidates["test"] = [branch for branch in tests if branch not in evaluation]
    return {split: _one(root, split, candidates) for split in SPLITS if split in candidates}


def _one(root: Branch, split: str, candidates: Mapping[str, Sequence[Branch]]) -> Branch:
    """Return the folder of a split; raises DataError if there are several."""
    there = candidates[split]
    if len(there) > 1:
        there = [branch for branch in there if branch.name.casefold() in SPLIT_NAMES] or there
    if len(there) > 1:
        first, second = (branch.name for branch in there[:2])
        named = {other: found[0].name for other, found in candidates.items()} | {split: there[0].name}
        raise DataError(
            f"{root.shown} has both {first}/ and {second}/ for one split: keep one, or name it: "
            f"{option_of(named.items())}"
        )
    return there[0]


def lack_of_train(root: Branch) -> str:
    """Return the reason why there are no training images: there is no train/, or it is empty."""
    empty = next((branch.name for branch in root.empty if split_in_name(branch.name) == "train"), None)
    return "no train/" if empty is None else f"no images in {empty}/"


def option_of(named: Iterable[tuple[str, str]]) -> str:
    """Return the layout that takes (split, folder) pairs, as it is given; training images come first.

    >>> option_of([("test", "b"), ("train", "set a")])
    "layout='train=set a,test=b'"
    """
    ordered = sorted(named, key=lambda pair: SPLITS.index(pair[0]))
    return settings_text(layout=",".join(f"{split}={folder}" for split, folder in ordered))


def unwrapped(branch: Branch) -> Branch:
    """Return the folder that contains class folders: the folder itself, or the only one in it.

    Archives unpack to such folders: seg_train/seg_train/CLASS. The inner folder is returned if it holds several folders
    or a split; a class folder with images in it never is.
    """
    inner = branch
    while inner.has_classes and len(inner.below) == 1 and not _is_another_split(inner.below[0], inner):
        inner = inner.below[0]
        if inner.has_classes and (len(inner.below) > 1 or split_in_name(inner.below[0].name)):
            return unwrapped(inner)
    return branch


def _is_another_split(inner: Branch, outer: Branch) -> bool:
    return is_split_name(inner.name) and inner.name.casefold() != outer.name.casefold()


def loose_images(branch: Branch) -> Branch | None:
    """Return the folder of a split's images without a class, or None if it has class folders.

    test/0.jpg, test/test/0.jpg and test/images/0.jpg are images without a class.
    """
    inner = branch
    while not inner.images and len(inner.below) == 1:
        name = inner.below[0].name.casefold()
        if name not in (branch.name.casefold(), *_NO_CLASS):
            return None
        inner = inner.below[0]
    return inner if inner.images and not inner.below else None


def is_beside(branch: Branch) -> bool:
    """Return whether a folder's name is that of no class: unlabeled, predictions, masks and the like."""
    return any(_BESIDE.fullmatch(word) for word in words_of(branch.name))


def named_alike(branches: Sequence[Branch]) -> frozenset[str]:
    """Return the names of the folders that all of several folders contain, or an empty set if they are not alike.

    Alike are folders of which each holds two or more, and which share at least half of all names.
    """
    if len(branches) < 2 or not all(branch.has_classes and len(branch.below) > 1 for branch in branches):
        return frozenset()
    names = [branch.names_below for branch in branches]
    common = frozenset.intersection(*names)
    return common if len(common) > 1 and 2 * len(common) >= len(frozenset.union(*names)) else frozenset()
