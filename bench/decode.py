"""Images a second from JPEG files to pixels: Pillow, simplejpeg and our cache side by side; then the second run.

    python bench/decode.py [FOLDER] [--repeats 5]

FOLDER is CIFAR-10 as JPEG files (train/ and test/ with a folder a class), by default `cifar10` below
CONVSCOPE_DATASETS. Every decoder starts with the files in the page cache; every pixel in our cache is compared with
Pillow's.
"""

from __future__ import annotations

import argparse
import io
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL
import simplejpeg
from PIL import Image

from convscope.data.open import open_dataset, probe


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", default=str(Path(os.environ.get("CONVSCOPE_DATASETS", ".")) / "cifar10"))
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    if not Path(options.folder).is_dir():
        print(f"{options.folder}: not there. Give the folder of CIFAR-10's JPEG files, or set CONVSCOPE_DATASETS.")
        return
    paths = probe(options.folder).listing.names
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    print(f"{len(paths)} files of {options.folder}; {cores} cores; medians of {options.repeats} (least to most)")
    print(f"Python {platform.python_version()}, Pillow {PIL.__version__}, simplejpeg {simplejpeg.__version__}\n")
    expected = with_pillow(paths)

    def measure(what: str, work: Callable[[], object]) -> None:
        rates = []
        for _ in range(options.repeats):
            before = time.perf_counter()
            work()
            rates.append(len(paths) / (time.perf_counter() - before))
        print(f"{what:<44}{statistics.median(rates):>10,.0f} images/s  ({min(rates):,.0f} to {max(rates):,.0f})")

    measure("Pillow, one thread, into memory", lambda: with_pillow(paths))
    measure("simplejpeg, one thread, no checks", lambda: with_simplejpeg(paths))
    with tempfile.TemporaryDirectory() as folder:
        fresh = (Path(folder) / str(number) for number in range(10**6))
        measure("convscope, listing + decoding into the cache", lambda: into_cache(options.folder, next(fresh)))

        seconds, seen = [], None
        into_cache(options.folder, Path(folder))
        for _ in range(options.repeats):
            before = time.perf_counter()
            seen = into_cache(options.folder, Path(folder))
            seconds.append(time.perf_counter() - before)
        per_50_000 = statistics.median(seconds) * 50_000 / len(paths)
        print(f"{'convscope, the second run opens in':<44}{per_50_000:>10.2f} s for 50,000 images")
        assert seen is not None and seen.cache_hit
        pixels = {name: split.images[row] for split in seen.splits.values() for row, name in enumerate(split.names)}
        different = sum(not np.array_equal(pixels[path], image) for path, image in zip(paths, expected, strict=True))
    print(f"\nimages in the cache that differ from Pillow's in any pixel: {different} of {len(paths)}")
    sys.exit(different > 0)


def with_pillow(paths: list[str]) -> list[np.ndarray]:
    return [np.asarray(Image.open(io.BytesIO(Path(path).read_bytes())).convert("RGB")) for path in paths]


def with_simplejpeg(paths: list[str]) -> list[np.ndarray]:
    return [simplejpeg.decode_jpeg(Path(path).read_bytes()) for path in paths]


def into_cache(source: str, folder: Path):
    return open_dataset(source, validation_fraction=0, cache_directory=folder)


if __name__ == "__main__":
    main()
