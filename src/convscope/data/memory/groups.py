"""Groups that the caller holds: a name or a whole number for each image, of which no split parts one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from convscope.data.listing import WHOLE, ImageGroups
from convscope.data.pixels.numbers import is_numbers, numbers_of
from convscope.errors import DataError
from convscope.files.regular import UnreadableError
from convscope.report.units import plural

BY = "the list of groups"
FORMS = "give a name or a whole number for each image"


def read_given_groups(given: Mapping[str, Any], counts: Mapping[str, int]) -> ImageGroups | None:
    """Return the groups of every split, one after the other, or None; `counts` are the numbers of images.

    Raises:
        DataError: groups of some splits alone, of another length, or that are no names and no whole numbers.

    >>> read_given_groups({"all": [7, 7, 9]}, {"all": 3}).numbers.tolist()
    [0, 0, 1]
    """
    of = {split: "" if split == WHOLE else f"{split}: " for split in given}
    if all(groups is None for groups in given.values()):
        return None
    names: list[str] = []
    for split, groups in given.items():
        if groups is None:
            raise DataError(f"{of[split]}there are no groups, and another split has some: give those of all splits")
        found = _names(groups, f"{of[split]}groups")
        if len(found) != counts[split]:
            raise DataError(f"{of[split]}{plural(counts[split], 'image')}, but {plural(len(found), 'group')}: {FORMS}")
        names += found
    return ImageGroups.of(names, BY)


def _names(groups: Any, what: str) -> list[str]:
    if isinstance(groups, (str, bytes, Mapping)):
        raise DataError(f"{what}: a {type(groups).__name__}: {FORMS}")
    try:
        items = numbers_of(groups).tolist() if is_numbers(groups) else list(groups)
    except (TypeError, UnreadableError):
        raise DataError(f"{what}: a {type(groups).__name__}: {FORMS}") from None
    items = [numbers_of(item).tolist() if is_numbers(item) and item.ndim == 0 else item for item in items]
    for place, item in enumerate(items):
        is_name = isinstance(item, str) and item.strip() != ""
        if not is_name and (isinstance(item, bool) or not isinstance(item, (int, np.integer))):
            raise DataError(f"{what}: that of image {place} is {item!r:.60}: {FORMS}")
    return [str(item).strip() for item in items]
