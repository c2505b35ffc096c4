"""What becomes of damaged image files: 200 with one wrong byte and 200 with a hole, of each kind of file.

    python bench/damage.py [--files 200] [--seed 0]

An outcome is one of three: refused (skipped with a reason), same (the pixels are those of the whole file), or silent
(other pixels, and no reason). A hole is 1 to 512 zero bytes, as a lost disk sector leaves them.
"""

from __future__ import annotations

import argparse
import io
import sys
import warnings
from collections import Counter
from collections.abc import Callable

import numpy as np
from PIL import Image

from convscope.data.pixels.decode import decode_bytes
from convscope.data.records import Decoding
from convscope.files.regular import UnreadableError

HEIGHT, WIDTH = 96, 128
HOLE = 512
# kind -> (settings of Pillow's encoder, mode, whether the format can know of damage in its coded pixels)
KINDS: dict[str, tuple[str, dict[str, object], str, str]] = {
    "JPEG, colour": ("JPEG", {"quality": 85}, "RGB", "in part"),
    "JPEG, grey": ("JPEG", {"quality": 85}, "L", "in part"),
    "JPEG, CMYK": ("JPEG", {"quality": 85}, "CMYK", "in part"),
    "JPEG, progressive": ("JPEG", {"quality": 85, "progressive": True}, "RGB", "in part"),
    "JPEG, progressive CMYK": ("JPEG", {"quality": 85, "progressive": True}, "CMYK", "in part"),
    "PNG, colour": ("PNG", {}, "RGB", "yes"),
    "PNG, palette": ("PNG", {}, "P", "yes"),
    "PNG, 16-bit grey": ("PNG", {}, "I;16", "yes"),
    "TIFF, deflate": ("TIFF", {"compression": "tiff_adobe_deflate"}, "RGB", "yes"),
    "TIFF, LZW": ("TIFF", {"compression": "tiff_lzw"}, "RGB", "in part"),
    "TIFF, PackBits": ("TIFF", {"compression": "packbits"}, "RGB", "in part"),
    "TIFF, JPEG": ("TIFF", {"compression": "jpeg"}, "RGB", "in part"),
    "TIFF, group 4": ("TIFF", {"compression": "group4"}, "1", "in part"),
    "TIFF, uncompressed": ("TIFF", {}, "RGB", "no"),
    "BigTIFF, deflate": ("TIFF", {"compression": "tiff_adobe_deflate", "big_tiff": True}, "RGB", "yes"),
    "WebP": ("WEBP", {"quality": 85}, "RGB", "no"),
    "GIF": ("GIF", {}, "P", "no"),
    "BMP": ("BMP", {}, "RGB", "no"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=200, help="damaged files of each kind and sort of damage")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    lines = [
        f"{options.files} files with one wrong byte and {options.files} with a hole of 1 to {HOLE} zero bytes,",
        f"{WIDTH}x{HEIGHT} pixels, seed {options.seed}",
        "",
        f"{'':<24}{'bytes':>8}  {'one byte wrong':^25}{'a hole':^25}",
        f"{'kind':<24}{'':>8}  " + f"{'refused':>9}{'same':>7}{'silent':>8} " * 2 + " format can know",
    ]
    for kind, (_, _, _, knows) in KINDS.items():
        whole = encoded(kind)
        counts = [outcomes(whole, damage, options.files, options.seed) for damage in (wrong_byte, hole)]
        cells = " ".join(f"{count['refused']:>9}{count['same']:>7}{count['silent']:>8}" for count in counts)
        lines.append(f"{kind:<24}{len(whole):>8}  {cells}  {knows}")
        print(lines[-1], file=sys.stderr, flush=True)
    print("\n".join(lines))


def encoded(kind: str) -> bytes:
    """Return a picture of gradients and noise, as a file of the kind."""
    name, settings, mode, _ = KINDS[kind]
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    noise = np.random.default_rng(7).integers(0, 24, (HEIGHT, WIDTH, 3))
    planes = np.stack([rows * 200 // HEIGHT, columns * 200 // WIDTH, (rows + columns) * 200 // (HEIGHT + WIDTH)], 2)
    image = Image.fromarray((planes + noise).astype(np.uint8))
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    else:
        image = image.quantize(64) if mode == "P" else image.convert(mode)
    stream = io.BytesIO()
    image.save(stream, name, **settings)
    return stream.getvalue()


def wrong_byte(whole: bytes, draw: np.random.Generator) -> bytes:
    at = int(draw.integers(len(whole)))
    return whole[:at] + bytes([whole[at] ^ int(draw.integers(1, 256))]) + whole[at + 1 :]


def hole(whole: bytes, draw: np.random.Generator) -> bytes:
    size = int(draw.integers(1, HOLE + 1))
    at = int(draw.integers(len(whole) - size))
    return whole[:at] + bytes(size) + whole[at + size :]


def outcomes(
    whole: bytes, damage: Callable[[bytes, np.random.Generator], bytes], files: int, seed: int
) -> Counter[str]:
    """Return how many of some damaged files are refused, the same, or silently other pixels."""
    decoding = Decoding(size=(HEIGHT, WIDTH))
    expected = decode_bytes(whole, decoding)[0]
    draw = np.random.default_rng(seed)
    found: Counter[str] = Counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, on broken metadata
        for _ in range(files):
            try:
                pixels, _ = decode_bytes(damage(whole, draw), decoding)
            except UnreadableError:
                found["refused"] += 1
            else:
                found["same" if np.array_equal(pixels, expected) else "silent"] += 1
    return found


if __name__ == "__main__":
    main()
