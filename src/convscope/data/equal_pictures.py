"""Pictures that are equal to the pixel: what they show, and in which splits and classes they lie."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np

from convscope.data.listing import Listing
from convscope.data.partition import find_conflicts
from convscope.data.pixels.cache import DecodeOutcome
from convscope.data.records import Decoding, Leak, Pixels

Where = Literal["blank", "splits", "classes"]


class EqualPictures(NamedTuple):
    """What there is to say of equal pictures: they are blank, or lie in several splits or classes.

    `images` is their number, `text` a line that names one.
    """

    where: Where
    images: int
    text: str


# Groups of blank pictures that are named, the largest ones.
MOST_NAMED = 3


def blank_level(picture: Pixels) -> str | None:
    """Return the one colour of a picture (H, W, C), in words; None where its pixels differ.

    >>> blank_level(np.full((4, 4, 3), 255, np.uint8)), blank_level(np.full((4, 4, 1), 7, np.uint8))
    ('white', 'grey of level 7')
    """
    first = picture[0, 0]
    if not np.array_equal(picture, np.broadcast_to(first, picture.shape)):
        return None
    levels = sorted(set(first.tolist()))
    if len(levels) > 1:
        return f"of the colour ({', '.join(map(str, first.tolist()))})"
    return {0: "black", 255: "white"}.get(levels[0], f"grey of level {levels[0]}")


def notes_on_equal(
    listing: Listing, pixels: Pixels, outcome: DecodeOutcome, decoding: Decoding, leaks: Sequence[Leak]
) -> Iterator[EqualPictures]:
    """Yield a line for blank pictures, for equal ones in several splits, and for those of several classes."""
    blank = {first: blank_level(pixels[first]) for first in {first for _, first in outcome.same}}
    blank_names = {listing.names[row] for row, first in outcome.same if blank[first]}
    sizes = Counter(first for _, first in outcome.same if blank[first])
    for first, others in sizes.most_common(MOST_NAMED):
        text = f"{others + 1:,} images are all {blank[first]}, for example {listing.names[first]}"
        yield EqualPictures("blank", others + 1, text)

    size = f"{decoding.size[0]}x{decoding.size[1]}"

    def line(where: str, pairs: Sequence[tuple[str, str]]) -> str:
        first, second = next((pair for pair in pairs if pair[1] not in blank_names), pairs[0])
        empty = sum(name in blank_names for _, name in pairs)
        of_them = f" ({empty:,} of them blank)" if empty else ""
        have = f"1 image{of_them} has" if len(pairs) == 1 else f"{len(pairs):,} images{of_them} have"
        return f"{have} the same pixels (at {size}) as {where}, for example {first} and {second}"

    if leaks:
        across = [(leak.first, leak.second) for leak in leaks]
        text = f"{line('an image in another split', across)}: scores on them flatter"
        yield EqualPictures("splits", len(leaks), text)
    if conflicts := find_conflicts(listing, outcome):
        other = "an image of another class" if listing.targets is None else "an image with other labels"
        yield EqualPictures("classes", len(conflicts), line(other, conflicts))
