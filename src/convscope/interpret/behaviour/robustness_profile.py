"""The robustness profile: how strong each distortion must be to change a prediction, and which changes most."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from convscope.arrays import Array, Booleans, Floats, Integers, Rgb
from convscope.interpret.behaviour.distortions import Distortion
from convscope.report.charts import Curve, line_chart
from convscope.report.document import Block, Callout, Document, Fact, Facts, Figure, Section
from convscope.report.documented import Pictured
from convscope.report.image_grid import Tile, grid_figure
from convscope.report.json_values import json_dict
from convscope.report.short_repr import ShortRepr, short_path
from convscope.report.svg import Drawing
from convscope.report.table import Cell, Column, Row, Table
from convscope.report.units import interval, percent, plural
from convscope.scoring.intervals import ConfidenceInterval, Z, of_share

_POINTS = 41  # of a curve


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class FailureExample(ShortRepr):
    """An image before and after the distortion that changes its prediction.

    Args:
        name: the image's.
        row: in the data set.
        before: its pixels, uint8 (H, W, C).
        after: distorted, of the same shape.
        predicted: the class before, by number; -1 where a score was not finite.
        becomes: the class after.
    """

    name: str
    row: int
    before: Rgb
    after: Rgb
    predicted: int
    becomes: int

    def headline(self) -> str:
        """Return the image and its classes."""
        return f"{self.name}: class {self.predicted} becomes {self.becomes}"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class DistortionFailures(ShortRepr):
    """The smallest strengths of one distortion that change predictions.

    Args:
        distortion: with its grid.
        strengths: of each image the smallest, (N,); NaN where no strength of the grid changes its prediction.
        directions: its direction, as a place in the distortion's, (N,); -1 where there is none.
        becomes: the class that is predicted then, (N,); -1 where there is none.
        examples: the images that it takes least to change.
    """

    distortion: Distortion
    strengths: Floats
    directions: Integers
    becomes: Integers
    examples: tuple[FailureExample, ...] = ()

    @property
    def failed(self) -> Booleans:
        """Whether some strength of the grid changes an image's prediction, (N,)."""
        return np.asarray(np.isfinite(self.strengths), np.bool_)

    @property
    def relative(self) -> Floats:
        """The smallest strengths as shares of the grid's largest; 1 where none changes the prediction."""
        return np.where(self.failed, self.strengths / self.distortion.grid[-1], 1.0)

    @property
    def robustness(self) -> float:
        """The mean of `relative`: the area under the curve of predictions that are unchanged, 0 to 1."""
        return float(self.relative.mean())

    @property
    def robustness_interval(self) -> ConfidenceInterval:
        """The 95 % interval of `robustness`: the normal one of a mean, within 0 and 1."""
        half = Z * float(self.relative.std()) / max(1, len(self.relative) - 1) ** 0.5
        return max(0.0, self.robustness - half), min(1.0, self.robustness + half)

    @property
    def median(self) -> float | None:
        """The strength that changes half of the predictions; None where the grid's largest changes fewer."""
        ordered = np.sort(np.where(self.failed, self.strengths, np.inf))
        middle = float(ordered[(len(ordered) - 1) // 2])
        return middle if np.isfinite(middle) else None

    def headline(self) -> str:
        """Return the distortion and how many predictions it changes."""
        return f"{self.distortion.name}: {percent(float(self.failed.mean()))} of predictions change"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class RobustnessProfile(Pictured):
    """How strong each distortion must be to change the predictions of a network.

    Args:
        network: its name.
        data: the name of the images.
        planned: how many there are: more than were gone through, where it was interrupted.
        classes: the names of the network's classes.
        labels: of the images, (N,); -1 where an image has several.
        predicted: their classes undistorted, (N,); -1 where a score was not finite.
        failures: of each distortion.
    """

    network: str
    data: str
    planned: int
    classes: tuple[str, ...]
    labels: Integers
    predicted: Integers
    failures: tuple[DistortionFailures, ...]

    @property
    def images(self) -> int:
        """How many images were gone through."""
        return len(self.predicted)

    @property
    def right(self) -> Booleans:
        """Whether each image is predicted right undistorted, (N,)."""
        return np.asarray(self.predicted == self.labels, np.bool_)

    @property
    def ranked(self) -> tuple[DistortionFailures, ...]:
        """The distortions by robustness, the one that the network is weakest against first."""
        return tuple(sorted(self.failures, key=lambda found: found.robustness))

    @property
    def weakest(self) -> DistortionFailures | None:
        """The distortion that the network is weakest against on its grid; None where none changes a prediction."""
        found = self.ranked[0]
        return found if found.failed.any() else None

    def class_name(self, number: int) -> str:
        """Return the name of a class; "not a number" for that of scores that are not finite."""
        return self.classes[number] if number >= 0 else "not a number"

    def headline(self) -> str:
        """Return the network and what it is weakest against."""
        found = self.weakest
        what = "no distortion changes a prediction" if found is None else f"weakest against {found.distortion.name}"
        return f"{self.network} on {plural(self.images, 'image')} of {self.data}: {what}"

    def arrays(self) -> dict[str, Array]:
        """Return the strengths, directions and classes of each distortion, and the predictions, by name."""
        found: dict[str, Array] = {"labels": self.labels, "predicted": self.predicted}
        for each in self.failures:
            name = each.distortion.name
            found |= {f"{name}/strengths": each.strengths, f"{name}/directions": each.directions,
                      f"{name}/becomes": each.becomes}  # fmt: skip
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as JSON's types.

        Keys:
            network: its name.
            data: the name of the images.
            images: how many were gone through.
            planned: how many there are.
            right: how many are predicted right undistorted.
            weakest: the name of the distortion that the network is weakest against; None where none changes any.
            distortions: of each name, unit, grid, directions, robustness and its interval, failed (images whose
                prediction changes) and the interval of their share, failed_right (of those that were right), median
                (strength that changes half), strengths (of each image, "nan" where none does).
        """
        weakest = self.weakest
        return json_dict(
            {
                "network": self.network,
                "data": self.data,
                "images": self.images,
                "planned": self.planned,
                "right": int(self.right.sum()),
                "weakest": None if weakest is None else weakest.distortion.name,
                "distortions": [
                    {
                        "name": found.distortion.name,
                        "unit": found.distortion.unit,
                        "grid": found.distortion.grid,
                        "directions": found.distortion.directions,
                        "robustness": found.robustness,
                        "interval": found.robustness_interval,
                        "failed": int(found.failed.sum()),
                        "failed_interval": of_share(int(found.failed.sum()), self.images),
                        "failed_right": int((found.failed & self.right).sum()),
                        "median": found.median,
                        "strengths": found.strengths,
                    }
                    for found in self.failures
                ],
            }
        )

    def remarks(self) -> Iterator[str]:
        """Yield a sentence on what to know before the numbers are read."""
        if self.images < self.planned:
            yield f"interrupted: {self.images:,} of {plural(self.planned, 'image')} gone through"
        unknown = int((self.predicted < 0).sum())
        if unknown:
            yield f"scores of {plural(unknown, 'image')} are not finite"
        first, *others = self.ranked
        if others and first.failed.any() and first.robustness_interval[1] >= others[0].robustness_interval[0]:
            yield (f"the intervals of {first.distortion.name} and {others[0].distortion.name} overlap: which of them "
                   "is the weakest is not sure on these images")  # fmt: skip

    def table(self) -> Table:
        """Return the distortions, the one that the network is weakest against first."""
        columns = [
            Column("distortion"),
            Column("tried up to"),
            Column("robustness", numeric=True, note="mean smallest strength as a share of the largest tried; 1: none"),
            Column("95 % interval", numeric=True),
            Column("predictions that change", numeric=True),
            Column("of right ones", numeric=True),
            Column("half change at", numeric=True),
        ]
        rows = []
        for found in self.ranked:
            failed, right = int(found.failed.sum()), int(self.right.sum())
            share = failed / self.images
            wrong = int((found.failed & self.right).sum())
            low, high = found.robustness_interval
            cells: list[Cell] = [
                found.distortion.name,
                f"{found.distortion.grid[-1]:g} {found.distortion.unit}",
                (f"{found.robustness:.3f}", found.robustness),
                (f"{low:.3f} to {high:.3f}", [low, high]),
                (f"{percent(share)} ({interval(of_share(failed, self.images), name='')})", share),
                (percent(wrong / right) if right else "none", wrong),
                ("none" if found.median is None else f"{found.median:.3g}", found.median),
            ]
            rows.append(Row.of(cells))
        return Table(tuple(columns), tuple(rows))

    def figure(self) -> Drawing:
        """Draw for each distortion the share of predictions that are unchanged over its strength."""
        shares = np.linspace(0, 1, _POINTS)
        curves = []
        for found in self.ranked:
            reached = np.where(found.failed, found.relative, np.inf)
            unchanged = [100 * float((reached > share).mean()) for share in shares]
            name = f"{found.distortion.name} (to {found.distortion.grid[-1]:g} {found.distortion.unit})"
            curves.append(Curve(name, [100 * share for share in shares], unchanged))
        return line_chart(
            curves,
            title=f"Robustness of {self.network} on {plural(self.images, 'image')}",
            x_label="strength, % of the largest tried",
            y_label="predictions unchanged, %",
            y_limits=(0, 100),
        )

    def document(self) -> Document:
        """Return what is shown: remarks, what the network is weakest against, the profile, and examples."""
        weakest = self.weakest
        name = "none" if weakest is None else weakest.distortion.name
        known = bool((self.labels >= 0).any())
        right = f"{int(self.right.sum()):,} of {self.images:,}" if known else "unknown: no image has one class"
        facts = Facts((
            Fact("weakest against", name, None if weakest is None else name),
            Fact("right undistorted", right, int(self.right.sum())),
        ))  # fmt: skip
        blocks: list[Block] = [Callout("note", remark) for remark in self.remarks()]
        caption = "Distortions are compared on the strengths that were tried, which the legend states."
        blocks += [facts, self.table(), Figure(self.figure, caption)]
        tiles = list(self._tiles())
        if tiles:
            grid = grid_figure(tiles, title="Before and after each distortion", columns=6, tile_width=140)
            blocks.append(Section("Images that it takes least to change", (grid,), page_only=True))
        return Document(f"Robustness of {self.network} on {self.data}", tuple(blocks))

    def _tiles(self) -> Iterator[Tile]:
        for found in self.ranked:
            for example in found.examples:
                strength = found.distortion.text(
                    float(found.strengths[example.row]), int(found.directions[example.row])
                )
                short = found.distortion.short_text(
                    float(found.strengths[example.row]), int(found.directions[example.row])
                )
                group = f"{found.distortion.name}, {found.distortion.unit}"
                name = short_path(example.name, longest=22)
                yield Tile(example.before, self.class_name(example.predicted), name, group=group,
                           description=f"{example.name} as it is", photograph=True)  # fmt: skip
                yield Tile(example.after, self.class_name(example.becomes), short, group=group,
                           description=f"{example.name} distorted by {strength}", photograph=True)  # fmt: skip
