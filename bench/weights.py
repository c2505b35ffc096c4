"""What the digest of a weights file costs when 100 MB are read, and what damage it finds.

    python bench/weights.py [--megabytes 100] [--repeats 7] [--mutations 400]

The file is written as a run writes its own, and beside it one of the same tensors without a digest. Both are read, in
turns; then as many damaged copies of a smaller one (flips, cuts, zeroed and swapped blocks), of which none may be
accepted.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from convscope.errors import CaptureError
from convscope.nets.weights.digest import require_intact
from convscope.nets.weights.read import as_tensor, read_weights
from convscope.nets.weights.safetensors_file import parse_safetensors
from convscope.runs.tensor_files import sealed_bytes, tensor_bytes

LAYER = 1024  # a layer of LAYER x LAYER weights is 4 MiB


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--mutations", type=int, default=400)
    options = parser.parse_args()
    print(f"Python {platform.python_version()}, torch {torch.__version__}, {platform.machine()}\n")
    with tempfile.TemporaryDirectory() as folder:
        path, without = Path(folder) / "weights.safetensors", Path(folder) / "without.safetensors"
        content = written(options.megabytes)
        path.write_bytes(content)
        without.write_bytes(tensor_bytes(drawn(options.megabytes)))
        parsed = parse_safetensors(memoryview(bytearray(content)))
        view = memoryview(content)
        works: dict[str, Callable[[], object]] = {
            "the check alone, in memory": lambda: require_intact(view, parsed.metadata, required=True),
            "reading every tensor, with the check": lambda: whole(path),
            "reading every tensor, without": lambda: whole(without, sealed=False),
        }
        seconds: dict[str, list[float]] = {what: [] for what in works}
        for _ in range(options.repeats):
            for what, work in works.items():
                before = time.perf_counter()
                work()
                seconds[what].append(time.perf_counter() - before)
        for what, taken in seconds.items():
            middle = statistics.median(taken)
            print(f"{what:<40}{middle:>8.3f} s for {len(content) / 1e6:.0f} MB ({min(taken):.3f} to {max(taken):.3f})")
        print()
        accepted = damaged(path, options.mutations)
        print(f"damaged files: {options.mutations}, accepted: {accepted}")
        assert accepted == 0


def drawn(megabytes: int) -> dict[str, torch.Tensor]:
    """Return random weights of about `megabytes` MB."""
    layers = max(1, round(megabytes * 1e6 / (4 * LAYER * LAYER)))
    return {f"layer{number}.weight": torch.randn(LAYER, LAYER) for number in range(layers)}


def written(megabytes: int) -> bytes:
    """Return a weights file of about `megabytes` MB, as a run has it."""
    return sealed_bytes(drawn(megabytes), note=json.dumps({"epoch": 1, "accuracy": 0.5, "loss": 1.0}))


def whole(path: Path, *, sealed: bool = True) -> list[torch.Tensor]:
    """Read every tensor of a file, as a run reads its own; without `sealed`, one that has no digest."""
    return [as_tensor(tensor) for tensor in read_weights(path, sealed=sealed).tensors.values()]


def damaged(path: Path, count: int) -> int:
    """Return how many of `count` damaged files are read all the same."""
    good = written(4)
    draw = np.random.default_rng(0)
    accepted = 0
    for number in range(count):
        found = bytearray(good)
        header = 8 + int.from_bytes(good[:8], "little")
        place = int(draw.integers(header if number % 2 else len(good)))
        size = min(int(draw.integers(1, 512)), len(good) - place)
        if number % 5 < 2:
            found[place] ^= 1 << int(draw.integers(8))
        elif number % 5 == 2:
            del found[place:]
        elif number % 5 == 3:
            found[place : place + size] = bytes(size)
        else:
            other = int(draw.integers(len(good) - size))
            block = found[place : place + size]
            found[place : place + size] = found[other : other + size]
            found[other : other + size] = block
        if found == good:
            continue
        path.write_bytes(found)
        try:
            whole(path)
            accepted += 1
        except CaptureError:
            continue
    return accepted


if __name__ == "__main__":
    main()
