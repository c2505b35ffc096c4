"""What every peer's script shares: its options, a clock that can be stopped, and the result that it leaves.

Every script here trains one peer on a folder with train/ and test/ class folders and is run by `bench/train.py` and
`bench/minutes.py`:

    cd bench; python -m peers.NAME DATA --out FOLDER [--seed 0] [--minutes 5] [--epochs N] [--recipe small]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

CANT_RUN_HERE = 3  # exit status of a peer that is not installed
_KEPT: list[object] = []


def options(about: str | None, *, recipes: Sequence[str] = ("default",), **more: str) -> argparse.Namespace:
    """Return the options above, and `--NAME VALUE` for each of `more` (name to help); the first recipe is taken."""
    parser = argparse.ArgumentParser(description=(about or "").splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with train/ and test/ class folders")
    parser.add_argument("--out", type=Path, required=True, help="where the weights and result.json go")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=5.0, help="what fits into this time is trained")
    parser.add_argument("--epochs", type=int, help="instead of what fits into the time")
    parser.add_argument(
        "--recipe", choices=recipes, default=recipes[0], help="the peer's defaults, or for small images"
    )
    if "small" in recipes:
        parser.add_argument(
            "--whole", action="store_true", help="recipe small: no random crops, as the label may be that of a detail"
        )
    for name, help in more.items():
        parser.add_argument(f"--{name}", required=True, help=help)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    return given


def side_of(data: Path) -> int:
    """Return the shorter side, in pixels, of one of the training images."""
    from PIL import Image

    with Image.open(next(file for file in sorted((data / "train").rglob("*.*")) if file.is_file())) as image:
        return min(image.size)


def not_here(name: str, error: Exception) -> NoReturn:
    """Say that a peer does not import, and leave."""
    print(f"{name} does not import here ({type(error).__name__}: {str(error).splitlines()[0]})", file=sys.stderr)
    sys.exit(CANT_RUN_HERE)


def declare_torchvision() -> None:
    """Declare what torchvision's compiled part would, so that its Python parts import beside any build of torch."""
    import torch

    library = torch.library.Library("torchvision", "FRAGMENT")
    _KEPT.append(library)  # what it declares goes when it goes
    for name in ("nms", "qnms"):
        with suppress(RuntimeError):  # declared already, by torchvision itself
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


class Clock:
    """Seconds since the command was given, without the time spent in `stopped` blocks."""

    def __init__(self) -> None:
        self._began = float(os.environ.get("BENCH_BEGAN", time.time()))
        self._outside = 0.0

    def seconds(self) -> float:
        """Wall seconds so far."""
        return time.time() - self._began - self._outside

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Stand still meanwhile: measuring for a curve is not part of the work."""
        before = time.time()
        yield
        self._outside += time.time() - before


def write_result(
    out: Path,
    *,
    seconds: float,
    epochs: float | None,
    images_per_second: float | None,
    accuracy: float,
    accuracy_views: float | None = None,
    to_weights: float | None = None,
    curve: list[tuple[float, float]] | None = None,
) -> None:
    """Write result.json; None is unknown.

    `curve` is (seconds, test accuracy) on the way, `to_weights` when the weights were saved.
    """
    values = {
        "seconds": seconds,
        "to_weights": to_weights,
        "epochs": epochs,
        "images_per_second": images_per_second,
        "accuracy": accuracy,
        "accuracy_views": accuracy_views,
        "curve": curve or [],
    }
    (out / "result.json").write_text(json.dumps(values) + "\n", encoding="utf-8")
