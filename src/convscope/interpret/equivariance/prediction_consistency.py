"""How often a prediction stays the same between two crops of an image, as a record."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from convscope.arrays import Array, Booleans, Floats, Integers
from convscope.files.checked import Json
from convscope.report.charts import Curve, line_chart
from convscope.report.document import Block, Callout, Document, Fact, Facts, Figure
from convscope.report.documented import Pictured
from convscope.report.json_values import json_dict
from convscope.report.svg import Drawing
from convscope.report.table import Column, Row, Table
from convscope.report.units import interval, percent, plural
from convscope.scoring.intervals import of_share

_LISTED = 8


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class PredictionConsistency(Pictured):
    """The predictions of two crops of each image, some pixels apart.

    Args:
        network: its name.
        data: the name of the images.
        planned: how many images there are.
        farthest: the largest distance of two crops along each axis, in pixels.
        mirrored: whether the crops reach beyond the image, into a mirrored margin.
        names: of the images that were gone through.
        labels: their classes, (N,).
        offsets: where the two crops of each begin, (N, 2 crops, row and column).
        predicted: the class of each crop, (N, 2).
        probabilities: of the class that the first crop is predicted as, in both crops, (N, 2).
        classes: the names of the classes; empty where they are not known.
    """

    network: str
    data: str
    planned: int
    farthest: int
    mirrored: bool
    names: tuple[str, ...]
    labels: Integers
    offsets: Integers
    predicted: Integers
    probabilities: Floats
    classes: tuple[str, ...] = ()

    @property
    def images(self) -> int:
        """How many were gone through."""
        return len(self.names)

    @property
    def same(self) -> Booleans:
        """Whether both crops of an image are predicted as the same class, (N,)."""
        return np.asarray(self.predicted[:, 0] == self.predicted[:, 1], np.bool_)

    @property
    def consistency(self) -> float:
        """The share of images of which both crops are predicted as the same class."""
        return float(self.same.mean())

    @property
    def accuracy(self) -> float | None:
        """The share of first crops that are predicted rightly; None where no image has a label of the network's."""
        if (self.labels < 0).all():
            return None
        return float((self.predicted[:, 0] == self.labels).mean())

    @property
    def flips(self) -> float | None:
        """Of the images whose first crop is predicted rightly, the share whose second is not; None without any."""
        right = self.predicted[:, 0] == self.labels
        return float((~self.same[right]).mean()) if right.any() else None

    @property
    def probability_change(self) -> float:
        """The mean change of the probability of the class that the first crop is predicted as."""
        return float(np.abs(self.probabilities[:, 1] - self.probabilities[:, 0]).mean())

    @property
    def distances(self) -> Integers:
        """How far the two crops of each image are apart, along the axis where it is further, (N,)."""
        return np.asarray(np.abs(self.offsets[:, 1] - self.offsets[:, 0]).max(axis=1), np.int64)

    def by_distance(self) -> list[tuple[int, int, float]]:
        """Return each distance in pixels, how many images have it, and the share with the same prediction."""
        apart, same = self.distances, self.same
        return [(int(d), int((apart == d).sum()), float(same[apart == d].mean())) for d in np.unique(apart)]

    def headline(self) -> str:
        """Return the network, the data and the consistency."""
        return (
            f"{self.network} on {plural(self.images, 'image')} of {self.data}: {percent(self.consistency)} of "
            f"predictions stay the same between two crops 0 to {self.farthest} px apart"
        )

    def to_dict(self) -> dict[str, Json]:
        """Return the figures as JSON's types; `arrays` has those of each image.

        Keys:
            network: its name.
            data: the name of the images.
            images: how many were gone through.
            planned: how many there are.
            farthest: the largest distance of two crops along each axis, in pixels.
            mirrored: whether the crops reach into a mirrored margin.
            consistency: share of images of which both crops are predicted as the same class.
            consistency_interval: its 95 % interval.
            accuracy: share of first crops that are predicted rightly.
            flips: share of images with a right first crop of which the second is predicted as another class.
            probability_change: mean change of the probability of the first crop's class.
            by_distance: of each distance pixels, images and consistency.
        """
        return json_dict({
            "network": self.network,
            "data": self.data,
            "images": self.images,
            "planned": self.planned,
            "farthest": self.farthest,
            "mirrored": self.mirrored,
            "consistency": self.consistency,
            "consistency_interval": of_share(int(self.same.sum()), self.images),
            "accuracy": self.accuracy,
            "flips": self.flips,
            "probability_change": self.probability_change,
            "by_distance": [
                {"pixels": pixels, "images": images, "consistency": share}
                for pixels, images, share in self.by_distance()
            ],
        })  # fmt: skip

    def arrays(self) -> dict[str, Array]:
        """Return "labels" (N,), "offsets" (N, 2, 2), "predicted" (N, 2) and "probabilities" (N, 2)."""
        return {
            "labels": self.labels,
            "offsets": self.offsets,
            "predicted": self.predicted,
            "probabilities": self.probabilities,
        }

    def figure(self) -> Drawing:
        """Draw the share of equal predictions over the distance of the two crops."""
        found = self.by_distance()
        shares = Curve("same prediction", [pixels for pixels, _, _ in found], [100 * share for _, _, share in found])
        return line_chart(
            [shares],
            title=f"Consistency of {self.network} between two crops",
            x_label="pixels apart",
            y_label="% of images",
            y_limits=(0, 100),
        )

    def document(self) -> Document:
        """Return what is shown: the shares, their course over the distance, and the images that change most."""
        ends = of_share(int(self.same.sum()), self.images)
        margin = "a mirrored margin" if self.mirrored else "the images' own pixels"
        facts = [
            Fact("crops", f"0 to {self.farthest} px apart, from {margin}", self.farthest),
            Fact("consistency", percent(self.consistency), self.consistency,
                 f"{percent(self.consistency)} with the same prediction; {interval(ends)}"),
            Fact("accuracy", percent(self.accuracy), self.accuracy, f"{percent(self.accuracy)} of first crops"),
            Fact("flips", percent(self.flips), self.flips, f"{percent(self.flips)} of right predictions change"),
            Fact("probability", f"{self.probability_change:.3f}", self.probability_change,
                 f"changes by {self.probability_change:.3f} in the mean"),
        ]  # fmt: skip
        blocks: list[Block] = [
            *(Callout("note", remark) for remark in self.remarks()),
            Facts(tuple(facts)),
            Figure(self.figure, "The distance is that along the axis where the crops are further apart."),
        ]
        if not self.same.all():
            blocks.append(self.table())
        return Document(
            f"Consistency of {self.network} on {plural(self.images, 'image')} of {self.data}", tuple(blocks)
        )

    def remarks(self) -> Iterator[str]:
        """Yield what to know when reading the shares."""
        if self.images < self.planned:
            yield f"interrupted: {self.images:,} of {plural(self.planned, 'image')} gone through"
        yield "accuracy alone raises consistency: compare networks by their flips among right predictions"

    def table(self) -> Table:
        """Return the images whose prediction changes, the largest change of probability first."""
        change = np.where(self.same, -1.0, np.abs(self.probabilities[:, 1] - self.probabilities[:, 0]))
        rows = [int(row) for row in np.argsort(-change, kind="stable")[:_LISTED] if not self.same[row]]
        columns = [Column("image"), Column("pixels apart", numeric=True), Column("first crop"), Column("second crop"),
                   Column("probability of the first", numeric=True)]  # fmt: skip
        return Table(
            tuple(columns),
            tuple(
                Row((
                    self.names[row],
                    f"{self.distances[row]}",
                    self._name(self.predicted[row, 0]),
                    self._name(self.predicted[row, 1]),
                    f"{self.probabilities[row, 0]:.2f} to {self.probabilities[row, 1]:.2f}",
                ))
                for row in rows
            ),
            title="images whose prediction changes",
        )  # fmt: skip

    def _name(self, number: int) -> str:
        return self.classes[number] if number < len(self.classes) else f"class {number}"
