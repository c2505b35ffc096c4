"""Near-duplicates: recall and precision on copies of photographs, and the time they take.

    python bench/near_duplicates.py [DATA] [--copies 2000]

DATA is anything that `convscope check` takes, by default `cifar10` below CONVSCOPE_DATASETS. Of --copies images a copy
of each kind is made and put beside all images. Recall is the share of copies that are found with their original; a
wrong pair joins a copy to an image that is neither its original nor a near-duplicate of it. The pairs among the images
themselves are counted, and can be looked at with: convscope check DATA --near-duplicates --page FILE.
"""

from __future__ import annotations

import argparse
import io
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from convscope.data.near_duplicates import find_near_duplicates
from convscope.data.open import open_dataset
from convscope.data.records import Pixels

Copy = Callable[[Pixels], Pixels]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="?", default=str(Path(os.environ.get("CONVSCOPE_DATASETS", ".")) / "cifar10"))
    parser.add_argument("--copies", type=int, default=2000)
    options = parser.parse_args()
    dataset = open_dataset(options.data)
    images = np.concatenate([np.asarray(part.images) for part in dataset.splits.values()])
    before = time.perf_counter()
    own = find_near_duplicates(images, np.arange(len(images)))
    seconds = time.perf_counter() - before
    print(f"{len(images):,} images of {options.data}: {len(own):,} pairs, in {seconds:.1f} s\n")

    alike = {(pair.first, pair.second) for pair in own}
    some = np.random.default_rng(0).choice(len(images), min(options.copies, len(images)), replace=False)
    print(f"{'copies of ' + format(len(some), ','):<24}{'recall':>9}{'wrong pairs':>13}{'seconds':>10}")
    for name, copy in COPIES.items():
        copies = np.stack([copy(images[row]) for row in some])
        together = np.concatenate([images, copies])
        before = time.perf_counter()
        pairs = find_near_duplicates(together, np.arange(len(together)))
        seconds = time.perf_counter() - before
        found, wrong = set(), 0
        for pair in pairs:
            if pair.first < len(images) <= pair.second:
                original = int(some[pair.second - len(images)])
                if pair.first == original:
                    found.add(pair.second)
                else:
                    wrong += (min(pair.first, original), max(pair.first, original)) not in alike
        print(f"{name:<24}{len(found) / len(some):>9.1%}{wrong:>13,}{seconds:>10.1f}")


def jpeg(quality: int) -> Copy:
    def copy(pixels: Pixels) -> Pixels:
        file = io.BytesIO()
        as_image(pixels).save(file, "JPEG", quality=quality)
        return as_pixels(Image.open(file), pixels)

    return copy


def resized(factor: float) -> Copy:
    """Scaled by the factor, saved, and scaled to the size that training takes."""

    def copy(pixels: Pixels) -> Pixels:
        height, width = pixels.shape[:2]
        small = as_image(pixels).resize((round(width * factor), round(height * factor)), Image.Resampling.BICUBIC)
        return as_pixels(small.resize((width, height), Image.Resampling.BILINEAR), pixels)

    return copy


def mirrored(pixels: Pixels) -> Pixels:
    return pixels[:, ::-1]


def as_image(pixels: Pixels) -> Image.Image:
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else np.ascontiguousarray(pixels))


def as_pixels(image: Image.Image, like: Pixels) -> Pixels:
    return np.asarray(image).reshape(like.shape)


COPIES: dict[str, Copy] = {
    "JPEG, quality 90": jpeg(90),
    "JPEG, quality 50": jpeg(50),
    "JPEG, quality 30": jpeg(30),
    "half the size": resized(0.5),
    "three quarters": resized(0.75),
    "twice the size": resized(2),
    "mirrored": mirrored,
    "mirrored, quality 50": lambda pixels: jpeg(50)(mirrored(pixels)),
    "mirrored, half the size": lambda pixels: resized(0.5)(mirrored(pixels)),
}

if __name__ == "__main__":
    main()
