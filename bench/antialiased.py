"""Consistency of predictions before and after blurred subsampling, each network trained equally long.

    python bench/antialiased.py [--data DATA] [--model NAME] [--size 32] [--images 20000] [--epochs 10] [--further 2]
                                [--rate 0.1] [--mirror] [--shift 0] [--seed 0]

The network is trained first, then twice further by the same steps: as it is, and with `convscope.antialiased`. Training
images are evenly spaced over the set, which may be sorted by class. With `--shift` they are moved by up to that number
of pixels, which teaches the network some of what the blur gives. Printed are, on the test images, consistency between
two crops, flips among right predictions, accuracy on the crops, and multiply-adds; also of the blurred network before
it was trained further, whose weights are those of another network.
"""

from __future__ import annotations

import argparse
import copy
import math
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import nn
from torch.nn import functional

from convscope.data.augment import Augmentation, augment, generator_for
from convscope.data.batches import Batches, measure_normalization
from convscope.data.open import open_dataset, probe
from convscope.data.preprocessing import Normalization
from convscope.data.records import ImageSet
from convscope.interpret.equivariance.antialiased import antialiased_network
from convscope.interpret.equivariance.crop_pairs import prediction_consistency
from convscope.interpret.equivariance.prediction_consistency import PredictionConsistency
from convscope.interpret.replay.replays import Replays
from convscope.nets.build import build
from convscope.report.table import Column, Table, print_table
from convscope.report.units import macs, percent

BATCH = 64


def main() -> None:
    """Train, replace, train further, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", default="digits")
    parser.add_argument("--model", default="resnet20")
    parser.add_argument("--size", type=int, default=32, help="side of the images, in pixels")
    parser.add_argument("--images", type=int, default=20_000, help="of the training images, at most")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--further", type=int, default=2)
    parser.add_argument("--rate", type=float, default=0.1, help="learning rate; a fifth of it after the replacement")
    parser.add_argument("--mirror", action="store_true", help="mirror half of the training images")
    parser.add_argument("--shift", type=int, default=0, help="move training images by up to this number of pixels")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    found = probe(given.data)
    decoding = replace(found.default_decoding(), size=(given.size, given.size))
    dataset = open_dataset(found, decoding=decoding, test_fraction=0.2, validation_fraction=0.0)
    assert dataset.train is not None and dataset.test is not None, "training and test images"
    images, test = dataset.train.spaced(given.images), dataset.test
    normalization, shape = measure_normalization(images), images.images.shape[1:]
    input_shape = (shape[2], shape[0], shape[1])
    torch.manual_seed(given.seed)
    network = build(
        given.model, num_classes=len(dataset.classes), in_channels=input_shape[0], image_size=input_shape[1:]
    )
    trainer = Trainer(
        images=images,
        normalization=normalization,
        augmentation=Augmentation(flip=given.mirror, random_crop_padding=given.shift),
        seed=given.seed,
    )
    trainer.train(network, epochs=given.epochs, rate=given.rate)
    result = antialiased_network(network, input_shape, name=given.model)
    untrained, blurred, plain = copy.deepcopy(result.network), result.network, copy.deepcopy(network)
    for one in (plain, blurred):
        trainer.train(one, epochs=given.further, rate=given.rate / 5)
    rows = [
        row("as it was trained", measured(network, test, normalization), result.macs_before),
        row(f"as it is, {given.further} epochs further", measured(plain, test, normalization), result.macs_before),
        row("blurred, not trained further", measured(untrained, test, normalization), result.macs_after),
        row(f"blurred, {given.further} epochs further", measured(blurred, test, normalization), result.macs_after),
    ]
    columns = [Column("network"), Column("consistency", numeric=True), Column("flips of right", numeric=True),
               Column("probability change", numeric=True), Column("accuracy", numeric=True),
               Column("MACs", numeric=True)]  # fmt: skip
    print_table(Table.of(columns, rows, title=f"{given.model} on {given.data}, {len(test):,} test images"))
    for layer in result.blurred:
        print(f"{layer.layer}: {layer.how}; {macs(layer.macs_before)} to {macs(layer.macs_after)}")


@dataclass(frozen=True, kw_only=True)
class Trainer:
    """Trains networks on the same images, mirrored and moved by the same draws."""

    images: ImageSet
    normalization: Normalization
    augmentation: Augmentation
    seed: int

    def train(self, network: nn.Module, *, epochs: int, rate: float) -> None:
        """Train by SGD with momentum: the rate rises over a tenth of the steps, then falls along half a cosine."""
        batches = Batches(
            self.images, batch_size=BATCH, shuffle=True, seed=self.seed, normalization=self.normalization,
            join_single=True,
        )  # fmt: skip
        count = max(1, epochs * len(batches))
        optimizer = torch.optim.SGD(network.parameters(), lr=rate, momentum=0.9, weight_decay=5e-4, nesterov=True)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, partial(rate_at, count=count))
        network.train()
        for epoch in range(epochs):
            for step, (pixels, labels, _) in enumerate(replace(batches, epoch=epoch)):
                generator = generator_for(self.seed, epoch, step)
                loss = functional.cross_entropy(
                    network(augment(pixels, self.augmentation, generator=generator)), labels
                )
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
        network.eval()


def rate_at(step: int, *, count: int) -> float:
    """Return the learning rate of a step, of its largest.

    >>> [round(rate_at(step, count=100), 2) for step in (0, 9, 55, 99)]
    [0.1, 1.0, 0.5, 0.0]
    """
    rising = max(1, count // 10)
    if step < rising:
        return (step + 1) / rising
    return (1 + math.cos(math.pi * (step - rising) / max(1, count - rising))) / 2


def measured(network: nn.Module, test: ImageSet, normalization: Normalization) -> PredictionConsistency:
    """Return the consistency of a network over the test images."""
    return prediction_consistency(Replays(network, name="the network"), test, normalization)


def row(name: str, found: PredictionConsistency, cost: int) -> list[str]:
    """Return a network's row."""
    return [name, percent(found.consistency), percent(found.flips), f"{found.probability_change:.3f}",
            percent(found.accuracy), macs(cost)]  # fmt: skip


if __name__ == "__main__":
    main()
