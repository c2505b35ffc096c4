"""Open a source by decoding all of its images into the cache, once."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from convscope.data.assemble import image_set, notes_on_pixels, refuse_any
from convscope.data.listing import Listing
from convscope.data.partition import find_leaks, partition
from convscope.data.pixels.build import Decoded, decode_rows
from convscope.data.pixels.sniff import advised
from convscope.data.records import Dataset, Decoding, Problem
from convscope.errors import DataError
from convscope.report.progress import Progress


def open_cached(
    listing: Listing,
    decoding: Decoding,
    *,
    validation_fraction: float,
    test_fraction: float,
    seed: int,
    strict: bool,
    directory: Path,
    progress: Progress,
    verify: bool,
) -> Dataset:
    """Decode every image, or read it from the cache in `directory`, and split those that could be read.

    With `verify` every file is read again and compared with the cache; otherwise a few of them are.

    Raises:
        DataError: no training image of a class could be read; or with `strict`, any image could not be read.
    """
    decoded = decode_rows(listing, decoding, directory=directory, progress=progress, verify=verify)
    problems = listing.problems + tuple(
        Problem(listing.names[row], reason) for row, reason in decoded.outcome.bad.items()
    )
    refuse_any(problems, strict=strict)
    _check_classes(listing, decoded)
    split = partition(
        listing,
        decoded.outcome,
        validation_fraction=validation_fraction,
        test_fraction=test_fraction,
        seed=seed,
    )
    sets = {name: image_set(listing, decoded.pixels, rows) for name, rows in split.rows.items()}
    leaks = find_leaks(split.rows, decoded.outcome, listing.names)
    return Dataset(
        source=listing.source,
        kind=listing.kind,
        classes=listing.classes,
        decoding=decoding,
        train=sets.get("train"),
        val=sets.get("val"),
        test=sets.get("test"),
        problems=problems,
        leaks=leaks,
        notes=(*listing.notes, *split.notes, *notes_on_pixels(listing, decoded, decoding, leaks)),
        made_splits=split.made,
        cache_hit=decoded.hit,
        cache_path=None if decoded.path is None else str(decoded.path),
    )


def _check_classes(listing: Listing, decoded: Decoded) -> None:
    """Raise DataError if no training image of a class could be read."""
    learned = listing.rows_of(next(iter(listing.parts)))
    readable = np.setdiff1d(learned, list(decoded.outcome.bad))
    lost = (listing.class_counts(readable) == 0) & (listing.class_counts(learned) > 0)
    if not lost.any():
        return
    empty = int(np.argmax(lost))
    shows = listing.labels == empty if listing.targets is None else listing.targets[:, empty] > 0
    row = int(learned[shows[learned]][0])
    raise DataError(
        f"none of the images of class {listing.classes[empty]!r} can be read; "
        f"the first is {listing.names[row]}: {advised(decoded.outcome.bad[row])}"
    )
