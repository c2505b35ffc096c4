"""`predict`: the classes of image files, by a run's best weights, prepared exactly as in training."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from convscope.data.decode import decode_image
from convscope.data.records import ImageSet, Problem, Progress, no_progress
from convscope.data.walk import Walk
from convscope.errors import DataError
from convscope.report.printable import printable
from convscope.train.answer import EVALUATION_BATCH, answer
from convscope.train.choose import usable_device
from convscope.train.run import open_run


@dataclass(frozen=True)
class Prediction:
    """One image and its classes with their probabilities, the most probable first."""

    path: str
    ranked: tuple[tuple[str, float], ...]

    @property
    def name(self) -> str:
        """The most probable class."""
        return self.ranked[0][0]

    @property
    def confidence(self) -> float:
        """Its probability, 0 to 1."""
        return self.ranked[0][1]

    def to_dict(self, *, top: int = 5) -> dict[str, Any]:
        """The prediction as JSON can hold it."""
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


def predict(
    run: str | Path,
    images: str | Path | Sequence[str | Path],
    *,
    device: str = "cpu",
    progress: Progress = no_progress,
) -> Predictions:
    """Name the classes of images: files, folders (everything below them) or glob patterns.

    An image that can't be read is listed under `problems` and stops nothing.

    Raises:
        RunError: no such run or device, or the run's files don't fit together.
        DataError: a folder or a pattern without images.
    """
    device = usable_device(device)
    opened = open_run(Path(run))
    card = opened.card()
    network = opened.network().to(device)
    problems: list[Problem] = []
    paths = list(_files([images] if isinstance(images, (str, Path)) else images, problems))
    found: list[Prediction] = []
    for start in range(0, len(paths), EVALUATION_BATCH):
        names, pixels = [], []
        for path in paths[start : start + EVALUATION_BATCH]:
            try:
                pixels.append(decode_image(path, card.decoding))
                names.append(printable(path))
            except DataError as error:
                shown = printable(path)
                problems.append(Problem(shown, str(error).removeprefix(f"{shown}: ")))
        if pixels:
            batch = ImageSet(np.stack(pixels), np.zeros(len(pixels), np.int64), names)
            probabilities = answer(network, batch, card.normalization, objective=card.objective, device=device)
            found.extend(_ranked(name, row, card.classes) for name, row in zip(names, probabilities, strict=True))
        progress(min(start + EVALUATION_BATCH, len(paths)), len(paths), "predicting")
    return Predictions(tuple(found), tuple(problems))


def _files(given: Iterable[str | Path], problems: list[Problem]) -> Iterator[str]:
    """Every file that was named, in the order given; a folder's in the order of their names."""
    for item in given:
        text = os.fspath(item)
        if Path(text).is_dir():
            walk = Walk()
            found = walk.collect(text)
            walk.follow_links()
            problems.extend(walk.problems)
            if not found and not walk.problems:
                raise DataError(f"there are no images below {printable(text)}")
            yield from sorted(file.path for file in found)
        elif glob.has_magic(text) and not os.path.lexists(text):
            matched = _matches(text)
            if not matched:
                raise DataError(f"nothing matches {printable(text)}")
            yield from matched
        else:
            yield text


def _matches(pattern: str) -> list[str]:
    """The files that a glob pattern names, in the order of their names."""
    anchor = Path(pattern).anchor
    return sorted(str(path) for path in Path(anchor).glob(pattern.removeprefix(anchor)) if not path.is_dir())


def _ranked(name: str, probabilities: np.ndarray[Any, np.dtype[np.float64]], classes: tuple[str, ...]) -> Prediction:
    if not np.isfinite(probabilities).all():
        raise DataError(f"{name}: the network answers NaN, so its weights are not finite numbers")
    order = np.argsort(-probabilities, kind="stable")
    return Prediction(name, tuple((classes[place], float(probabilities[place])) for place in order))
