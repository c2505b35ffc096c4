"""Open a source whose training images are streamed; validation and test images are decoded into the cache."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from convscope.data.assemble import image_set, notes_on_pixels, refuse_any
from convscope.data.listing import Listing
from convscope.data.listing_part import SomeRows
from convscope.data.partition import find_leaks, partition
from convscope.data.pixels.build import Decoded, decode_rows
from convscope.data.pixels.cache import DecodeOutcome
from convscope.data.records import Dataset, Decoding, ImageSet, Labels, Leak, Problem
from convscope.data.streamed import Streamed
from convscope.report.progress import Progress
from convscope.report.units import plural

HELD = ("val", "test")


def open_streamed(
    listing: Listing,
    decoding: Decoding,
    *,
    validation_fraction: float,
    test_fraction: float,
    seed: int,
    strict: bool,
    directory: Path,
    progress: Progress,
    processes: int,
    verify: bool,
) -> Dataset:
    """Split the rows as `open_dataset` does, without decoding training images.

    Duplicates are looked for among the held-out images only, as the others are not decoded. Raises DataError.
    """
    split = partition(
        listing, DecodeOutcome(), validation_fraction=validation_fraction, test_fraction=test_fraction, seed=seed
    )
    train = split.rows["train"]
    refuse_any(listing.problems, strict=strict)
    stream = Streamed(listing, decoding, train, strict=strict, processes=processes)
    sets = {"train": _streamed_set(listing, stream)}
    problems, notes = listing.problems, [*listing.notes, *split.notes]
    leaks: tuple[Leak, ...] = ()
    decoded: Decoded | None = None
    within = f", shuffled within a window of {stream.window:,}" if stream.window < len(train) else ""
    streamed = (
        f"train is streamed: {plural(len(train), 'image')} decoded again in each epoch{within}, and never kept; copies "
        "of them among the images held out would go unnoticed"
    )
    held = {name: split.rows[name] for name in HELD if name in split.rows}
    if held:
        part = _part(listing, held)
        decoded = decode_rows(part, decoding, directory=directory, progress=progress, verify=verify)
        bad = decoded.outcome.bad
        problems += tuple(Problem(part.names[row], reason) for row, reason in bad.items())
        refuse_any(problems, strict=strict)
        rows = {name: np.setdiff1d(part.rows_of(name), list(bad)) for name in held}
        rows = {name: found for name, found in rows.items() if len(found)}
        sets |= {name: image_set(part, decoded.pixels, found) for name, found in rows.items()}
        leaks = find_leaks(rows, decoded.outcome, part.names)
        notes += notes_on_pixels(part, decoded, decoding, leaks)
    return Dataset(
        source=listing.source,
        kind=listing.kind,
        classes=listing.classes,
        decoding=decoding,
        train=sets["train"],
        val=sets.get("val"),
        test=sets.get("test"),
        problems=problems,
        leaks=leaks,
        notes=tuple(notes),
        notes_on_training=(streamed,),
        made_splits=split.made,
        cache_hit=decoded is not None and decoded.hit,
        cache_path=None if decoded is None or decoded.path is None else str(decoded.path),
    )


def _streamed_set(listing: Listing, stream: Streamed) -> ImageSet:
    rows = stream.rows
    targets = None if listing.targets is None else listing.targets[rows]
    groups = None if listing.groups is None else listing.groups.of_rows(rows)
    return ImageSet(stream, listing.labels[rows], [listing.names[row] for row in rows.tolist()], targets, groups)


def _part(listing: Listing, held: dict[str, Labels]) -> Listing:
    """Return a listing of the held-out rows, with a cache entry of its own."""
    rows = np.concatenate(list(held.values()))
    which = hashlib.sha256(rows.tobytes()).hexdigest()[:16]
    return replace(
        listing,
        # Not a place that is read: it distinguishes its entry from those of other parts of the same source.
        source=f"{listing.source}#{which}",
        identity=None if listing.identity is None else f"{listing.identity}#{which}",
        parts={name: len(found) for name, found in held.items()},
        labels=listing.labels[rows],
        names=[listing.names[row] for row in rows.tolist()],
        targets=None if listing.targets is None else listing.targets[rows],
        archives=None,
        groups=None if listing.groups is None else replace(listing.groups, numbers=listing.groups.numbers[rows]),
        read=SomeRows(listing.read, rows),
        problems=(),
        notes=(),
    )
