"""Find for one image the smallest shift, rotation, blur, brightness and crop that changes its prediction."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from convscope.arrays import Array, Rgb
from convscope.data.records import SEVERAL, ImageSet
from convscope.interpret.behaviour.distortions import Distortion, distortions
from convscope.interpret.behaviour.failure_search import failure_search
from convscope.interpret.behaviour.labelled_images import replay_batch
from convscope.interpret.behaviour.robustness_profile import RobustnessProfile
from convscope.interpret.subject import Subject
from convscope.report.document import Block, Callout, Document, Figure
from convscope.report.documented import Pictured
from convscope.report.image_grid import Tile, image_grid
from convscope.report.json_values import json_dict
from convscope.report.progress import Progress, no_progress
from convscope.report.short_repr import ShortRepr, image_label
from convscope.report.svg import Drawing
from convscope.report.table import Cell, Column, Row, Table

_SEVERAL_LABELS = "an image may have several labels: the most probable one is compared"
_AT_ONCE = 64  # distorted copies in a forward pass at most


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class SmallestDistortion(ShortRepr):
    """The smallest strength of a distortion that changes the prediction of an image.

    Args:
        distortion: with the strengths that were tried.
        strength: the smallest that changes the prediction; None where none of them does.
        direction: of it, as a place in the distortion's; -1 where there is none.
        becomes: the class that is predicted then; "" where there is none.
        picture: the image distorted so, uint8 (H, W, C); None where there is none.
    """

    distortion: Distortion
    strength: float | None = None
    direction: int = -1
    becomes: str = ""
    picture: Rgb | None = None

    @property
    def relative(self) -> float:
        """The strength as a share of the largest tried; 1 where none changes the prediction."""
        return 1.0 if self.strength is None else self.strength / self.distortion.grid[-1]

    @property
    def text(self) -> str:
        """The strength with its unit and direction; "none" where there is none."""
        return "none" if self.strength is None else self.distortion.text(self.strength, self.direction)

    @property
    def short_text(self) -> str:
        """The strength with its direction, such as "3 left"; "none" where there is none."""
        return "none" if self.strength is None else self.distortion.short_text(self.strength, self.direction)

    def headline(self) -> str:
        """Return the distortion, its strength and the class that it makes."""
        return f"{self.distortion.name}: {self.text}{f', predicted {self.becomes}' if self.becomes else ''}"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ImageRobustness(Pictured):
    """For one image the smallest strength of each distortion that changes its prediction.

    Args:
        network: its name.
        image_name: the image's path, or "the input".
        predicted: the class of the image as it is.
        picture: the image as the network sees it, uint8 (H, W, C).
        smallest: of each distortion.
        notes: remarks.
    """

    network: str
    image_name: str
    predicted: str
    picture: Array
    smallest: tuple[SmallestDistortion, ...]
    notes: tuple[str, ...] = field(default=())

    @property
    def ranked(self) -> tuple[SmallestDistortion, ...]:
        """The distortions, the one whose strength is the smallest share of the largest tried first."""
        return tuple(sorted(self.smallest, key=lambda found: found.relative))

    @property
    def weakest(self) -> SmallestDistortion | None:
        """The first of them that changes the prediction; None where none does."""
        first = self.ranked[0]
        return None if first.strength is None else first

    def headline(self) -> str:
        """Return the image, and the distortion that it takes least of to change its prediction."""
        found, image = self.weakest, image_label(self.image_name)
        if found is None:
            return f"{self.network} on {image}: no distortion that was tried changes {self.predicted}"
        return f"{self.network} on {image}: {found.distortion.name} by {found.text} makes it {found.becomes}"

    def arrays(self) -> dict[str, Array]:
        """Return the image under "image", and distorted under the name of each distortion that changes the class."""
        changed = {found.distortion.name: found.picture for found in self.smallest if found.picture is not None}
        return {"image": self.picture, **changed}

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as JSON's types.

        Keys:
            network: its name.
            image: the image's path, or "the input".
            predicted: the class of the image as it is.
            weakest: the distortion that it takes least of; None where none changes the prediction.
            distortions: of each name, unit, grid, strength (None where none of the grid changes the prediction),
                direction and becomes.
            notes: remarks.
        """
        weakest = self.weakest
        return json_dict({
            "network": self.network,
            "image": self.image_name,
            "predicted": self.predicted,
            "weakest": None if weakest is None else weakest.distortion.name,
            "distortions": [
                {
                    "name": found.distortion.name,
                    "unit": found.distortion.unit,
                    "grid": found.distortion.grid,
                    "strength": found.strength,
                    "direction": "" if found.strength is None else found.distortion.directions[found.direction],
                    "becomes": found.becomes,
                }
                for found in self.smallest
            ],
            "notes": self.notes,
        })  # fmt: skip

    def table(self) -> Table:
        """Return the distortions, the one that it takes least of first."""
        columns = (
            Column("distortion"), Column("smallest that changes the prediction"), Column("predicted then"),
            Column("tried up to"),
        )  # fmt: skip
        rows = []
        for found in self.ranked:
            cells: list[Cell] = [
                found.distortion.name, (found.text, found.strength), found.becomes,
                f"{found.distortion.grid[-1]:g} {found.distortion.unit}",
            ]  # fmt: skip
            rows.append(Row.of(cells))
        return Table(columns, tuple(rows))

    def figure(self) -> Drawing:
        """Draw the image, and it under each smallest distortion that changes its prediction."""
        tiles = [Tile(self.picture, "the image", f"predicted {self.predicted}", photograph=True)]
        tiles += [
            Tile(found.picture, f"{found.distortion.name}: predicted {found.becomes}", found.short_text,
                 photograph=True)
            for found in self.ranked
            if found.picture is not None
        ]  # fmt: skip
        unchanged = [found.distortion.name for found in self.ranked if found.strength is None]
        subtitle = f"no strength that was tried changes the prediction: {', '.join(unchanged)}" if unchanged else ""
        return image_grid(
            tiles, title=f"{self.network}: smallest distortions that change the prediction", subtitle=subtitle,
            columns=3, tile_width=192,
        )  # fmt: skip

    def document(self) -> Document:
        """Return what is shown: the table and the distorted images."""
        caption = (
            "The weakest of each kind that changes the prediction; pixels from outside the image repeat those of its "
            "edge."
        )
        blocks: tuple[Block, ...] = (
            *(Callout("note", note) for note in self.notes),
            self.table(),
            Figure(self.figure, caption),
        )
        image = image_label(self.image_name)
        return Document(f"Smallest distortions of {image} that change the prediction of {self.network}", blocks)


def image_robustness(subject: Subject, *, progress: Progress = no_progress) -> ImageRobustness:
    """Return for an image the smallest strength of each distortion that changes its prediction.

    The strengths of `distortions` are tried from the smallest on, and the step below the first that changes it is then
    halved several times. A change that lies wholly between two of them is not found. Interrupted, it is of the
    distortions that were tried.

    Args:
        subject: the network and the image.
        progress: called after each distortion.

    Raises:
        DataError: the input is not a picture of 8 bits, normalised.
        KeyboardInterrupt: before the first distortion was tried.

    >>> from torch import nn
    >>> from convscope.interpret.subject import subject
    >>> network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))
    >>> image = np.random.default_rng(0).integers(0, 256, (8, 8), dtype=np.uint8)
    >>> [found.distortion.name for found in image_robustness(subject(network, image)).smallest]
    ['shift', 'rotation', 'blur', 'brightness', 'crop']
    """
    pixels, normalization = subject.picture("distortions")
    count = subject.replay.class_scores.shape[1]
    names = tuple(subject.class_name(number) for number in range(count))
    image = ImageSet(np.ascontiguousarray(pixels)[None], np.array([SEVERAL]), [subject.image_name])
    smallest, predicted = [], ""
    tried = distortions(*pixels.shape[:2])
    try:
        for number, distortion in enumerate(tried, start=1):
            profile = failure_search(
                subject.replays,
                image,
                normalization,
                tried=(distortion,),
                classes=names,
                dtype=subject.tensor.dtype,
                batch_size=replay_batch(subject.replay.graph, _AT_ONCE),
            )
            smallest.append(_smallest(profile))
            predicted = profile.class_name(int(profile.predicted[0]))
            progress(number, len(tried), "distorting the image")
    except KeyboardInterrupt:
        if not smallest:
            raise
    untried = [distortion.name for distortion in tried[len(smallest) :]]
    notes = subject.notes
    if subject.spec is not None and subject.spec.multi_label:
        notes = (*notes, _SEVERAL_LABELS)
    if untried:
        notes = (*notes, f"interrupted before these were tried: {', '.join(untried)}")
    return ImageRobustness(
        network=subject.name,
        image_name=subject.image_name,
        predicted=predicted,
        picture=pixels,
        smallest=tuple(smallest),
        notes=notes,
    )


def _smallest(profile: RobustnessProfile) -> SmallestDistortion:
    """Return what was found for one image and one distortion."""
    (found,) = profile.failures
    strength = float(found.strengths[0])
    if not np.isfinite(strength):
        return SmallestDistortion(distortion=found.distortion)
    return SmallestDistortion(
        distortion=found.distortion,
        strength=strength,
        direction=int(found.directions[0]),
        becomes=profile.class_name(int(found.becomes[0])),
        picture=found.examples[0].after,
    )
