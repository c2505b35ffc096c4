"""The door: a folder, IDX files, CIFAR binaries or `digits` become a Dataset."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from convscope.data.decode import fit
from convscope.data.digits import CLASSES, COUNT, SIZE, load_digits
from convscope.data.records import Dataset, Decoding, ImageSet, Progress, no_progress
from convscope.data.split import stratified_split
from convscope.errors import DataError


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What a source holds, found without decoding it: enough to choose a model and the decoding.

    `image_size` is the typical (height, width) and `channels` 1 when the images looked at are all grey, else 3.
    """

    source: str
    kind: str
    classes: tuple[str, ...]
    counts: dict[str, int]
    image_size: tuple[int, int]
    channels: int


def probe(source: str) -> Probe:
    """Tell cheaply the kind, classes, counts, typical size and channels of a source; raises DataError."""
    if source == "digits":
        return Probe(source=source, kind="digits", classes=CLASSES, counts={"all": COUNT}, image_size=SIZE, channels=1)
    raise DataError(f"{source}: not yet")


def open_dataset(
    source: str | Probe,
    *,
    decoding: Decoding | None = None,
    validation_fraction: float = 0.1,
    test_fraction: float = 0.1,
    seed: int = 0,
    strict: bool = False,
    cache_directory: Path | None = None,
    progress: Progress = no_progress,
) -> Dataset:
    """Open a source as splits of uint8 images (N, H, W, C)."""
    from PIL import Image

    found = source if isinstance(source, Probe) else probe(source)
    decoding = decoding or Decoding(size=found.image_size, channels=found.channels)
    pixels, labels = load_digits()
    images = np.stack([fit(Image.fromarray(digit[:, :, 0]), decoding) for digit in pixels])
    train, val, test = (
        ImageSet(images[rows], labels[rows], [f"digits/{row}" for row in rows])
        for rows in stratified_split(labels, (validation_fraction, test_fraction), seed=seed)
    )
    return Dataset(
        source=found.source,
        kind=found.kind,
        classes=found.classes,
        decoding=decoding,
        train=train,
        val=val,
        test=test,
        made_splits=("train", "val", "test"),
    )
