"""Consistency of predictions before and after blurred subsampling, each network trained equally long.

    python bench/antialiased.py [--data DATA] [--model NAME] [--size 32] [--images 4000] [--epochs 4] [--further 2]
                                [--rate 0.05] [--seed 0]

The network is trained first, then twice further by the same steps: as it is, and with `convscope.antialiased`. Printed
are, on the test images, consistency between two crops, flips among right predictions, accuracy, and multiply-adds; also
of the blurred network before it was trained further, whose weights are those of another network.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import nn
from torch.nn import functional

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
    parser.add_argument("--model", default="cifarnet-tiny")
    parser.add_argument("--size", type=int, default=32, help="side of the images, in pixels")
    parser.add_argument("--images", type=int, default=4000, help="of the training images")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--further", type=int, default=2)
    parser.add_argument("--rate", type=float, default=0.05, help="learning rate; a fifth of it after the replacement")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    found = probe(given.data)
    decoding = replace(found.default_decoding(), size=(given.size, given.size))
    dataset = open_dataset(found, decoding=decoding, test_fraction=0.2, validation_fraction=0.0)
    assert dataset.train is not None and dataset.test is not None, "training and test images"
    images, test = dataset.train.part(slice(0, given.images)), dataset.test
    normalization, shape = measure_normalization(images), images.images.shape[1:]
    input_shape = (shape[2], shape[0], shape[1])
    torch.manual_seed(given.seed)
    network = build(
        given.model, num_classes=len(dataset.classes), in_channels=input_shape[0], image_size=input_shape[1:]
    )
    train(network, images, normalization, given.epochs, given.rate)
    result = antialiased_network(network, input_shape, name=given.model)
    untrained, blurred, plain = copy.deepcopy(result.network), result.network, copy.deepcopy(network)
    for one in (plain, blurred):
        torch.manual_seed(given.seed)
        train(one, images, normalization, given.further, given.rate / 5)
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


def train(network: nn.Module, images: ImageSet, normalization: Normalization, epochs: int, rate: float) -> None:
    """Train by SGD with momentum, the learning rate falling to 0 along half a cosine."""
    optimizer = torch.optim.SGD(network.parameters(), lr=rate, momentum=0.9, weight_decay=5e-4, nesterov=True)
    batches = Batches(images, batch_size=BATCH, shuffle=True, normalization=normalization, join_single=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, epochs * len(batches)))
    network.train()
    for pixels, labels in steps(batches, epochs):
        loss = functional.cross_entropy(network(pixels), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    network.eval()


def steps(batches: Batches, epochs: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield the batches of all epochs, each in an order of its own."""
    for epoch in range(epochs):
        yield from ((pixels, labels) for pixels, labels, _ in replace(batches, epoch=epoch))


def measured(network: nn.Module, test: ImageSet, normalization: Normalization) -> PredictionConsistency:
    """Return the consistency of a network over the test images."""
    return prediction_consistency(Replays(network, name="the network"), test, normalization)


def row(name: str, found: PredictionConsistency, cost: int) -> list[str]:
    """Return a network's row."""
    return [name, percent(found.consistency), percent(found.flips), f"{found.probability_change:.3f}",
            percent(found.accuracy), macs(cost)]  # fmt: skip


if __name__ == "__main__":
    main()
