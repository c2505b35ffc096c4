"""Networks trained on images whose answer is known, with unseen images to explain."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

import convscope
from convscope.arrays import Floats
from convscope.data.known_answer import AnswerVariant, KnownAnswers, known_answers
from convscope.interpret.attribution.baselines import baseline_of
from convscope.interpret.attribution.methods import attribute
from convscope.interpret.attribution.options import AttributionOptions
from convscope.interpret.attribution.placement import map_asked
from convscope.interpret.map_geometry import placed
from convscope.interpret.subject import Subject, subject
from kit.map_shares import box_mean
from kit.shapes_network import network

TRAIN_SEED, TEST_SEED = 0, 1  # of images
UNSEEN = 400  # images, of which those classified rightly are explained
EPOCHS = {"plain": 6, "cue": 3, "distractor": 11, "hard": 11}


@dataclass(frozen=True, kw_only=True)
class Way:
    """A method with its settings, and the figure that counts for it.

    Args:
        name: to show.
        method: of METHODS.
        options: of the method.
        figure: the share that counts: box of maps on the input, half or cell of a cell of the layer.
        smoothed: side of the square whose mean is taken at each position.
    """

    name: str
    method: str
    options: AttributionOptions
    figure: str = "box"
    smoothed: int = 1

    def wider(self, size: int) -> int:
        """Return by how many pixels the box that counts is wider: by a cell of the layer."""
        return {"box": 0, "half": 4, "cell": 8}[self.figure] * (1 if size < 128 else 2)

    def map_of(self, of: Subject, target: int) -> Floats:
        """Return the map on the image."""
        found = attribute(of, self.method, target=target, options=self.options).map
        return box_mean(found, self.smoothed)


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """A trained network with unseen images of a kind.

    Args:
        made: the images.
        subjects: the network with each image.
        right: the rows that it classifies rightly.
    """

    made: KnownAnswers
    subjects: tuple[Subject, ...]
    right: tuple[int, ...]

    @classmethod
    def of(cls, run: Path, made: KnownAnswers) -> Task:
        """Return the task of a trained run on images."""
        predictor = convscope.load(run, trust_code=True)
        first = subject(predictor, made.images[0])
        each = [replace(subject(predictor, image), given_replays=first.replays) for image in made.images]
        scores = first.replays.class_scores(torch.cat([one.tensor for one in each]))
        right = np.flatnonzero(scores.argmax(1).numpy() == made.labels)
        return cls(made=made, subjects=tuple(each), right=tuple(right.tolist()))

    @property
    def accuracy(self) -> float:
        """The share of unseen images that are classified rightly."""
        return len(self.right) / len(self.subjects)

    def maps(self, way: Way, rows: Sequence[int]) -> list[Floats]:
        """Return the map of each image's class."""
        return [way.map_of(self.subjects[row], int(self.made.labels[row])) for row in rows]

    def differences(self, rows: Sequence[int], baseline: str) -> list[Floats]:
        """Return |image - baseline| of each image, summed over channels: what integrated gradients multiply by."""
        return [
            (self.subjects[row].tensor - baseline_of(self.subjects[row], baseline)[0])[0].abs().sum(0).double().numpy()
            for row in rows
        ]

    def deviations(self, rows: Sequence[int], layer: str | None) -> list[Floats]:
        """Return how far a layer's activations are from their mean over the map, on the image: what its CAM weighs.

        Of each cell the root mean square over the channels.
        """
        found = []
        for row in rows:
            of = self.subjects[row]
            value, layout = map_asked(of, layer)
            activation = of.replay.tensor(value).detach()[0].double()
            away = activation - activation.mean((1, 2), keepdim=True)
            found.append(placed(away.square().mean(0).sqrt().numpy(), layout.centres, of.geometry.size))
        return found

    def with_weights(self, weights: Mapping[str, torch.Tensor]) -> Task:
        """Return the task with other weights in the network."""
        replays = self.subjects[0].replays.with_weights(weights)
        return replace(self, subjects=tuple(replace(one, given_replays=replays) for one in self.subjects))

    def fresh_weights(self, seed: int) -> dict[str, torch.Tensor]:
        """Return the weights of a new network, its batch normalization measured on the unseen images."""
        images = torch.cat([one.tensor for one in self.subjects[:256]])
        torch.manual_seed(seed)
        fresh = network(num_classes=len(self.made.classes), image_size=images.shape[-1]).train()
        for module in fresh.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = None  # the mean over all batches, here of the one
        with torch.no_grad():
            fresh(images)
        return dict(fresh.state_dict())


def made_of(kind: str, count: int, *, size: int, seed: int) -> KnownAnswers:
    """Return images of a kind: plain, cue, distractor, or hard: on a textured ground, half of them occluded."""
    variant: AnswerVariant = "cue" if kind == "cue" else "distractor" if kind == "distractor" else "plain"
    hard = kind == "hard"
    return known_answers(count, size=size, variant=variant, textured=hard, occluded=hard, seed=seed)


def task_of(kind: str, given: argparse.Namespace, *, seed: int = 0) -> Task:
    """Return the task of a kind of images, its network trained now unless its run is there."""
    return Task.of(trained_run(kind, given, seed), made_of(kind, UNSEEN, size=given.size, seed=TEST_SEED))


def earlier_run(path: Path, *, own_code: bool = True) -> tuple[convscope.Run | None, bool]:
    """Return the run of a directory, and whether its training is complete; None where there is no directory."""
    run = convscope.Run(path, trust_code=own_code) if path.is_dir() else None
    status = None if run is None else run.status()
    return run, status is not None and status.state == "done"


def trained_run(kind: str, given: argparse.Namespace, seed: int) -> Path:
    """Return the run of a kind of images, trained unless it is there; one that was interrupted goes on."""
    name = f"known-answer-{kind}-{given.size}" + f"-{seed}" * bool(seed)
    earlier, complete = earlier_run(given.runs / name)
    if earlier is not None and complete:
        return earlier.path
    made = made_of(kind, given.trained, size=given.size, seed=TRAIN_SEED)
    recipe = convscope.Recipe(
        model=f"{Path(__file__).parent / 'shapes_network.py'}:network",
        epochs=given.epochs or EPOCHS[kind],
        batch_size=64,
        seed=seed,
        optimizer="adamw",
        learning_rate=0.004,
        random_crop_padding=0,  # it would cut the dot off
        random_resized_crop=False,
        progressive_resize_share=0.0,
        tta="one",
        autotune="rules",
    )
    data, classes = (made.images, made.labels), list(made.classes)

    def on_epoch(row: convscope.EpochRow) -> None:
        print(f"{name}: {row}", flush=True)

    if earlier is not None:
        return convscope.train(data, classes=classes, resume=earlier, on_epoch=on_epoch).run.path
    runs = {"name": name, "runs_directory": given.runs}
    return convscope.train(data, recipe, classes=classes, on_epoch=on_epoch, **runs).run.path
