"""Labels that a mirror changes: what the default recipe decides about flips, and the accuracy that comes of it.

    python bench/mirror.py [--folder FOLDER] [--images 400] [--only TEXT] [--check]

Draws arrows (left, right), figures turned by 0, 90, 180 and 270 degrees, letters and mirrored letters, and b, d, p, q,
at varied position, size, colour and noise: in folders whose names say what they hold, and in folders whose names do
not. Trains each by `convscope train FOLDER`, without another setting; with --flip yes as it would be with flips. With
--check nothing is trained: only what is decided about flips, and in what time, is printed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from convscope.report.table import Column, Table, print_table
from convscope.report.units import percent
from convscope.report.units import seconds as in_words

# Outlines of figures that are their own mirror image, upright, in a square of side 1.
UPRIGHT = (
    ((0.5, 0.0), (0.95, 0.5), (0.65, 0.5), (0.65, 1.0), (0.35, 1.0), (0.35, 0.5), (0.05, 0.5)),  # arrow
    ((0.05, 0.05), (0.95, 0.05), (0.95, 0.3), (0.63, 0.3), (0.63, 1.0), (0.37, 1.0), (0.37, 0.3), (0.05, 0.3)),  # T
    ((0.5, 0.0), (1.0, 0.45), (0.85, 0.45), (0.85, 1.0), (0.15, 1.0), (0.15, 0.45), (0.0, 0.45)),  # house
    ((0.5, 0.0), (1.0, 1.0), (0.5, 0.7), (0.0, 1.0)),  # pointer
)
ARROWS = (UPRIGHT[0], UPRIGHT[3])
LETTERS = "CEFGJKLPRS"
Levels = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Work:
    """A kind of labels: how a mask (side, side) of 0 to 1 of class number c is drawn, and the names of the classes."""

    name: str
    mask: Callable[[int, int, np.random.Generator], Image.Image]
    telling: tuple[str, ...]
    neutral: tuple[str, ...]


def drawn(outline: tuple[tuple[float, float], ...], turns: int, side: int) -> Image.Image:
    """Return a filled outline, turned clockwise by a multiple of 90 degrees: mode L, (side, side)."""
    image = Image.new("L", (side, side))
    ImageDraw.Draw(image).polygon([(x * (side - 1), y * (side - 1)) for x, y in outline], fill=255)
    return image.rotate(-90 * turns)


def written(letter: str, side: int) -> Image.Image:
    """Return a character in Pillow's own font: mode L, (side, side)."""
    font = ImageFont.load_default(size=side)
    left, top, right, bottom = font.getbbox(letter)
    image = Image.new("L", (int(right - left) + 2, int(bottom - top) + 2))
    ImageDraw.Draw(image).text((1 - left, 1 - top), letter, fill=255, font=font)
    return image.resize((side, side)) if max(image.size) > side else _centred(image, side)


def _centred(image: Image.Image, side: int) -> Image.Image:
    whole = Image.new("L", (side, side))
    whole.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return whole


def arrow(label: int, side: int, draw: np.random.Generator) -> Image.Image:
    """Return an arrow to the left (0) or to the right (1)."""
    return drawn(ARROWS[draw.integers(len(ARROWS))], (3, 1)[label], side)


def turned(label: int, side: int, draw: np.random.Generator) -> Image.Image:
    """Return a figure turned by `label` quarters."""
    return drawn(UPRIGHT[draw.integers(len(UPRIGHT))], label, side)


def letter(label: int, side: int, draw: np.random.Generator) -> Image.Image:
    """Return a letter (0) or its mirror image (1)."""
    image = written(LETTERS[draw.integers(len(LETTERS))], side)
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if label else image


def bdpq(label: int, side: int, draw: np.random.Generator) -> Image.Image:
    """Return one of the letters b, d, p and q."""
    return written("bdpq"[label], side)


WORKS = (
    Work("left and right arrows", arrow, ("left_arrow", "right-arrow"), ("a1", "b7")),
    Work("four rotations", turned, ("0", "90", "180", "270"), ("a1", "b7", "c4", "d2")),
    Work("mirrored letters", letter, ("as written", "mirrored"), ("a1", "b7")),
    Work("b, d, p, q", bdpq, ("letter_b", "letter_d", "letter_p", "letter_q"), ("a1", "b7", "c4", "d2")),
)


def image_of(work: Work, label: int, side: int, draw: np.random.Generator) -> Image.Image:
    """Return a colour image (side, side): the class's figure on a background of another colour, with noise."""
    figure = int(side * draw.uniform(0.35, 0.7))
    mask = np.zeros((side, side))
    top, left = draw.integers(0, side - figure + 1, 2)
    mask[top : top + figure, left : left + figure] = np.asarray(work.mask(label, figure, draw)) / 255
    ground = draw.uniform(0, 255, 3)
    while np.abs((ink := draw.uniform(0, 255, 3)) - ground).max() < 90:
        pass
    shade = draw.uniform(-30, 30, 2) @ np.mgrid[-0.5 : 0.5 : side * 1j, -0.5 : 0.5 : side * 1j].reshape(2, -1)
    levels = ground + mask[..., None] * (ink - ground) + shade.reshape(side, side, 1)
    levels += draw.normal(0, draw.uniform(2, 20), levels.shape)
    image = Image.fromarray(levels.clip(0, 255).astype(np.uint8))
    return image.filter(ImageFilter.GaussianBlur(draw.uniform(0, side / 80)))


def make(folder: Path, work: Work, names: tuple[str, ...], *, side: int, count: int, seed: int = 0) -> None:
    """Write `count` images of each class into class folders."""
    draw = np.random.default_rng(seed)
    for label, name in enumerate(names):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            image_of(work, label, side, draw).save(folder / name / f"{number:04}.png")


@dataclass(frozen=True)
class Case:
    """One folder to train on."""

    work: Work
    names: tuple[str, ...]
    side: int

    @property
    def folder(self) -> str:
        """What the folder is called."""
        return f"{self.work.name.replace(' ', '-').replace(',', '')}-{self.side}-{self.names[0].replace(' ', '-')}"


# Names that tell are decided by themselves, whatever the size; large images take minutes to train on.
CASES = tuple(
    Case(work, names, side)
    for work in WORKS
    for names, side in ((work.telling, 40), (work.neutral, 40), (work.neutral, 75))
)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", type=Path, help="where images and runs go; a temporary folder unless given")
    parser.add_argument("--images", type=int, default=400, help="images of all classes together")
    parser.add_argument("--only", default="", help="folders whose names hold this, like rotations-40")
    parser.add_argument("--flip", choices=("auto", "yes"), default="auto", help="yes: what flips would do")
    parser.add_argument("--check", action="store_true", help="train nothing, only decide")
    given = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as place:
        folder = given.folder or Path(place)
        for case in CASES:
            if given.only in case.folder:
                rows.append(measure(case, folder, given))
                print(*rows[-1], sep="  ", file=sys.stderr, flush=True)
    columns = [
        Column("labels"),
        Column("class names"),
        Column("side", numeric=True),
        Column("images", numeric=True),
        Column("flips"),
        Column("decided in", numeric=True),
        Column("network"),
        Column("test accuracy", numeric=True),
        Column("in all", numeric=True),
    ]
    print_table(Table.of(columns, rows))


def measure(case: Case, folder: Path, given: argparse.Namespace) -> tuple[str, ...]:
    """Return a row of the table: what was decided, and what came of it."""
    data = folder / "images" / case.folder
    if not data.exists():
        make(data, case.work, case.names, side=case.side, count=given.images // len(case.names))
    flips, decided = decision(data)
    row = (case.work.name, ", ".join(case.names), str(case.side), str(given.images))
    if given.check:
        return (*row, flips, in_words(decided), "", "", "")
    began = time.perf_counter()
    command = ["train", str(data), "--runs", str(folder / "runs"), "--cache", str(folder / "cache"), "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "convscope", *command, *(["--flip", "yes"] if given.flip == "yes" else [])],
        env=os.environ,
        stdout=subprocess.PIPE,
        check=True,
    )
    seconds = time.perf_counter() - began
    found = json.loads(done.stdout)
    network = json.loads((Path(found["run"]) / "model.json").read_text())["network"]["name"]
    accuracy = found["scores"]["accuracy_top1"]
    flips = "as asked" if given.flip == "yes" else flips
    return (*row, flips, in_words(decided), network, percent(accuracy, decimals=2), in_words(seconds))


def decision(data: Path) -> tuple[str, float]:
    """Return whether images are mirrored by default, in words, and the seconds that this took in all."""
    from convscope.data.open import probe
    from convscope.recipe.recipe import Recipe
    from convscope.training.resolve.resolve import resolve

    found = probe(str(data))
    began = time.perf_counter()
    resolved = resolve(Recipe(data=str(data)), found)
    seconds = time.perf_counter() - began
    if resolved.recipe.flip:
        return "on", seconds
    (reason,) = (line for line in resolved.reasons if line.startswith("no flips"))
    return "off, by the images" if "look like" in reason else "off, by the names", seconds


if __name__ == "__main__":
    main()
