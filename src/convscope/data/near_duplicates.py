"""Near-duplicates: pictures that are re-encoded, resized or mirrored copies of one another, by a perceptual hash.

A picture is described by the lowest frequencies of its discrete cosine transform, 8 x 8 of its luma and of its two
colour differences; the signs of the luma's are the bits of a hash (pHash, Zauner 2010, chapter 3). A mirror changes the
sign of every other column alone, so each picture is looked up as it is and mirrored. Pairs are candidates where they
agree in all bits of one of TABLES subsets of the hash (locality-sensitive hashing, Indyk and Motwani 1998) and differ
in few bits in all; of a run of equal subsets each is compared with its WINDOW neighbours alone, so the work grows with
the number of pictures, not with that of pairs. Candidates are kept where their frequencies differ little; high ones and
colours, which a lossy copy changes first, weigh less.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from convscope.data.records import Labels, LazyImages, Pixels
from convscope.report.progress import Progress, no_progress

SIDE = 8
# Luma and colour differences of red, green and blue, as JPEG has them (ITU-R BT.601), and the latter's weight.
YCC = ((0.299, 0.587, 0.114), (-0.169, -0.331, 0.5), (0.5, -0.419, -0.081))
COLOUR_WEIGHT = 0.25
# Frequencies weigh exp(-(u^2 + v^2) / (2 SPREAD^2)).
SPREAD = 3.0
# Subsets of the hash, bits of each, and neighbours that are compared in a run of equal ones.
TABLES, TABLE_BITS, WINDOW = 12, 14, 64
MOST_BITS = 14
# The largest difference between two pictures, as a share of their contrast.
MOST_DIFFERENCE = 0.115
# Pictures with less contrast than this, in levels, are blank: all of them look alike.
LEAST_CONTRAST = 3.0
CHUNK_BYTES = 32 * 2**20
_SEED = 0


class NearDuplicate(NamedTuple):
    """Two rows that show the same picture; `difference` is a share of their contrast, 0 for equal frequencies."""

    first: int
    second: int
    mirrored: bool
    difference: float


def find_near_duplicates(
    images: Pixels | LazyImages, rows: Labels, *, progress: Progress = no_progress
) -> list[NearDuplicate]:
    """Return the pairs of these rows of images (N, H, W, C) that look the same, the most similar first.

    >>> picture = np.random.default_rng(0).integers(0, 256, (8, 8, 1), np.uint8).repeat(4, 0).repeat(4, 1)
    >>> find_near_duplicates(np.stack([picture, 255 - picture, picture[:, ::-1]]), np.arange(3))
    [NearDuplicate(first=0, second=2, mirrored=True, difference=0.0)]
    """
    found = _frequencies(images, rows, progress)
    energy = np.sqrt(np.square(found[:, 0]).sum((1, 2)) - np.square(found[:, 0, 0, 0]))
    clear = np.flatnonzero(energy >= LEAST_CONTRAST)
    rows, found, energy = rows[clear], found[clear], energy[clear]
    if len(rows) < 2:
        return []
    mirrored = found * np.where(np.arange(SIDE) % 2, -1, 1).astype(np.float32)
    both = np.concatenate([_signs(found), _signs(mirrored)])
    step = max(1, CHUNK_BYTES // found[0].nbytes)
    pairs: list[tuple[Labels, Labels, npt.NDArray[np.bool_], npt.NDArray[np.float32]]] = []
    for first, second in _candidates(both, len(rows), progress):
        for start in range(0, len(first), step):
            a, b = first[start : start + step], second[start : start + step]
            mirror, b = b >= len(rows), b % len(rows)
            against = np.where(mirror[:, None, None, None], mirrored[b], found[b])
            apart = np.sqrt(np.square(found[a] - against).sum((1, 2, 3))) / np.minimum(energy[a], energy[b])
            near = apart <= MOST_DIFFERENCE
            pairs.append((rows[a[near]], rows[b[near]], mirror[near], apart[near]))
    return _best_of(pairs)


def _best_of(
    pairs: list[tuple[Labels, Labels, npt.NDArray[np.bool_], npt.NDArray[np.float32]]],
) -> list[NearDuplicate]:
    """Return each pair of rows once, as it is most similar, from (first, second, mirrored, difference) arrays."""
    if not pairs:
        return []
    first, second, mirror, apart = (np.concatenate(column) for column in zip(*pairs, strict=True))
    first, second = np.minimum(first, second), np.maximum(first, second)
    order = np.argsort(apart, kind="stable")
    _, leaders = np.unique((first * (second.max(initial=0) + 1) + second)[order], return_index=True)
    kept = order[np.sort(leaders)].tolist()
    return [NearDuplicate(int(first[k]), int(second[k]), bool(mirror[k]), round(float(apart[k]), 4)) for k in kept]


def _frequencies(images: Pixels | LazyImages, rows: Labels, progress: Progress) -> npt.NDArray[np.float32]:
    """Return the weighted lowest frequencies, float32 (n, C, SIDE, SIDE), in levels: of luma, then of colours.

    Frequency [0, 0] is the mean.
    """
    height, width, channels = images.shape[1:]
    colours = np.array(YCC if channels == 3 else ((1.0,),), np.float32)
    colours[1:] *= COLOUR_WEIGHT
    squares = np.arange(SIDE) ** 2
    weights = np.exp(-np.add.outer(squares, squares) / (2 * SPREAD**2)).astype(np.float32)
    down, across = (_cosines(side) for side in (height, width))
    found = np.empty((len(rows), channels, SIDE, SIDE), np.float32)
    step = max(1, CHUNK_BYTES // (height * width * channels * 4))
    for start in range(0, len(rows), step):
        levels = images[rows[start : start + step]].astype(np.float32).transpose(0, 3, 1, 2)
        found[start : start + step] = np.einsum("kc,ncij->nkij", colours, down @ levels @ across.T) * weights
        progress(min(start + step, len(rows)), len(rows), "looking for near-duplicates: hashing")
    return found


def _cosines(side: int) -> npt.NDArray[np.float32]:
    """Return the matrix (SIDE, side) of the lowest cosines, each of mean square 1; zeros where the side has no more."""
    places = (np.arange(side) + 0.5) * np.pi / side
    cosines = np.cos(np.arange(SIDE)[:, None] * places) * np.where(np.arange(SIDE) > 0, np.sqrt(2), 1.0)[:, None]
    cosines[side:] = 0
    return (cosines / side).astype(np.float32)


def _signs(found: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Return the bits of the hash, (n, 63): whether each frequency of the luma but the mean is positive."""
    return found[:, 0].reshape(len(found), -1)[:, 1:] > 0


def _candidates(bits: npt.NDArray[np.bool_], count: int, progress: Progress) -> Iterator[tuple[Labels, Labels]]:
    """Yield pairs of places in `bits` (2 count, 63), the second half being mirrored: the first place is below count."""
    packed = np.packbits(np.pad(bits, ((0, 0), (0, 1))), axis=1).view(np.uint64)[:, 0]
    draw = np.random.default_rng(_SEED)
    # Low frequencies are large, and keep their sign in a copy.
    down, across = (axis.ravel()[1:] for axis in np.mgrid[:SIDE, :SIDE])
    chances = 1.0 / (1.0 + down + across) ** 2
    for table in range(TABLES):
        chosen = draw.choice(bits.shape[1], TABLE_BITS, replace=False, p=chances / chances.sum())
        key = bits[:, chosen] @ (1 << np.arange(TABLE_BITS, dtype=np.int64))
        order = np.lexsort((packed, key))
        keys = key[order]
        for offset in range(1, WINDOW + 1):
            places = np.flatnonzero(keys[offset:] == keys[:-offset])
            if not len(places):
                break
            first, second = order[places], order[places + offset]
            few = np.bitwise_count(packed[first] ^ packed[second]) <= MOST_BITS
            first, second = np.minimum(first[few], second[few]), np.maximum(first[few], second[few])
            # Not two mirrored ones, and not a picture with its own mirror image.
            kept = (first < count) & (second - first != count)
            if kept.any():
                yield first[kept], second[kept]
        progress(table + 1, TABLES, "looking for near-duplicates: comparing")
