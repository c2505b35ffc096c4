"""Image sets from decoded rows, and notes on what was found in their pixels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from convscope.data.equal_pictures import notes_on_equal
from convscope.data.listing import Listing
from convscope.data.pixels.build import Decoded
from convscope.data.pixels.flatten import NARROW
from convscope.data.pixels.sniff import advised, megapixels_of
from convscope.data.records import Decoding, ImageSet, Labels, Leak, Pixels, Problem, Rows
from convscope.errors import DataError
from convscope.report.units import plural
from convscope.report.usage import settings_text

# Images that are looked at for their levels, and a tenth of these.
SAMPLE, NARROW_LEVELS = 64, 26


def image_set(listing: Listing, pixels: Pixels, rows: Labels) -> ImageSet:
    """Return the rows as an image set: a slice if they are consecutive, else a view of rows."""
    first, last = int(rows[0]), int(rows[-1])
    whole = last - first + 1 == len(rows)
    images = pixels[first : last + 1] if whole else Rows(pixels, rows)
    names = listing.names[first : last + 1] if whole else [listing.names[row] for row in rows.tolist()]
    targets = None if listing.targets is None else listing.targets[rows]
    groups = None if listing.groups is None else listing.groups.of_rows(rows)
    return ImageSet(images, listing.labels[rows], names, targets, groups)


def notes_on_pixels(listing: Listing, decoded: Decoded, decoding: Decoding, leaks: Sequence[Leak]) -> Iterator[str]:
    """Return notes on decoded images: files that changed, remarks, equal pictures."""
    if decoded.changed:
        looked_at = f"{len(decoded.changed):,} of {plural(decoded.compared, 'file')} read again"
        yield (
            f"{looked_at} had changed with size and time kept, the first {listing.names[decoded.changed[0]]}: "
            "all images were decoded anew"
        )
    yield from note_on_limit(decoded.outcome.bad.values())
    yield from notes_on_levels(decoded)
    for equal in notes_on_equal(listing, decoded.pixels, decoded.outcome, decoding, leaks):
        yield equal.text


def note_on_limit(reasons: Iterable[str]) -> Iterator[str]:
    """Yield a note on the images that are refused for their size alone, with the limit that admits them.

    >>> list(note_on_limit(["9000x7000 is 63 megapixels; the limit is 50", "an empty file"]))
    ['1 image has too many pixels: max_megapixels=63 reads it']
    """
    needed = [limit for reason in reasons if (limit := megapixels_of(reason))]
    if needed:
        what = ("has", "it") if len(needed) == 1 else ("have", "them")
        raised = settings_text(max_megapixels=max(needed))
        yield f"{plural(len(needed), 'image')} {what[0]} too many pixels: {raised} reads {what[1]}"


def notes_on_levels(decoded: Decoded) -> Iterator[str]:
    """Yield the remarks of decoding, and a note if a sample of the images together uses under a tenth of the levels."""
    for remark, count in decoded.outcome.remarks.items():
        yield f"{plural(count, 'image')}: {remark}"
    if NARROW in decoded.outcome.remarks:
        return
    rows = np.delete(np.arange(len(decoded.pixels)), list(decoded.outcome.bad))
    sample = [decoded.pixels[row] for row in rows[:: max(1, len(rows) // SAMPLE)]]
    least, greatest = (min(map(np.min, sample), default=0), max(map(np.max, sample), default=0))
    if 0 < greatest - least < NARROW_LEVELS:
        yield (
            f"a sample of {plural(len(sample), 'image')} has levels of {least} to {greatest} alone, of 0 to 255: "
            "little contrast is left"
        )


def refuse_any(problems: Sequence[Problem], *, strict: bool) -> None:
    """Raise DataError if an image can't be read and none may be skipped."""
    if problems and strict:
        first = problems[0]
        count = plural(len(problems), "image") if len(problems) > 1 else "an image"
        raise DataError(f"{count} can't be read (strict); the first is {first.path}: {advised(first.reason)}")
