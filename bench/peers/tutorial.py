"""The plain PyTorch loop, as tutorials write it: fp32, Pillow in two loader workers, SGD, a constant learning rate.

The network is `--model resnet18` of our catalogue at 32 pixels: a 3x3 stem and no max-pool.
"""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Subset

from convscope.nets.build import build
from peers.common import Clock, options, write_result

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
PADDING = 4
CURVE_EVERY = 60.0  # seconds between the points of the curve
CURVE_IMAGES = 1000  # test images that each point is measured on


class Images(Dataset):
    """Class folders, decoded when asked for; in training shifted and mirrored."""

    def __init__(self, folder: Path, *, augmented: bool) -> None:
        classes = sorted(entry for entry in folder.iterdir() if entry.is_dir())
        self.files = [(file, label) for label, each in enumerate(classes) for file in sorted(each.iterdir())]
        self.classes = len(classes)
        self.augmented = augmented

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        file, label = self.files[index]
        image = Image.open(file).convert("RGB")
        if self.augmented:
            side = image.width
            left, top = random.randint(0, 2 * PADDING), random.randint(0, 2 * PADDING)
            image = ImageOps.expand(image, PADDING).crop((left, top, left + side, top + side))
            if random.random() < 0.5:
                image = ImageOps.mirror(image)
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255
        return (pixels - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None], label


def loader(images: Dataset, *, shuffle: bool) -> DataLoader:
    return DataLoader(images, batch_size=128, shuffle=shuffle, num_workers=2)


def optimizer_of(network: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)


def step(network: nn.Module, optimizer: torch.optim.Optimizer, images: Tensor, labels: Tensor) -> float:
    """Run one step of the loop, and return its loss."""
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(network(images), labels)
    loss.backward()
    optimizer.step()
    return loss.item()


@torch.no_grad()
def accuracy(network: nn.Module, images: Dataset) -> float:
    network.eval()
    right = [network(pixels).argmax(1) == labels for pixels, labels in loader(images, shuffle=False)]
    network.train()
    return torch.cat(right).float().mean().item()


def main() -> None:
    given = options(__doc__)
    clock = Clock()
    torch.manual_seed(given.seed)
    train, test = Images(given.data / "train", augmented=True), Images(given.data / "test", augmented=False)
    sample = Subset(test, torch.randperm(len(test))[:CURVE_IMAGES].tolist())
    network = build("resnet18", num_classes=train.classes, image_size=32)
    optimizer = optimizer_of(network)
    curve: list[tuple[float, float]] = []
    seen, epoch, over = 0, 0, False
    began = clock.seconds()
    while not over:
        for images, labels in loader(train, shuffle=True):
            step(network, optimizer, images, labels)
            seen += len(labels)
            if clock.seconds() >= CURVE_EVERY * (len(curve) + 1):
                with clock.stopped():
                    curve.append((clock.seconds(), accuracy(network, sample)))
            if over := given.epochs is None and clock.seconds() >= given.minutes * 60:
                break
        epoch += 1
        over = over or epoch == given.epochs
    rate = seen / (clock.seconds() - began)
    save_file(network.state_dict(), given.out / "weights")
    seconds = clock.seconds()
    last = accuracy(network, test)
    write_result(
        given.out,
        seconds=seconds,
        to_weights=seconds,
        epochs=seen / len(train),
        images_per_second=rate,
        accuracy=last,
        curve=[*curve, (seconds, last)],
    )


if __name__ == "__main__":
    main()
