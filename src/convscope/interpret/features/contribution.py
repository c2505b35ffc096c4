"""How much each channel of a layer gives to a class's score on one image."""

from __future__ import annotations

import torch

from convscope.arrays import Floats
from convscope.interpret.execution.torch_executor import as_array
from convscope.interpret.features.observed import AxesOfMaps
from convscope.interpret.subject import Subject
from convscope.report.progress import Progress, no_progress

BATCH = 32  # channels left out at once


def gradient_times_activation(subject: Subject, value: int, target: int) -> Floats:
    """Return for each channel the sum over positions of its activation times the score's gradient to it, (C,).

    It is the score's change, to first order, if the channel were 0 instead.
    """
    run = subject.replay
    (gradient,) = run.gradients(run.score(target).sum(), value)
    return _by_channel(subject, value, gradient * run.tensor(value))


def contributions(
    subject: Subject, value: int, target: int, *, levels: Floats | None = None, progress: Progress = no_progress
) -> Floats:
    """Return how far a class's score falls when a channel has one level everywhere, for each channel in turn, (C,).

    Only the operations after the layer are computed again, for some channels at once.

    Args:
        subject: the network and the image.
        value: the layer's, by index.
        target: the class.
        levels: of each channel, such as its mean over a data set, (C,); 0 unless given.
        progress: called after each batch of channels.
    """
    run = subject.replay
    axes = AxesOfMaps(run.names).of(value)
    numbers = run.tensor(value).detach()
    score = float(run.score(target)[0].detach())
    axis = 0 if axes.channels is None else axes.channels
    count = 1 if axes.channels is None else numbers.shape[axis]
    name = run.names.of_value(value)
    # Copies of one image's numbers are those of a batch only where the images lie along the first axis.
    at_once = BATCH if len(numbers) == len(subject.tensor) else 1
    found = []
    for start in range(0, count, at_once):
        channels = range(start, min(start + at_once, count))
        without = numbers.repeat(len(channels), *[1] * (numbers.ndim - 1))
        for row, channel in enumerate(channels):
            if axes.channels is None:
                without.zero_()
            else:
                copy = without if at_once == 1 else without[row : row + 1]
                copy.select(axis, channel).fill_(0.0 if levels is None else float(levels[channel]))
        inputs = subject.tensor.repeat(len(channels), *[1] * (subject.tensor.ndim - 1))
        scores = subject.replays.class_scores_given({name: without}, inputs)
        found.append(score - scores[:, target].double())
        progress(channels[-1] + 1, count, "leaving out channels")
    return torch.cat(found).numpy()


def _by_channel(subject: Subject, value: int, product: torch.Tensor) -> Floats:
    axes = AxesOfMaps(subject.replay.names).of(value)
    others = [axis for axis in range(product.ndim) if axis != axes.channels]
    found: Floats = as_array(product.double().sum(dim=others) if others else product)
    return found.reshape(-1)
