"""The most that this machine does of each thing that training needs: products, convolutions, copies, decoding, disk."""

from __future__ import annotations

import io
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from convscope.data.pixels.decode import decode_bytes
from convscope.data.records import Decoding
from convscope.hardware.device import has_tf32, most_threads
from convscope.hardware.mode import ComputeMode, Precision, computing
from convscope.report.short_repr import ShortRepr

# The least and the most times that each thing is timed.
LEAST_REPEATS, MOST_REPEATS = 5, 100
# Sides of square matrices, and (images, channels in and out, side) of 3x3 convolutions: the best of them counts.
MATMUL_SIDES = (1024, 2048)
CONVOLUTIONS = ((32, 64, 56), (64, 128, 32), (128, 256, 16))
COPIED_BYTES = 256 * 2**20
DISK_BYTES = 64 * 2**20
# JPEGs that are decoded: (height, width).
PICTURES = ((32, 32), (375, 500))


@dataclass(frozen=True, kw_only=True)
class Rate:
    """So much a second: by the median of several runs, and the share by which they differ (slowest less fastest)."""

    per_second: float
    spread: float


def measure_rate(work: Callable[[], object], *, amount: float, seconds: float, device: str = "cpu") -> Rate:
    """Measure `amount` per second of `work`, repeated for about `seconds` after a warm-up run."""
    taken: list[float] = []
    work()
    while len(taken) < LEAST_REPEATS or (sum(taken) < seconds and len(taken) < MOST_REPEATS):
        _wait_for(device)
        began = time.perf_counter()
        work()
        _wait_for(device)
        taken.append(max(time.perf_counter() - began, 1e-9))
    median = statistics.median(taken)
    return Rate(per_second=amount / median, spread=(max(taken) - min(taken)) / median)


def _wait_for(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Ceilings(ShortRepr):
    """Measured rates; None where a thing can't be done here.

    Args:
        matmul: floating-point operations a second of a matrix product, by arithmetic: fp32, tf32 (where there is
            such), bf16.
        convolution: the same of a 3x3 convolution, forward, by arithmetic and memory format.
        copy: bytes read and written a second.
        decode: JPEGs a second on one core, by size.
        disk_write: bytes a second into the cache folder, flushed.
        disk_read: bytes a second out of it; from the disk itself if the system can drop the file from its cache.
    """

    matmul: dict[str, Rate]
    convolution: dict[str, Rate]
    copy: Rate
    decode: dict[str, Rate]
    disk_write: float | None
    disk_read: float | None

    @property
    def spread(self) -> float:
        """The largest difference between runs of one thing: how busy the machine was."""
        rates = (*self.matmul.values(), *self.convolution.values(), self.copy)
        return max(rate.spread for rate in rates)

    def peak(self, precision: str) -> float:
        """Return the fastest convolution in this arithmetic, floating-point operations a second."""
        return max(rate.per_second for name, rate in self.convolution.items() if name.startswith(precision))


def measure_ceilings(folder: Path, *, device: str = "cpu", scale: float = 1.0) -> Ceilings:
    """Measure everything, in some 15 seconds times `scale`; `folder` is where the disk is tried."""
    seconds = 0.4 * scale
    kinds: tuple[Precision, ...] = ("fp32", "tf32", "bf16") if has_tf32(device) else ("fp32", "bf16")
    with torch.inference_mode():
        return Ceilings(
            matmul={kind: _matmul(kind, seconds, device) for kind in kinds},
            convolution={
                f"{kind} {layout}": _convolution(kind, layout, seconds, device)
                for kind in kinds
                for layout in _LAYOUTS
                if (kind, layout) != ("bf16", "contiguous")
            },
            copy=_copy(seconds, device, int(COPIED_BYTES * min(1.0, scale))),
            decode={f"{height}x{width}": _decode((height, width), seconds) for height, width in PICTURES},
            **_disk(folder, int(DISK_BYTES * min(1.0, scale))),
        )


_KINDS: dict[Precision, torch.dtype] = {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16}
_LAYOUTS = {"contiguous": torch.contiguous_format, "channels-last": torch.channels_last}


def _best(measures: Iterable[Callable[[], Rate]], kind: Precision, device: str) -> Rate:
    """Return the fastest of several in this arithmetic, as torch's default for float32 differs by operation."""
    mode = ComputeMode(precision=kind, memory_format="contiguous", compile="no", threads=most_threads())
    with computing(mode, device):
        return max((measure() for measure in measures), key=lambda rate: rate.per_second)


def _matmul(kind: Precision, seconds: float, device: str) -> Rate:
    def one(side: int) -> Rate:
        left, right = (torch.ones((side, side), dtype=_KINDS[kind], device=device) for _ in range(2))
        return measure_rate(lambda: left @ right, amount=2 * side**3, seconds=seconds, device=device)

    return _best((partial(one, side) for side in MATMUL_SIDES), kind, device)


def _convolution(kind: Precision, layout: str, seconds: float, device: str) -> Rate:
    def one(sizes: tuple[int, int, int]) -> Rate:
        images, channels, side = sizes
        pixels = torch.ones((images, channels, side, side), dtype=_KINDS[kind], device=device)
        weights = torch.ones((channels, channels, 3, 3), dtype=_KINDS[kind], device=device)
        pixels, weights = (tensor.contiguous(memory_format=_LAYOUTS[layout]) for tensor in (pixels, weights))
        amount = 2 * images * channels**2 * 9 * side**2
        return measure_rate(
            lambda: functional.conv2d(pixels, weights, padding=1), amount=amount, seconds=seconds, device=device
        )

    return _best((partial(one, sizes) for sizes in CONVOLUTIONS), kind, device)


def _copy(seconds: float, device: str, size: int) -> Rate:
    source = torch.zeros(size // 4, device=device)
    target = torch.zeros_like(source)
    return measure_rate(lambda: target.copy_(source), amount=2 * source.nbytes, seconds=seconds, device=device)


def _decode(shape: tuple[int, int], seconds: float) -> Rate:
    """Measure the decoder on one core, on a picture of gradients and noise."""
    from PIL import Image

    height, width = shape
    rows, columns = np.mgrid[0:height, 0:width]
    noise = np.random.default_rng(0).integers(0, 40, (height, width, 3))
    picture = np.stack([rows * 215 // height, columns * 215 // width, (rows + columns) % 200], 2) + noise
    file = io.BytesIO()
    Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=75)
    data, decoding = file.getvalue(), Decoding(size=shape)
    many = 200 if height < 100 else 5

    def work() -> None:
        for _ in range(many):
            decode_bytes(data, decoding)

    return measure_rate(work, amount=many, seconds=seconds)


def _disk(folder: Path, size: int) -> dict[str, float | None]:
    """Write a file through to the disk and read it back."""
    block = os.urandom(2**20)
    count = max(1, size // len(block))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
            began = time.perf_counter()
            for _ in range(count):
                file.write(block)
            os.fsync(file.fileno())
            write = count * len(block) / max(time.perf_counter() - began, 1e-9)
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            file.seek(0)
            began = time.perf_counter()
            while file.read(len(block)):
                pass
            read = count * len(block) / max(time.perf_counter() - began, 1e-9)
    except OSError:
        return {"disk_write": None, "disk_read": None}
    return {"disk_write": write, "disk_read": read}
