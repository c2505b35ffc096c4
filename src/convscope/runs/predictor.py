"""`predict`: the classes of image files, by a run's best weights, prepared exactly as in training."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from convscope.data.pixels.decode import decode_image
from convscope.data.records import ImageSet, Problem, Progress, no_progress
from convscope.data.shards.shard_names import find_shards, names_shards
from convscope.data.sources.walk import Walk
from convscope.errors import DataError, RunError
from convscope.hardware.device import usable_device
from convscope.report.shell import shell_quote
from convscope.runs.model_spec import ModelSpec
from convscope.runs.run_directory import open_run
from convscope.scoring.answer import EVALUATION_BATCH, answer
from convscope.scoring.multi_label import THRESHOLD


@dataclass(frozen=True)
class Prediction:
    """One image and its classes with their probabilities, the most probable first.

    `threshold` is there where an image may show several classes: those that are as probable are its labels.
    """

    path: str
    ranked: tuple[tuple[str, float], ...]
    threshold: float | None = None

    @property
    def name(self) -> str:
        """The most probable class."""
        return self.ranked[0][0]

    @property
    def confidence(self) -> float:
        """Its probability, 0 to 1."""
        return self.ranked[0][1]

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes that the image shows, the most probable first: one, or however many pass the threshold."""
        if self.threshold is None:
            return (self.name,)
        return tuple(name for name, share in self.ranked if share >= self.threshold)

    def to_dict(self, *, top: int = 5) -> dict[str, Any]:
        """The prediction as JSON can hold it; where an image may show several classes, `top` is no matter."""
        if self.threshold is not None:
            return {"image": self.path, "labels": list(self.labels), "probabilities": dict(self.ranked)}
        return {
            "image": self.path,
            "class": self.name,
            "confidence": self.confidence,
            "top": [{"class": name, "probability": share} for name, share in self.ranked[:top]],
        }


@dataclass(frozen=True)
class Predictions:
    """The images that could be read, in the order given, and those that could not, each with the reason."""

    images: tuple[Prediction, ...]
    problems: tuple[Problem, ...]
    classes: tuple[str, ...]
    multi_label: bool = False


def predict(
    run: str | Path,
    images: str | Path | Sequence[str | Path],
    *,
    threshold: float | None = None,
    device: str = "cpu",
    progress: Progress = no_progress,
) -> Predictions:
    """Name the classes of images: files, folders (everything below them) or glob patterns.

    An image that can't be read is listed under `problems` and stops nothing. With a run that gives an image several
    labels, they are the classes with a probability of `threshold` (0.5) and more.

    Raises:
        RunError: no such run or device, or the run's files don't fit together; a threshold that does not apply.
        DataError: a folder or a pattern without images, or shards.
    """
    device = usable_device(device)
    opened = open_run(Path(run))
    spec = opened.spec()
    threshold = _threshold(spec, threshold)
    network = opened.network().to(device)
    problems: list[Problem] = []
    paths = list(_files([images] if isinstance(images, (str, Path)) else images, problems))
    found: list[Prediction] = []
    for start in range(0, len(paths), EVALUATION_BATCH):
        names, pixels = [], []
        for path in paths[start : start + EVALUATION_BATCH]:
            try:
                pixels.append(decode_image(path, spec.decoding))
                names.append(path)
            except DataError as error:
                problems.append(Problem(path, str(error).removeprefix(f"{path}: ")))
        if pixels:
            batch = ImageSet(np.stack(pixels), np.zeros(len(pixels), np.int64), names)
            probabilities = answer(
                network, batch, spec.normalization, objective=spec.objective, device=device, views=spec.tta
            )
            for name, row in zip(names, probabilities, strict=True):
                found.append(Prediction(name, _ranked(name, row, spec.classes), threshold))
        progress(min(start + EVALUATION_BATCH, len(paths)), len(paths), "predicting")
    return Predictions(tuple(found), tuple(problems), spec.classes, multi_label=threshold is not None)


def _threshold(spec: ModelSpec, threshold: float | None) -> float | None:
    """The probability from which on a class is a label; None where an image has one class."""
    if not spec.objective.multi_label:
        if threshold is not None:
            raise RunError("threshold: the run names one class for each image; it is for runs that give several labels")
        return None
    if threshold is None:
        return THRESHOLD
    if not 0 <= threshold <= 1:
        raise RunError(f"threshold is {threshold:g}: a probability is 0 to 1")
    return threshold


def _files(given: Iterable[str | Path], problems: list[Problem]) -> Iterator[str]:
    """Every file that was named, in the order given; a folder's in the order of their names."""
    for item in given:
        text = os.fspath(item)
        if Path(text).is_dir():
            walk = Walk()
            found = walk.collect(text)
            walk.follow_links()
            problems.extend(walk.problems)
            if not found and find_shards(text):
                raise _names_shards(text)
            if not found and not walk.problems:
                raise DataError(f"there are no images below {text}")
            yield from sorted(file.path for file in found)
        elif names_shards(text):
            raise _names_shards(text)
        elif glob.has_magic(text) and not os.path.lexists(text):
            matched = _matches(text)
            if not matched:
                raise DataError(f"nothing matches {text}")
            yield from matched
        else:
            yield text


def _names_shards(text: str) -> DataError:
    measure = shell_quote("convscope", "evaluate", "RUN", text)
    return DataError(
        f"{text} holds its images in shards (.tar), and predict takes image files or folders of them; "
        f"to measure a run on labelled shards: {measure}"
    )


def _matches(pattern: str) -> list[str]:
    """The files that a glob pattern names, in the order of their names."""
    anchor = Path(pattern).anchor
    return sorted(str(path) for path in Path(anchor).glob(pattern.removeprefix(anchor)) if not path.is_dir())


def _ranked(
    name: str, probabilities: np.ndarray[Any, np.dtype[np.float64]], classes: tuple[str, ...]
) -> tuple[tuple[str, float], ...]:
    if not np.isfinite(probabilities).all():
        raise DataError(f"{name}: the network answers NaN, so its weights are not finite numbers")
    order = np.argsort(-probabilities, kind="stable")
    return tuple((classes[place], float(probabilities[place])) for place in order)
