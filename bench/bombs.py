"""Small files that declare large images or many parts: peak memory with eight decoded at once, and CPU seconds of each.

    python bench/bombs.py [--at-once 8] [--only NAME]

Each kind runs in a process of its own. The baseline is that process with everything imported and one small image
decoded. `refused` means skipped with a reason; `decoded`, that the pixels were decoded and resized to 224.
"""

from __future__ import annotations

import argparse
import io
import struct
import subprocess
import sys
import tempfile
import threading
import time
import warnings
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from convscope.data.pixels.decode import decode_file
from convscope.data.records import Decoding
from convscope.files.regular import UnreadableError

SIDE = 7000
DECODING = Decoding(size=(224, 224))
MEMORY_ASKED, SECONDS_ASKED = 1000, 2.0


def encoded(mode: str, name: str, size: tuple[int, int] = (SIDE, SIDE), **settings: object) -> bytes:
    stream = io.BytesIO()
    Image.new(mode, size).save(stream, name, **settings)
    return stream.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(
    width: int, height: int, depth: int, colour: int, *chunks: bytes, interlaced: bool = False, data: bytes = b""
) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced))
    return b"".join((b"\x89PNG\r\n\x1a\n", header, *chunks, chunk(b"IDAT", data), chunk(b"IEND", b"")))


def zeros(count: int) -> bytes:
    """So many zero bytes, deflated."""
    squeeze = zlib.compressobj(9)
    piece = bytes(2**20)
    parts = [squeeze.compress(piece) for _ in range(count >> 20)]
    return b"".join([*parts, squeeze.compress(bytes(count & (2**20 - 1))), squeeze.flush()])


def progressive(scans: int) -> bytes:
    """Return a blank progressive JPEG whose last scan is repeated."""
    jpeg = encoded("RGB", "JPEG", progressive=True)
    last = jpeg.rfind(b"\xff\xda")
    return jpeg[:last] + jpeg[last:-2] * (scans - jpeg.count(b"\xff\xda") + 1) + b"\xff\xd9"


def tiff(width: int, height: int, *more: tuple[int, int, int, bytes], compression: int, data: bytes) -> bytes:
    """Return a grey TIFF of one strip; `more` are (tag, type, count, value) in place of the strip's own."""
    own = {tag for tag, *_ in more}
    entries = [(256, 4, 1, struct.pack("<I", width)), (257, 4, 1, struct.pack("<I", height))]
    entries += [(258, 3, 1, struct.pack("<HH", 8, 0)), (259, 3, 1, struct.pack("<HH", compression, 0))]
    entries += [(262, 3, 1, struct.pack("<HH", 1, 0)), (277, 3, 1, struct.pack("<HH", 1, 0))]
    if 324 not in own:
        entries += [(273, 4, 1, struct.pack("<I", 8)), (278, 4, 1, struct.pack("<I", height))]
        entries += [(279, 4, 1, struct.pack("<I", len(data)))]
    entries = sorted([entry for entry in entries if entry[0] not in own] + list(more))
    directory = struct.pack("<H", len(entries)) + b"".join(
        struct.pack("<HHI", tag, kind, count) + value for tag, kind, count, value in entries
    )
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + directory + bytes(4)


def clear_codes(count: int) -> bytes:
    """LZW of clear codes alone: eight in nine bytes."""
    return np.packbits(np.tile([1, 0, 0, 0, 0, 0, 0, 0, 0], 8 * (count // 8))).tobytes()


def many_strips(count: int) -> bytes:
    """Return a TIFF of one pixel a strip, all of them the same."""
    offsets = np.full(count, 8, "<u4").tobytes()
    at = 8 + 12
    sizes = np.full(count, 12, "<u4").tobytes()
    data = zlib.compress(b"\0") + bytes(12 - len(zlib.compress(b"\0"))) + offsets + sizes
    return tiff(
        1,
        count,
        (273, 4, count, struct.pack("<I", at)),
        (278, 4, 1, struct.pack("<I", 1)),
        (279, 4, count, struct.pack("<I", at + 4 * count)),
        compression=8,
        data=data,
    )


def bmp_rle(ones: bool) -> bytes:
    """Return a run-length coded BMP: runs of 255, or of 1."""
    row = b"\x01\x00" * SIDE if ones else b"\xff\x00" * (SIDE // 255) + bytes([SIDE % 255, 0])
    rows = 500 if ones else SIDE
    body = (row + b"\0\0") * rows + b"\0\1"
    header = struct.pack("<IiiHHIIiiII", 40, SIDE, rows, 1, 8, 1, len(body), 0, 0, 256, 0)
    palette = bytes(1024)
    return b"BM" + struct.pack("<IHHI", 54 + 1024 + len(body), 0, 0, 54 + 1024) + header + palette + body


def animated(name: str, frames: int) -> bytes:
    images = [Image.new("L", (400, 400), frame % 256) for frame in range(frames)]
    stream = io.BytesIO()
    images[0].save(stream, name, save_all=True, append_images=images[1:])
    return stream.getvalue()


WHOLE = SIDE * (1 + SIDE)
BOMBS: dict[str, Callable[[], bytes]] = {
    "WebP 9000x5500, lossless": lambda: encoded("RGB", "WEBP", (9000, 5500), lossless=True),
    "WebP 9000x5500, lossy": lambda: encoded("RGB", "WEBP", (9000, 5500), quality=1),
    "WebP 9000x5500, transparent": lambda: encoded("RGBA", "WEBP", (9000, 5500), lossless=True),
    "JPEG 7000x7000, blank": lambda: encoded("RGB", "JPEG", quality=1),
    "JPEG 7000x7000, blank CMYK": lambda: encoded("CMYK", "JPEG", quality=1),
    "JPEG 7000x7000, progressive": lambda: encoded("RGB", "JPEG", progressive=True),
    "JPEG 7000x7000, 12 scans": lambda: progressive(12),
    "JPEG 7000x7000, 190 scans": lambda: progressive(190),
    "JPEG, 64 MiB of filling": lambda: b"\xff\xd8" + b"\xff" * 2**26 + b"\xd9",
    "JPEG, 4 million segments": lambda: b"\xff\xd8" + b"\xff\xe2\0\x02" * (4 * 10**6) + b"\xff\xd9",
    "PNG 7000x7000, RGBA": lambda: png(SIDE, SIDE, 8, 6, data=zeros(SIDE * (1 + 4 * SIDE))),
    "PNG 7000x7000, RGBA of 16 bits": lambda: png(SIDE, SIDE, 16, 6, data=zeros(SIDE * (1 + 8 * SIDE))),
    "PNG 7000x7000, grey of 16 bits": lambda: png(SIDE, SIDE, 16, 0, data=zeros(SIDE * (1 + 2 * SIDE))),
    "PNG 7000x7000, grey, a transparent level": lambda: png(
        SIDE, SIDE, 16, 0, chunk(b"tRNS", b"\0\0"), data=zeros(SIDE * (1 + 2 * SIDE))
    ),
    "PNG 7000x7000, colour, a transparent one": lambda: png(
        SIDE, SIDE, 8, 2, chunk(b"tRNS", bytes(6)), data=zeros(SIDE * (1 + 3 * SIDE))
    ),
    "PNG 7000x7000, palette": lambda: png(
        SIDE, SIDE, 8, 3, chunk(b"PLTE", bytes(768)), chunk(b"tRNS", bytes(256)), data=zeros(WHOLE)
    ),
    "PNG 7000x7000, interlaced": lambda: png(SIDE, SIDE, 8, 2, interlaced=True, data=zeros(SIDE * (4 + 3 * SIDE))),
    "PNG, 1 GiB too much data": lambda: png(64, 64, 8, 0, data=zeros(2**30)),
    "PNG, a text of 1 GiB": lambda: png(8, 8, 8, 0, chunk(b"zTXt", b"a\0\0" + zeros(2**30)), data=zeros(72)),
    "PNG, 190,000 chunks": lambda: png(8, 8, 8, 0, chunk(b"tEXt", b"a\0b") * 190_000, data=zeros(72)),
    "PNG 7000x7000, 10 bytes of data": lambda: png(SIDE, SIDE, 8, 2, data=zeros(10)),
    "GIF 7000x7000": lambda: encoded("P", "GIF", transparency=0),
    "GIF, 2,000 frames": lambda: animated("GIF", 2000),
    "WebP, 500 frames": lambda: animated("WEBP", 500),
    "TIFF 7000x7000, deflate": lambda: encoded("RGB", "TIFF", compression="tiff_adobe_deflate"),
    "TIFF 7000x7000, LZW": lambda: encoded("RGB", "TIFF", compression="tiff_lzw"),
    "TIFF 7000x7000, PackBits": lambda: encoded("RGB", "TIFF", compression="packbits"),
    "TIFF 7000x7000, JPEG": lambda: encoded("RGB", "TIFF", compression="jpeg"),
    "TIFF 7000x7000, group 4": lambda: encoded("1", "TIFF", compression="group4"),
    "TIFF 7000x7000, xz": lambda: encoded("RGB", "TIFF", compression="lzma"),
    "TIFF 7000x7000, 16 bits": lambda: encoded("I;16", "TIFF", compression="tiff_adobe_deflate"),
    "TIFF 7000x7000, float, by percentile": lambda: encoded("F", "TIFF", compression="tiff_adobe_deflate"),
    "PNG 7000x7000, 16 bits, by percentile": lambda: png(SIDE, SIDE, 16, 0, data=zeros(SIDE * (1 + 2 * SIDE))),
    "TIFF, 1 GiB too much data": lambda: tiff(64, 64, compression=8, data=zeros(2**30)),
    "TIFF, 16 million LZW clear codes": lambda: tiff(SIDE, SIDE, compression=5, data=clear_codes(16 * 10**6)),
    "TIFF, a tile of 60000x60000": lambda: tiff(
        64,
        64,
        (322, 4, 1, struct.pack("<I", 60000)),
        (323, 4, 1, struct.pack("<I", 60000)),
        (324, 4, 1, struct.pack("<I", 8)),
        (325, 4, 1, struct.pack("<I", 99)),
        compression=8,
        data=zeros(99000),
    ),
    "TIFF, 200,000 strips": lambda: many_strips(200_000),
    "BMP 7000x7000, runs of 255": lambda: bmp_rle(False),
    "BMP 7000x500, runs of 1": lambda: bmp_rle(True),
    "PPM, 7 MiB of text": lambda: b"P3 1100 1100 255\n" + b"0 " * (3 * 1100 * 1100),
    "400 MiB of zeros": lambda: bytes(400 * 2**20),
    "a JPEG and 400 MiB behind it": lambda: encoded("RGB", "JPEG", (64, 64)) + bytes(400 * 2**20),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--at-once", type=int, default=8, help="threads that decode the same file")
    parser.add_argument("--only", help="measure this kind alone")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child is not None:
        print(*measure(options.child, options.at_once), sep="\t")
        return
    kinds = [options.only] if options.only else list(BOMBS)
    lines = [f"{'kind':<44}{'bytes':>13}{'peak MB':>9}{'CPU s':>8}  outcome"]
    worst = [0.0, 0.0]
    print(lines[0])
    for kind in kinds:
        command = [sys.executable, __file__, "--child", kind, "--at-once", str(options.at_once)]
        child = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        size, peak, seconds, outcome = child.stdout.rstrip("\n").split("\t")
        worst = [max(worst[0], float(peak)), max(worst[1], float(seconds))]
        lines.append(f"{kind:<44}{int(size):>13,}{float(peak):>9.0f}{float(seconds):>8.2f}  {outcome[:70]}")
        print(lines[-1], flush=True)
    lines.append(
        f"{len(kinds)} kinds, {options.at_once} at once: the most memory over the baseline is {worst[0]:.0f} MB, "
        f"the most CPU for one file {worst[1]:.2f} s"
    )
    print(lines[-1])
    sys.exit(worst[0] > MEMORY_ASKED or worst[1] > SECONDS_ASKED)


def measure(kind: str, at_once: int) -> tuple[int, float, float, str]:
    """Return the file's bytes, MB over the baseline at the peak, the longest CPU time of a thread, and the outcome."""
    warnings.simplefilter("ignore")  # Pillow's, on the sizes
    seconds: list[float] = []
    decoding = replace(DECODING, value_range="percentile") if kind.endswith("by percentile") else DECODING
    outcomes: set[str] = set()

    def decode(path: str) -> None:
        began = time.thread_time()
        try:
            decode_file(path, decoding)
        except UnreadableError as reason:
            outcomes.add(f"refused: {reason}")
        else:
            outcomes.add("decoded")
        seconds.append(time.thread_time() - began)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bomb"
        for name, *settings in (("JPEG",), ("TIFF", ("compression", "tiff_lzw")), ("PNG",), ("WEBP",)):
            path.write_bytes(encoded("RGB", name, (64, 64), **dict(settings)))
            decode(str(path))
        # The bomb is made by a process of its own: what making it takes is not to be measured.
        make = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import bombs; "
        make += f"open({str(path)!r}, 'wb').write(bombs.BOMBS[{kind!r}]())"
        subprocess.run([sys.executable, "-c", make], check=True)
        size = path.stat().st_size
        seconds.clear()
        outcomes.clear()
        baseline = memory("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins here
        threads = [threading.Thread(target=decode, args=(str(path),)) for _ in range(at_once)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return size, memory("VmHWM") - baseline, max(seconds), " / ".join(sorted(outcomes))


def memory(field: str) -> float:
    """Return this process's memory in MB, now (VmRSS) or at its peak (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) * 1024 / 1e6


if __name__ == "__main__":
    main()
