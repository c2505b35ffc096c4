"""Small data sets, made on the spot, in each of the layouts that are read."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
from PIL import Image


def image(seed: int, size: int = 16) -> Image.Image:
    """A picture of noise, different for each seed."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8))


def fill(folder: Path, counts: dict[str, int], *, first_seed: int = 0, ending: str = "png") -> int:
    """Make a folder for each class with its count of images; returns the next unused seed."""
    seed = first_seed
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            image(seed).save(folder / name / f"{number:03d}.{ending}")
            seed += 1
    return seed


def write_idx(path: Path, values: np.ndarray, *, zipped: bool = False) -> None:
    """An IDX file of bytes."""
    header = bytes((0, 0, 8, values.ndim)) + struct.pack(f">{values.ndim}I", *values.shape)
    data = header + values.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(data) if zipped else data)


def mnist_folder(folder: Path, *, zipped: bool, train: int = 60, test: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """MNIST's four files with random pixels; returns the training images and labels."""
    folder.mkdir(exist_ok=True)
    generator = np.random.default_rng(0)
    ending = ".gz" if zipped else ""
    made = {}
    for split, count in (("train", train), ("t10k", test)):
        images = generator.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = np.arange(count, dtype=np.uint8) % 10
        write_idx(folder / f"{split}-images-idx3-ubyte{ending}", images, zipped=zipped)
        write_idx(folder / f"{split}-labels-idx1-ubyte{ending}", labels, zipped=zipped)
        made[split] = (images, labels)
    return made["train"]


def cifar_records(count: int, *, label_bytes: int, classes: int, seed: int = 0) -> np.ndarray:
    """Records of a CIFAR binary file, (count, label_bytes + 3072)."""
    records = np.random.default_rng(seed).integers(0, 256, (count, label_bytes + 3072), dtype=np.uint8)
    records[:, label_bytes - 1] = np.arange(count) % classes
    return records


SHAPES = ("blue disc", "green bar", "red square")


def draw_shapes(targets: np.ndarray, *, seed: int, side: int = 24) -> Image.Image:
    """A grey noisy picture with each shape of SHAPES that `targets` (3,) asks for, at a place of its own."""
    draw = np.random.default_rng(seed)
    pixels = draw.normal(110, 12, (side, side, 3)).clip(0, 255)
    y, x = np.mgrid[:side, :side]
    for shape in np.flatnonzero(targets):
        top, left = draw.integers(1, side - 9, 2)
        inside = {
            0: np.hypot(y - top - 4, x - left - 4) <= 4,
            1: (abs(y - top - 4) <= 2) & (x >= left) & (x < left + 9),
            2: (y >= top) & (y < top + 7) & (x >= left) & (x < left + 7),
        }[int(shape)]
        pixels[inside] = ((40, 60, 220), (40, 200, 60), (220, 40, 40))[int(shape)]
    return Image.fromarray(pixels.astype(np.uint8))


def shapes_table(folder: Path, count: int, *, seed: int = 0, name: str = "labels.csv") -> tuple[Path, np.ndarray]:
    """A table of pictures that show some of SHAPES, or none: `image,labels`. Returns it and the targets (count, 3)."""
    targets = (np.random.default_rng(seed).random((count, 3)) < (0.5, 0.35, 0.2)).astype(np.uint8)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    lines = ["image,labels"]
    for number, row in enumerate(targets):
        path = f"images/{seed}-{number:03d}.png"
        draw_shapes(row, seed=1000 * seed + number).save(folder / path)
        lines.append(f"{path},{'|'.join(shape for shape, there in zip(SHAPES, row, strict=True) if there)}")
    (folder / name).write_text("\n".join(lines) + "\n")
    return folder / name, targets


def folders(root: Path, *paths: str, images: int = 3, size: int = 8) -> Path:
    """Make folders below `root` with `images` images in each; one whose path ends with / holds none. Returns `root`."""
    seed = 0
    for path in paths:
        (root / path).mkdir(parents=True, exist_ok=True)
        for number in range(0 if path.endswith("/") else images):
            image(seed, size).save(root / path / f"{number}.png")
            seed += 1
    return root


def each(outer: str, inner: str) -> list[str]:
    """Every path a/b of the words of two texts."""
    return [f"{first}/{second}" for first in outer.split() for second in inner.split()]
