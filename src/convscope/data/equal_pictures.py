"""Pictures that are equal to the pixel, and those of one colour: what they show, in which splits and classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np

from convscope.data.listing import Listing
from convscope.data.partition import find_conflicts
from convscope.data.pixels.cache import DecodeOutcome
from convscope.data.records import Decoding, Labels, Leak, Pixels
from convscope.report.units import plural

Where = Literal["blank", "splits", "classes"]


class EqualPictures(NamedTuple):
    """What there is to say of equal pictures: they are blank, or lie in several splits or classes.

    `images` is their number, `text` a line that names one.
    """

    where: Where
    images: int
    text: str


# Colours of blank pictures that are named, those of most pictures.
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


def blank_rows(pixels: Pixels, rows: Labels) -> dict[int, str]:
    """Return those of some sorted rows of pixels (N, H, W, C) whose pictures have one colour, and that in words.

    >>> blank_rows(np.stack([np.zeros((4, 4, 1), np.uint8), np.eye(4, dtype=np.uint8)[..., None]]), np.arange(2))
    {0: 'black'}
    """
    height, width = pixels.shape[1:3]
    # The corners and the centre: few others pass, and a picture is read as a whole for these alone.
    points = pixels[rows[:, None], [0, 0, -1, -1, height // 2], [0, -1, 0, -1, width // 2]]
    likely = rows[(points == points[:, :1]).all((1, 2))]
    return {row: level for row in likely.tolist() if (level := blank_level(pixels[row]))}


def notes_on_equal(
    listing: Listing,
    pixels: Pixels,
    outcome: DecodeOutcome,
    decoding: Decoding,
    leaks: Sequence[Leak],
    blank: dict[int, str] | None = None,
) -> Iterator[EqualPictures]:
    """Yield a line for blank pictures, for equal ones in several splits, and for those of several classes.

    `blank` are the blank rows, those among the equal ones if it is left out.
    """
    if blank is None:
        blank = blank_rows(pixels, np.unique(np.array(outcome.same, np.int64)))
    blank_names = {listing.names[row] for row in blank}
    sizes = Counter(blank.values()).most_common()
    for level, count in sizes[:MOST_NAMED]:
        example = listing.names[next(row for row in blank if blank[row] == level)]
        example = f": {example}" if count == 1 else f", for example {example}"
        are = "is all" if count == 1 else "are all"
        yield EqualPictures("blank", count, f"{plural(count, 'image')} {are} {level}{example}")
    if rest := dict(sizes[MOST_NAMED:]):
        example = listing.names[next(row for row in blank if blank[row] in rest)]
        others = plural(sum(rest.values()), "more image")
        are = "is" if sum(rest.values()) == 1 else "are each"
        yield EqualPictures("blank", sum(rest.values()), f"{others} {are} of one colour, for example {example}")

    size = f"{decoding.size[0]}x{decoding.size[1]}"

    def line(where: str, pairs: Sequence[tuple[str, str]]) -> str:
        first, second = next((pair for pair in pairs if pair[1] not in blank_names), pairs[0])
        empty = sum(name in blank_names for _, name in pairs)
        if len(pairs) == 1:
            have = f"1 {'blank ' if empty else ''}image has"
        else:
            of_them = f" ({'all' if empty == len(pairs) else f'{empty:,}'} of them blank)" if empty else ""
            have = f"{len(pairs):,} images{of_them} have"
        return f"{have} the same pixels (at {size}) as {where}, for example {first} and {second}"

    if leaks:
        across = [(leak.first, leak.second) for leak in leaks]
        text = f"{line('an image in another split', across)}: scores on them flatter"
        yield EqualPictures("splits", len(leaks), text)
    if conflicts := find_conflicts(listing, outcome):
        other = "an image of another class" if listing.targets is None else "an image with other labels"
        yield EqualPictures("classes", len(conflicts), line(other, conflicts))
