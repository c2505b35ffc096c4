"""ImageGroups of images that no split may part: by a column of a table, or by a part of the files' names."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from convscope.data.listing import ImageGroups, Listing
from convscope.data.name_pattern import NamePattern
from convscope.data.source_options import SourceOptions
from convscope.errors import DataError
from convscope.report.units import plural
from convscope.report.usage import settings_text

# What a column of groups is called, by words of its name.
_KEPT = (
    "patient subject person participant donor case study lesion site hospital centre center animal plant tree specimen"
)
_TAKEN = "session scene sequence video clip camera device batch slide block field plot family author writer user"
_WORDS = frozenset(_KEPT.split()) | frozenset(_TAKEN.split())
# What a group has, and is not.
_OF_GROUPS = frozenset(["age", "sex", "gender", "race", "weight", "height", "date"])
# Names are taken for groups where a group has this many images on average, and there are this many groups a class.
_LEAST_IMAGES, _LEAST_GROUPS = 2, 2
_PREFIX = re.compile(r"([A-Za-z]*\d+[A-Za-z]*)[_-]")


def grouped(listing: Listing, options: SourceOptions) -> Listing:
    """Return the listing with its groups, checked, or with a note on what looks like one where none are asked for.

    Raises:
        DataError: a name that the pattern does not fit; a group in two of the source's own splits; one group alone.
    """
    if options.group_by:
        listing = replace(listing, groups=_by_name(listing, options.group_by))
    if listing.groups is None:
        likely = _likely_in_names(listing)
        return replace(listing, notes=(*listing.notes, likely)) if likely else listing
    groups = listing.groups
    _check_parts(listing, groups)
    if groups.count == 1:
        raise DataError(f"{listing.source}: {groups.by} gives all images one group: nothing can be held back")
    images = plural(len(groups.numbers), "image")
    if groups.count == len(groups.numbers):
        said = f"groups: {groups.by} is another for each of the {images}, so it keeps nothing together"
    else:
        said = f"groups: {groups.count:,} by {groups.by} for {images}; none is parted by a split"
    return replace(listing, notes=(*listing.notes, said))


def _names_below(listing: Listing) -> list[str]:
    """Return the rows' paths below the source, with slashes."""
    source = Path(listing.source)
    folder = str(source if source.is_dir() else source.parent)
    start = f"{folder}{os.sep}"
    if listing.archives is not None:
        return [name.rpartition(":")[2] for name in listing.names]
    below = (name[len(start) :] if name.startswith(start) else name for name in listing.names)
    return [name.replace("\\", "/") if os.sep == "\\" else name for name in below]


def _by_name(listing: Listing, text: str) -> ImageGroups:
    pattern = NamePattern.parse(text)
    names = _names_below(listing)
    found = [pattern.group_of(name) for name in names]
    strange = [name for name, group in zip(names, found, strict=True) if group is None]
    if strange:
        shown = strange[0] if "/" in text else strange[0].rpartition("/")[2]
        of = f"{len(strange):,} of {plural(len(names), 'name')}"
        raise DataError(
            f"group_by {text} does not fit {of}; the first is {shown} (compared without its ending): write another"
        )
    return ImageGroups.of([group for group in found if group is not None], text)


def _check_parts(listing: Listing, groups: ImageGroups) -> None:
    """Raise DataError if one of the source's own splits shares a group with another."""
    parts = {part: np.unique(groups.numbers[listing.rows_of(part)]) for part in listing.parts}
    names = list(parts)
    for place, first in enumerate(names):
        for second in names[place + 1 :]:
            if len(both := np.intersect1d(parts[first], parts[second])):
                row = int(np.flatnonzero(groups.numbers == both[0])[0])
                raise DataError(
                    f"{listing.source}: {groups.by} has {plural(len(both), 'group')} in both {first} and {second}, the "
                    f"first that of {listing.names[row]}: mend the splits, or leave the groups out"
                )


def is_group_name(column: str) -> bool:
    """Return whether a column is named as what images belong to: patient_id, SubjectID, site.

    >>> is_group_name("Patient ID"), is_group_name("lesionId"), is_group_name("label"), is_group_name("patient_age")
    (True, True, False, False)
    """
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", column)
    if not _OF_GROUPS.isdisjoint(_words(apart)):
        return False
    return any(word.rstrip("s") in _WORDS or word.rstrip("s").removesuffix("id") in _WORDS for word in _words(apart))


def _words(text: str) -> list[str]:
    return [word for word in re.split(r"[\W\d_]+", text.casefold()) if word]


def likely_column(name: str, cells: Sequence[str]) -> str:
    """Return a note if a column looks like groups, by its name and because its values repeat; else ""."""
    values = len(set(cells))
    if not is_group_name(name) or not 2 <= values < len(cells):
        return ""
    return (
        f"column {name} looks like a group ({values:,} values in {plural(len(cells), 'row')}): "
        f"{settings_text(group_column=name)} keeps each in one split"
    )


def _likely_in_names(listing: Listing) -> str:
    """Return a note if the names of files begin with numbers that repeat, as p07_1, p07_2 do; else ""."""
    if listing.is_split or listing.identity is None:
        return ""
    names = [name.rpartition("/")[2] for name in listing.names]
    found = [match[1] if (match := _PREFIX.match(name)) else None for name in names]
    prefixes = {prefix for prefix in found if prefix is not None}
    if None in found or len(prefixes) * _LEAST_IMAGES > len(names):
        return ""
    if len(prefixes) < _LEAST_GROUPS * max(2, len(listing.classes)):
        return ""
    sign = names[0][len(str(found[0]))]
    beginnings = f"{len(prefixes):,} beginnings such as {found[0]}{sign} in {plural(len(names), 'image')}"
    return (
        f"names look like groups ({beginnings}): {settings_text(group_by='{group}' + sign + '*')} "
        "keeps each in one split"
    )
