"""Linear probes: what a linear classifier makes of each layer's features, averaged over positions.

Source: Alain and Bengio, "Understanding intermediate layers using linear classifier probes" (2016). A layer after which
the accuracy does not rise adds nothing that a linear classifier can use.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from convscope.data.batches import Batches
from convscope.data.preprocessing import Normalization
from convscope.data.records import ImageSet
from convscope.errors import CaptureError, DataError
from convscope.interpret.features.observed import AxesOfMaps, MapAxes
from convscope.interpret.replay.on_images import first_input, images_at_once
from convscope.interpret.replay.replays import Replays
from convscope.report.progress import Progress, no_progress
from convscope.report.short_repr import ShortRepr
from convscope.report.units import percent, plural
from convscope.runs.run_directory import Run
from convscope.runs.run_images import own_images
from convscope.scoring.linear_penalty import Samples, fit_head
from convscope.scoring.measured import one_measure
from convscope.scoring.objective import Objective

# Images that a probe learns from and is measured on, at most.
LEARNED, MEASURED = 2000, 1000
# The weight of the penalty, for features scaled to deviation 1.
PENALTY = 0.01
_BATCH = 32


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class LinearProbes(ShortRepr):
    """The accuracy of a linear classifier on the features of each of some layers.

    Args:
        accuracy: by layer, on images that the classifier did not learn from; of several labels an image the mean
            average precision.
        learned: images that it was fitted to.
        measured: images that it was measured on.
        majority: the share of the most frequent class, which needs no features; None with several labels an image.
    """

    accuracy: Mapping[str, float]
    learned: int
    measured: int
    majority: float | None

    def headline(self) -> str:
        """Return the layers and the best accuracy."""
        best = max(self.accuracy, key=lambda name: self.accuracy[name])
        return f"{plural(len(self.accuracy), 'layer')}, the best {best}: {percent(self.accuracy[best])}"


def linear_probes(
    replays: Replays,
    train: ImageSet,
    test: ImageSet,
    normalization: Normalization,
    *,
    layers: Sequence[str],
    classes: int,
    progress: Progress = no_progress,
) -> LinearProbes:
    """Fit a linear classifier to the features of each layer, and measure it on other images.

    Features are a layer's channels, averaged over positions, of at most 2,000 images to learn from and 1,000 to
    measure on, evenly spaced; the classifier is logistic regression with an L2 penalty (`scoring.linear_fit`).

    Args:
        replays: the network.
        train: images to learn from.
        test: images to measure on.
        normalization: of the network's input.
        layers: the names of layers; those whose first axis does not hold the images have no accuracy.
        classes: how many.
        progress: called after each batch and each fit.

    Raises:
        DataError: no images, or too few to fit.
        CaptureError: no such layer, or none with numbers of each image.
    """
    if not len(train) or not len(test):
        raise DataError("a linear probe needs images to learn from and others to measure on")
    chosen = train.spaced(LEARNED), test.spaced(MEASURED)
    layers = _by_image(replays, first_input(replays, chosen[0], normalization), layers)
    total = sum(map(len, chosen))
    features: list[dict[str, Tensor]] = []
    for part in chosen:
        before = sum(len(next(iter(found.values()))) for found in features)
        features.append(_features(replays, part, normalization, layers, before, total, progress))
    objective = Objective() if train.targets is None else Objective(loss="multi-label")
    answers = chosen[0].answers
    targets = torch.from_numpy(answers if train.targets is None else answers.astype(np.float32))
    accuracy = {}
    for number, name in enumerate(layers, 1):
        samples = Samples(features=features[0][name], targets=targets, units=np.arange(len(targets)))
        fit = fit_head(samples, None, objective, classes=classes, biased=True, l2=PENALTY).fit
        scores = fit.scores(features[1][name].double())
        measured = one_measure(scores.numpy(), chosen[1])
        accuracy[name] = float("nan") if measured is None else measured
        progress(number, len(layers), "fitting linear probes")
    majority = None
    if test.targets is None:
        majority = float(np.bincount(chosen[1].labels).max() / len(chosen[1]))
    return LinearProbes(accuracy=accuracy, learned=len(chosen[0]), measured=len(chosen[1]), majority=majority)


def probes_of_run(
    run: Run, replays: Replays, layers: Sequence[str], *, progress: Progress = no_progress
) -> LinearProbes:
    """Return the linear probes of a run's network: they learn from its training images, and are measured on others.

    Raises:
        DataError: its images can't be read, or it has none but those that it learned from.
    """
    spec = run.spec()
    split, test = own_images(run, progress=progress)
    if split == "train":
        raise DataError(f"{run} has neither test nor validation images to measure linear probes on")
    _, train = own_images(run, "train", progress=progress)
    return linear_probes(
        replays, train, test, spec.normalization, layers=layers, classes=len(spec.classes), progress=progress
    )


def _by_image(replays: Replays, image: Tensor, layers: Sequence[str]) -> list[str]:
    """Return the layers whose first axis holds the images, by the network on one image."""
    graph, names = replays.graph_on(image)
    axes = AxesOfMaps(names)
    found = [name for name in layers if axes.by_image(names.find_source(name))]
    if not found:
        raise CaptureError(f"{graph.name}: no layer has values of each image, so none is probed")
    return found


def _features(
    replays: Replays,
    images: ImageSet,
    normalization: Normalization,
    layers: Sequence[str],
    before: int,
    total: int,
    progress: Progress,
) -> dict[str, Tensor]:
    """Return the features (N, channels) of each layer, float32 on the CPU."""
    found: dict[str, list[Tensor]] = {name: [] for name in layers}
    done = before
    size = images_at_once(replays, images, normalization, _BATCH)
    batches = Batches(images, batch_size=size, device=replays.device, normalization=normalization)
    for pixels, _, _ in batches:
        _, names = replays.graph_on(pixels)
        axes = AxesOfMaps(names)
        for name, value in replays.values_as_they_come(pixels, wanted=layers):
            found[name].append(_pooled(value.detach(), axes.of(names.find_source(name))))
        done += len(pixels)
        progress(done, total, "computing features")
    return {name: torch.cat(parts) for name, parts in found.items()}


def _pooled(numbers: Tensor, axes: MapAxes) -> Tensor:
    """Return numbers as (N, channels), the mean over positions."""
    pooled = numbers.float().mean(dim=axes.positions) if axes.positions else numbers.float()
    return pooled.flatten(1).cpu()
