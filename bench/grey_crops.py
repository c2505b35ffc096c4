"""Grey crops like those of an inspection line: seven classes of images of 64 pixels a side, made from a seed.

    python bench/grey_crops.py [FOLDER] [--train 10000] [--test 2000] [--side 64] [--seed 0] [--test-format jpeg]

Writes FOLDER/train/CLASS and FOLDER/test/CLASS; without a FOLDER it says how long they take to make. Each crop shows a
brushed part with an edge before a dark background and a printed mark, under a light that varies, out of focus by a
varied amount, with the noise of a sensor. Good parts are 40 % of them; the others have one defect each, from plain to
hardly visible. Good parts have what looks like a defect and is none: dust, streaks of the brushing, a rough edge, thin
ink. Each label is what was drawn.
"""

from __future__ import annotations

import argparse
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

# The share of each class.
CLASSES = {
    "good": 0.40,
    "scratch": 0.15,
    "dent": 0.11,
    "stain": 0.11,
    "crack": 0.09,
    "edge chip": 0.08,
    "misprint": 0.06,
}
NAMES = tuple(CLASSES)
# Lengths below are in units of a pixel of a crop of this side.
SIDE = 64
# Pixels of such a unit around the crop, which take what the blur carries over the border.
MARGIN = 4
# Images that are drawn at once; the draws of a chunk depend on the seed, the split and its number alone.
CHUNK = 250

Levels = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--train", type=int, default=10_000)
    parser.add_argument("--test", type=int, default=2_000)
    parser.add_argument("--side", type=int, default=SIDE)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--test-format", choices=("png", "jpeg"), default="png")
    options = parser.parse_args()
    began = time.perf_counter()
    for split, count, form in (("train", options.train, "png"), ("test", options.test, options.test_format)):
        images, labels = crops(count, split=split, side=options.side, seed=options.seed)
        if options.folder:
            write(options.folder / split, images, labels, form=form)
    where = f": {options.folder}" if options.folder else ", not written: name a folder"
    print(f"{options.train + options.test:,} crops in {time.perf_counter() - began:.1f} s{where}")


def write(folder: Path, images: Pixels, labels: npt.NDArray[np.int64], *, form: str) -> None:
    """Write images (N, side, side) into class folders, as PNG or as JPEG of quality 90."""
    for name in NAMES:
        (folder / name).mkdir(parents=True, exist_ok=True)
    settings = {"png": {"compress_level": 1}, "jpeg": {"quality": 90}}[form]
    for number, (pixels, label) in enumerate(zip(images, labels, strict=True)):
        file = folder / NAMES[label] / f"{number:05}.{form.replace('jpeg', 'jpg')}"
        Image.fromarray(pixels).save(file, **settings)


def crops(count: int, *, split: str = "train", side: int = SIDE, seed: int = 0) -> tuple[Pixels, npt.NDArray[np.int64]]:
    """Return crops, uint8 (count, side, side), and their labels, numbers of `NAMES`; test crops differ from train's."""
    which = ("train", "test").index(split)
    shares = np.cumsum(list(CLASSES.values()))
    # The same share of each class in every set: the labels are spread evenly and then put into a drawn order.
    labels = np.searchsorted(shares / shares[-1], (np.arange(count) + 0.5) / count)
    np.random.default_rng([seed, which]).shuffle(labels)

    def chunk(start: int) -> Pixels:
        return Part(labels[start : start + CHUNK], side, np.random.default_rng([seed, which, start])).photograph()

    with ThreadPoolExecutor() as threads:
        images = list(threads.map(chunk, range(0, count, CHUNK)))
    return np.concatenate(images) if images else np.zeros((0, side, side), np.uint8), labels


class Part:
    """Parts with a label each, as float levels (N, S, S) where S is the crop's side with its margin."""

    def __init__(self, labels: npt.NDArray[np.int64], side: int, draw: np.random.Generator) -> None:
        self.labels, self.side, self.draw = labels, side, draw
        self.scale = side / SIDE
        self.margin = round(MARGIN * self.scale)
        axis = (np.arange(-self.margin, side + self.margin, dtype=np.float32) + 0.5) / np.float32(self.scale)
        self.y, self.x = axis[None, :, None], axis[None, None, :]

    def photograph(self) -> Pixels:
        """Return the crops, uint8 (N, side, side)."""
        surface = self.texture() + self.streaks() + self.dust()
        inside, along, across = self.edge()
        surface += self.scratches() + self.dents() + self.stains() + self.cracks()
        surface *= 1 - self.ink()
        inside = inside * (1 - self.chips(along, across))
        ground = self.between(18, 45)
        levels = (ground + inside * (surface - ground)) * self.light()
        inner = slice(self.margin, self.margin + self.side)
        return self.sensor(self.blurred(levels)[:, inner, inner])

    def between(self, low: float, high: float) -> Levels:
        """Return a number for each image, uniform: (N, 1, 1)."""
        return self.draw.uniform(low, high, (len(self.labels), 1, 1)).astype(np.float32)

    def chance(self, share: float) -> Levels:
        """Return 1 for that share of the images and 0 for the others: (N, 1, 1)."""
        return (self.between(0, 1) < share).astype(np.float32)

    def sign(self, share: float) -> Levels:
        """Return -1 for that share of the images and 1 for the others: (N, 1, 1)."""
        return 1 - 2 * self.chance(share)

    def are(self, name: str) -> Levels:
        """Return 1 for the images of a class and 0 for the others: (N, 1, 1)."""
        return (self.labels == NAMES.index(name)).astype(np.float32)[:, None, None]

    def strength(self, faintest: float, plainest: float) -> Levels:
        """Return how far a defect differs from the surface: (N, 1, 1), more of them faint than plain."""
        return faintest + (plainest - faintest) * self.between(0, 1) ** 1.3

    def smooth_noise(self, cell: float) -> Levels:
        """Return noise of deviation 1 whose hills are about `cell` wide: (N, S, S)."""
        size = self.y.shape[1]
        # White noise has a spectrum of white noise, so that is drawn; a mean of 0.
        parts = self.draw.standard_normal((len(self.labels), size, size // 2 + 1, 2), np.float32)
        spectrum = parts.view(np.complex64)[..., 0] * _passed(size, cell * self.scale / 2)
        spectrum[:, 0, 0] = 0
        smooth: Levels = np.fft.irfft2(spectrum, s=(size, size))
        return smooth / smooth.std((1, 2), keepdims=True)

    def turned(self, row: Levels, column: Levels, angle: Levels) -> tuple[Levels, Levels]:
        """Return the coordinates along and across a direction, from a centre: each (N, S, S)."""
        y, x = self.y - row, self.x - column
        return x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)

    def texture(self) -> Levels:
        """Return the brushed surface: a level, hills, and lines of brushing in one direction."""
        angle = self.between(-0.25, 0.25)
        _, across = self.turned(self.between(0, 64), self.between(0, 64), angle)
        lines = np.zeros_like(across)
        bent = across + 0.6 * self.smooth_noise(18)
        for cycles in (0.19, 0.11, 0.34):
            lines += np.sin(2 * np.pi * cycles * self.between(0.7, 1.3) * bent + self.between(0, 6.3))
        grain = self.smooth_noise(1.6)
        return (
            self.between(115, 165)
            + self.between(1, 5) * self.smooth_noise(24)
            + self.between(1.0, 4.0) * lines
            + self.between(2, 6) * grain
        )

    def streaks(self) -> Levels:
        """Return long faint lines of the brushing, which are no scratches: as long as the crop, along the brushing."""
        _, across = self.turned(self.between(4, 60), self.between(0, 64), self.between(-0.25, 0.25))
        return self.chance(0.35) * self.sign(0.5) * self.between(4, 12) * _ridge(across, self.between(0.5, 1.2))

    def dust(self) -> Levels:
        """Return specks on any part."""
        total = np.zeros((len(self.labels), self.y.shape[1], self.x.shape[2]), np.float32)
        for _ in range(3):
            along, across = self.turned(self.between(2, 62), self.between(2, 62), self.between(0, 3.2))
            spot = np.exp(-((along / self.between(0.7, 1.5)) ** 2) - (across / self.between(0.6, 1.0)) ** 2)
            total += self.chance(0.3) * self.sign(0.8) * self.between(15, 50) * spot
        return total

    def edge(self) -> tuple[Levels, Levels, Levels]:
        """Return the part's cover of each pixel, 0 to 1, and the coordinates along its edge and into the part."""
        # The edge runs along one of the four sides, some pixels inside the crop.
        angle = self.draw.integers(0, 4, (len(self.labels), 1, 1)).astype(np.float32) * np.float32(np.pi / 2)
        along, into = self.turned(np.float32(32), np.float32(32), angle + self.between(-0.12, 0.12))
        into = into + self.between(17, 27)
        rough = into + self.between(0.1, 0.45) * self.smooth_noise(3)
        return np.clip(rough * self.scale + 0.5, 0, 1), along, into

    def chips(self, along: Levels, into: Levels) -> Levels:
        """Return the cover of what has broken off the edge, 0 to 1."""
        x, radius = along - self.between(-22, 22), self.strength(2.6, 7.5)
        reach = np.hypot(x, into * self.between(0.8, 1.6)) + 0.18 * radius * self.smooth_noise(4)
        return self.are("edge chip") * np.clip((radius - reach) * self.scale + 0.5, 0, 1)

    def scratches(self) -> Levels:
        """Return thin lines, a little bent, in any direction, with two ends."""
        along, across = self.turned(self.between(18, 46), self.between(18, 46), self.between(0, 3.15))
        half = self.between(5, 17)
        line = _ridge(across - self.between(-0.006, 0.006) * along**2, self.between(0.45, 0.9))
        ends = np.clip((half - np.abs(along)) / 2, 0, 1)
        return self.are("scratch") * self.sign(0.6) * self.strength(32, 100) * line * ends

    def dents(self) -> Levels:
        """Return hollows: one flank light, the other dark, as the light falls."""
        along, across = self.turned(self.between(16, 48), self.between(16, 48), self.between(0, 6.3))
        radius = self.between(2.8, 7.0)
        hollow = np.exp(-((along / radius) ** 2 + (across / (radius * self.between(0.7, 1.0))) ** 2))
        return self.are("dent") * self.strength(17, 55) * 2.3 * (along / radius) * hollow

    def stains(self) -> Levels:
        """Return blots of an irregular outline, darker or lighter than the surface."""
        along, across = self.turned(self.between(16, 48), self.between(16, 48), self.between(0, 3.15))
        radius = self.between(4, 11)
        reach = np.hypot(along, across * self.between(1, 1.8)) + 0.3 * radius * self.smooth_noise(9)
        blot = 0.5 - 0.5 * np.tanh((reach - radius) / self.between(0.8, 3.2))
        return -self.are("stain") * self.sign(0.25) * self.strength(14, 44) * blot

    def cracks(self) -> Levels:
        """Return dark jagged lines: distance to a path of pieces that turn this way and that."""
        row, column, angle = self.between(20, 44), self.between(20, 44), self.between(0, 6.3)
        nearest = np.full((len(self.labels), self.y.shape[1], self.x.shape[2]), 99, np.float32)
        for _ in range(6):
            length = self.between(2.5, 6)
            along, across = self.turned(row, column, angle)
            nearest = np.minimum(nearest, np.hypot(along - np.clip(along, 0, length), across))
            row, column = row + length * np.sin(angle), column + length * np.cos(angle)
            angle = angle + self.sign(0.5) * self.between(0.3, 1.2)
        return -self.are("crack") * self.strength(34, 100) * _ridge(nearest, self.between(0.45, 0.85))

    def ink(self) -> Levels:
        """Return the printed mark, a ring with a bar, as the share of light that it takes: (N, S, S)."""
        row, column, angle = self.between(27, 37), self.between(27, 37), self.between(-0.3, 0.3)
        wrong, kind = self.are("misprint"), self.draw.integers(0, 4, (len(self.labels), 1, 1))
        ring, bar, along, across = self.mark(row, column, angle, self.between(6.5, 8.5))
        # A part of the ring, or of the bar, is missing.
        turn = np.arctan2(across, along) - self.between(-3.1, 3.1)
        turn = np.abs((turn + np.pi) % (2 * np.pi) - np.pi)
        gap = np.clip((turn - self.strength(0.35, 1.0)) * 6 + 0.5, 0, 1)
        ring = ring * (1 - wrong * (kind == 0) * (1 - gap))
        bar = bar * (1 - wrong * (kind == 1) * np.clip((along * self.sign(0.5) + self.between(-2, 1.5)) * 2, 0, 1))
        mark = np.maximum(ring, bar)
        # Printed twice, or thin in places.
        step = self.strength(1.6, 3.8)
        turned = self.between(0, 6.3)
        again = self.mark(row + step * np.sin(turned), column + step * np.cos(turned), angle, self.between(6.5, 8.5))
        mark = np.maximum(mark, wrong * (kind == 2) * self.between(0.4, 0.9) * np.maximum(again[0], again[1]))
        holes = np.clip(self.smooth_noise(5) * 1.5 - self.between(-0.6, 0.6), 0, 1)
        mark = mark * (1 - wrong * (kind == 3) * holes)
        thin = 1 - self.between(0, 0.25) * np.clip(self.smooth_noise(5), 0, 1)
        return self.between(0.3, 0.6) * thin * mark

    def mark(self, row: Levels, column: Levels, angle: Levels, radius: Levels) -> tuple[Levels, Levels, Levels, Levels]:
        """Return the cover of a ring and of the bar in it, and the coordinates of the mark: each (N, S, S)."""
        along, across = self.turned(row, column, angle)
        ring = np.clip((0.9 - np.abs(np.hypot(along, across) - radius)) * self.scale + 0.5, 0, 1)
        beyond = np.hypot(along - np.clip(along, -0.55 * radius, 0.55 * radius), across)
        return ring, np.clip((1.0 - beyond) * self.scale + 0.5, 0, 1), along, across

    def light(self) -> Levels:
        """Return the light on each pixel: its strength, its slope over the crop and a bright spot."""
        along, _ = self.turned(np.float32(32), np.float32(32), self.between(0, 6.3))
        spot_x, spot_y = self.turned(self.between(0, 64), self.between(0, 64), self.between(0, 3.15))
        spot = np.exp(-((spot_x / self.between(18, 40)) ** 2) - (spot_y / self.between(10, 30)) ** 2)
        return self.between(0.72, 1.2) * (1 + self.between(0, 0.22) * along / 32 + self.between(0, 0.3) * spot)

    def blurred(self, levels: Levels) -> Levels:
        """Return levels out of focus by a deviation that varies."""
        size = levels.shape[1]
        passed = _passed(size, self.between(0.25, 0.95) * self.scale)
        focused: Levels = np.fft.irfft2(np.fft.rfft2(levels) * passed, s=(size, size))
        return focused

    def sensor(self, levels: Levels) -> Pixels:
        """Return what a sensor reads: noise that grows with the root of the light, and rows that differ a little."""
        shot = self.draw.standard_normal(levels.shape, np.float32) * np.sqrt(np.maximum(levels, 1) / 128)
        rows = self.draw.standard_normal((*levels.shape[:2], 1), np.float32)
        noisy = levels + self.between(1.5, 4.5) * shot + self.between(0.2, 1.2) * rows
        return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def _ridge(distance: Levels, width: Levels) -> Levels:
    """Return the profile of a line, at a distance from it: 1 on it, falling off over its width."""
    ridge: Levels = np.exp(-((distance / width) ** 2))
    return ridge


def _passed(size: int, deviation: Levels | float) -> Levels:
    """Return the share of each frequency of (size, size) pixels that a Gaussian of a deviation in pixels passes."""
    rows, columns = np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :]
    passed: Levels = np.exp(-2 * (np.pi * np.asarray(deviation)) ** 2 * (rows**2 + columns**2)).astype(np.float32)
    return passed


if __name__ == "__main__":
    main()
