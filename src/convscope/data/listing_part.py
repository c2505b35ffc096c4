"""Some rows of a listing as a listing: a reader of them, and fewer training images drawn evenly over the classes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np

from convscope.data.listing import WHOLE, DecodedImage, Listing, Reader
from convscope.data.partition import split_rows
from convscope.data.records import Decoding, Labels
from convscope.errors import DataError
from convscope.report.printable import few
from convscope.report.units import plural

# A share that is less than any image: the smallest group is drawn.
LEAST_SHARE = 1e-9


@dataclass(frozen=True)
class SomeRows:
    """A reader of some rows of a listing, numbered from 0."""

    whole: Reader
    rows: Labels

    @property
    def reads_single_rows(self) -> bool:
        """Whether one row costs no more than its share of many."""
        return self.whole.reads_single_rows

    def __call__(self, row: int, decoding: Decoding) -> DecodedImage:
        """Return a decoded row."""
        return self.whole(int(self.rows[row]), decoding)

    def digest(self, row: int) -> int:
        """Return the digest of a row's content."""
        return self.whole.digest(int(self.rows[row]))

    def original(self, row: int) -> tuple[bytes, str]:
        """Return a row's file, and its name."""
        return self.whole.original(int(self.rows[row]))


def with_fewer(listing: Listing, most: int, *, test_fraction: float, seed: int) -> Listing:
    """Return the listing with at most this number of training images, a part for validation among them; 0 keeps all.

    Each class keeps the same share, drawn by the seed, and its image where it has one alone; groups stay whole.
    Validation and test images of the source's own stay all; of a single folder the test part becomes smaller by the
    same share.

    Raises:
        DataError: fewer than two images a class; groups that are too large, or that leave a class without an image.

    >>> from convscope.data.sources.digits import list_digits
    >>> few = with_fewer(list_digits(), 90, test_fraction=0.1, seed=0)
    >>> few.parts, few.class_counts(few.rows_of("all")).tolist()
    ({'all': 100}, [10, 10, 10, 10, 10, 10, 10, 10, 10, 10])
    """
    part = "train" if "train" in listing.parts else WHOLE
    rows = listing.rows_of(part)
    wanted = most if part != WHOLE else int(most / (1 - test_fraction))
    if not most or wanted >= len(rows):
        return listing
    if most < 2 * len(listing.classes):
        classes = plural(len(listing.classes), "class", "classes")
        raise DataError(f"train_images {most}: {classes} need {2 * len(listing.classes)} images or more")
    # The only image of a class is no share of it.
    alone = _alone(listing, rows) if listing.groups is None else rows[:0]
    drawn = _drawn(listing, np.setdiff1d(rows, alone), wanted - len(alone), most, seed)
    kept = np.union1d(drawn, alone)
    lost = (listing.class_counts(kept) == 0) & (listing.class_counts(rows) > 0)
    if lost.any():
        names = few([name for name, is_lost in zip(listing.classes, lost, strict=True) if is_lost])
        raise DataError(f"train_images {most}: none of them shows {names}: give more")
    found = [kept if name == part else listing.rows_of(name) for name in listing.parts]
    note = f"train_images {most:,}: {plural(len(kept), 'image')} of {len(rows):,} are taken (seed {seed})"
    return _part(listing, dict(zip(listing.parts, found, strict=True)), note)


def _alone(listing: Listing, rows: Labels) -> Labels:
    """Return the rows that show a class of which none of the others does."""
    alone = listing.class_counts(rows) == 1
    shown = alone[listing.labels[rows]] if listing.targets is None else (listing.targets[rows][:, alone] > 0).any(1)
    found: Labels = rows[shown]
    return found


def _drawn(listing: Listing, rows: Labels, wanted: int, most: int, seed: int) -> Labels:
    """Return at most `wanted` of the rows, a share of each class; raises DataError if groups are larger."""
    if listing.groups is not None:
        _, least = split_rows(listing, rows, (LEAST_SHARE,), seed=seed)
        if len(least) > wanted:
            images = plural(len(least), "image")
            raise DataError(
                f"train_images {most}: groups by {listing.groups.by} are not parted, and the smallest has {images}: "
                "give more, or leave the groups out"
            )
    kept, share = rows, wanted / len(rows)
    while len(kept) > wanted:
        # Shares of small classes are rounded up, and groups are not parted.
        _, kept = split_rows(listing, rows, (share,), seed=seed)
        share *= 1 - max(1, len(kept) - wanted) / len(rows)
    return kept


def _part(listing: Listing, parts: dict[str, Labels], note: str) -> Listing:
    rows = np.concatenate(list(parts.values()))
    which = f"#{hashlib.sha256(rows.tobytes()).hexdigest()[:16]}"
    return replace(
        listing,
        which=which,
        identity=None if listing.identity is None else listing.identity + which,
        parts={name: len(found) for name, found in parts.items()},
        labels=listing.labels[rows],
        names=[listing.names[row] for row in rows.tolist()],
        targets=None if listing.targets is None else listing.targets[rows],
        archives=None if listing.archives is None else listing.archives[rows],
        groups=None if listing.groups is None else replace(listing.groups, numbers=listing.groups.numbers[rows]),
        read=SomeRows(listing.read, rows),
        notes=(*listing.notes, note),
    )
