"""Images a second from JPEG files to pixels: Pillow, simplejpeg and our cache side by side; then the second run.

    python bench/decode.py [FOLDER] [--photos FOLDER] [--repeats 5]

FOLDER is CIFAR-10 as JPEG files (train/ and test/ with a folder a class), by default `cifar10` below
CONVSCOPE_DATASETS. Every decoder starts with the files in the page cache; every pixel in our cache is compared with
Pillow's.

With --photos, a folder of photographs (any sizes and depths of folders), decoding at a reduced size is measured
instead: the CPU time of a 12-megapixel JPEG to the sides of a network, against decoding it in full, and by how many
levels the pixels then differ. The large JPEGs are mosaics of the photographs at their own size, which have more detail
than a camera's picture of as many pixels, and single photographs enlarged, which have less.
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
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL
import simplejpeg
from PIL import Image

from convscope.data.open import open_dataset, probe
from convscope.data.pixels.decode import decode_bytes
from convscope.data.pixels.reduced import reduction
from convscope.data.pixels.structure import read_header
from convscope.data.records import Decoding


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", default=str(Path(os.environ.get("CONVSCOPE_DATASETS", ".")) / "cifar10"))
    parser.add_argument("--photos", help="measure large JPEGs made of the photographs in this folder")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    if options.photos:
        large_jpegs(Path(options.photos), options.repeats)
        return
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


def large_jpegs(folder: Path, repeats: int) -> None:
    """Print the time and the pixels of decoding at a reduced size beside those of decoding in full."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    photos = [Image.open(path).convert("RGB") for path in files]
    if not photos:
        print(f"{folder}: no .jpg or .jpeg file in it")
        return
    kinds: dict[str, list[bytes]] = {
        f"mosaic, 12 MP, quality {quality}": [as_jpeg(mosaic(photos), quality=quality)] for quality in (75, 90)
    }
    kinds["mosaic, 12 MP, progressive"] = [as_jpeg(mosaic(photos), quality=75, progressive=True)]
    kinds["enlarged to 12 MP"] = [as_jpeg(photo.resize((4000, 3000)), quality=90) for photo in photos[:4]]
    kinds[f"{len(files)} photographs as they are"] = [path.read_bytes() for path in files]
    print(f"{len(files)} photographs of {folder}; CPU ms an image, medians of {repeats}; differences of 255 levels")
    print(f"{'JPEG':<30}{'to':>5}{'parts':>9}{'in full':>9}{'reduced':>9}{'ratio':>7}{'mean':>8}{'99 %':>6}{'most':>6}")
    for kind, several in kinds.items():
        for side in (32, 64, 224, 384):
            print(row_of(kind, several, Decoding(size=(side, side)), repeats), flush=True)


def row_of(kind: str, several: list[bytes], decoding: Decoding, repeats: int) -> str:
    """Measure JPEGs of one kind at one size; the line of the table."""
    whole = replace(decoding, jpeg_reduction=0)
    seconds: dict[Decoding, list[float]] = {whole: [], decoding: []}
    for _ in range(repeats):
        for each, measured in seconds.items():
            before = time.process_time()
            for data in several:
                decode_bytes(data, each)
            measured.append((time.process_time() - before) / len(several))
    headers = [read_header(data) for data in several]
    target = decoding.size[::-1]
    factors = {reduction((header.width, header.height), target, decoding.resize_mode) for header in headers}
    away = [np.abs(decode_bytes(data, decoding)[0].astype(int) - decode_bytes(data, whole)[0]) for data in several]
    levels = np.concatenate([each.ravel() for each in away])
    in_full, reduced = (1000 * statistics.median(measured) for measured in seconds.values())
    parts = "1/" + ",".join(map(str, sorted(factors)))
    return (
        f"{kind:<30}{target[0]:>5}{parts:>9}{in_full:>9.2f}{reduced:>9.2f}{in_full / reduced:>7.2f}"
        f"{levels.mean():>8.3f}{np.percentile(levels, 99):>6.0f}{levels.max():>6}"
    )


def mosaic(photos: list[Image.Image]) -> Image.Image:
    """Return 4000x3000 pixels of photographs side by side, each at its own size and cut off at 500x375."""
    whole = Image.new("RGB", (4000, 3000))
    for place in range(64):
        photo = photos[place % len(photos)]
        whole.paste(photo.crop((0, 0, 500, 375)), (500 * (place % 8), 375 * (place // 8)))
    return whole


def as_jpeg(image: Image.Image, **settings: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", **settings)
    return stream.getvalue()


def with_pillow(paths: list[str]) -> list[np.ndarray]:
    return [np.asarray(Image.open(io.BytesIO(Path(path).read_bytes())).convert("RGB")) for path in paths]


def with_simplejpeg(paths: list[str]) -> list[np.ndarray]:
    return [simplejpeg.decode_jpeg(Path(path).read_bytes()) for path in paths]


def into_cache(source: str, folder: Path):
    return open_dataset(source, validation_fraction=0, cache_directory=folder)


if __name__ == "__main__":
    main()
