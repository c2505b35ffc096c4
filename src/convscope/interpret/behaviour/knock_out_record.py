"""What knocking out channels does to a network, as a record."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from convscope.arrays import Array, Booleans, Floats, Integers
from convscope.report.colour_maps import ColourScale
from convscope.report.document import Block, Callout, Document, Fact, Facts, Figure
from convscope.report.documented import Pictured
from convscope.report.json_values import json_dict
from convscope.report.matrix_chart import matrix_chart
from convscope.report.printable import few
from convscope.report.short_repr import ShortRepr
from convscope.report.svg import Drawing, below
from convscope.report.table import Cell, Column, Row, Table
from convscope.report.units import interval, percent, plural
from convscope.scoring.intervals import of_share

OFF_DATA = 2.0
"""Standard deviations from a channel's mean from which on zero is said to be off the data."""
_LISTED, _DRAWN, _DRAWN_CLASSES = 20, 64, 40
_SUFFER = 3  # classes named of each channel
_NAMED = 6


@dataclass(frozen=True, slots=True, repr=False)
class KnockedOut(ShortRepr):
    """Channels that were knocked out at once.

    Args:
        channels: by number.
        changed_mean: images whose prediction differs with the channels at their means.
        changed_zero: the same at zero.
    """

    channels: tuple[int, ...]
    changed_mean: int
    changed_zero: int

    @property
    def name(self) -> str:
        """The channels in a few words."""
        return f"channel {self.channels[0]}" if len(self.channels) == 1 else plural(len(self.channels), "channel")

    def headline(self) -> str:
        """Return the channels and how many predictions differ."""
        return f"{self.name}: {self.changed_mean:,} predictions differ"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class KnockOut(Pictured):
    """Right predictions of each class, with channels of a layer replaced by their means over the data, and by zero.

    Args:
        network: its name.
        data: the name of the images.
        layer: the layer or operation whose output was replaced.
        planned: how many images there are: more than were gone through, where it was interrupted.
        classes: the names of the network's classes.
        knocked: K groups of channels, in the order in which they were asked for.
        images_of_class: images of each class, (classes,).
        right: of them those that are predicted right, (classes,).
        right_mean: the same with a group's channels at their means, (K, classes).
        right_zero: the same with them at zero, (K, classes).
        means: of all channels of the layer, over images and positions, (C,).
        deviations: standard deviations of them, (C,).
        normalized_by: the normalization that reads the layer's output; "" where none does.
    """

    network: str
    data: str
    layer: str
    planned: int
    classes: tuple[str, ...]
    knocked: tuple[KnockedOut, ...]
    images_of_class: Integers
    right: Integers
    right_mean: Integers
    right_zero: Integers
    means: Floats
    deviations: Floats
    normalized_by: str = ""

    @property
    def images(self) -> int:
        """How many images were gone through."""
        return int(self.images_of_class.sum())

    @property
    def accuracy(self) -> float:
        """The share of images that are right as the network is."""
        return float(self.right.sum() / self.images)

    @property
    def accuracy_mean(self) -> Floats:
        """The accuracy with each group at its means, (K,)."""
        return np.asarray(self.right_mean.sum(1) / self.images, np.float64)

    @property
    def accuracy_zero(self) -> Floats:
        """The accuracy with each group at zero, (K,)."""
        return np.asarray(self.right_zero.sum(1) / self.images, np.float64)

    @property
    def zero_off_data(self) -> Booleans:
        """For each channel of the layer whether zero is more than 2 standard deviations from its mean, (C,)."""
        return np.asarray(np.abs(self.means) > OFF_DATA * self.deviations, np.bool_)

    def changes(self, *, zero: bool = False) -> Floats:
        """Return the change of each class's accuracy, (K, classes): -0.2 is 20 points less; NaN without images."""
        counts = self.images_of_class.astype(np.float64)
        counts[counts == 0] = np.nan
        after = self.right_zero if zero else self.right_mean
        return np.asarray((after - self.right) / counts, np.float64)

    def by_harm(self) -> list[int]:
        """Return the groups' places, the one that costs most accuracy at its means first."""
        return [int(place) for place in np.argsort(self.right_mean.sum(1), kind="stable")]

    def suffering(self, place: int, count: int = _SUFFER) -> list[tuple[str, float]]:
        """Return the classes that a group's knock-out costs most, with the change of their accuracy, worst first."""
        changes = self.changes()[place]
        order = [int(number) for number in np.argsort(changes, kind="stable") if changes[number] < 0]
        return [(self.classes[number], float(changes[number])) for number in order[:count]]

    def headline(self) -> str:
        """Return the layer and the channel that costs most."""
        place = self.by_harm()[0]
        found = f"{self.network}, {self.layer}: accuracy {percent(self.accuracy)}"
        return f"{found}, {percent(float(self.accuracy_mean[place]))} without {self.knocked[place].name}"

    def arrays(self) -> dict[str, Array]:
        """Return the counts and the channels' means and deviations, by name."""
        return {
            "images_of_class": self.images_of_class,
            "right": self.right,
            "right_mean": self.right_mean,
            "right_zero": self.right_zero,
            "means": self.means,
            "deviations": self.deviations,
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as JSON's types.

        Keys:
            network: its name.
            data: the name of the images.
            layer: whose channels were knocked out.
            images: how many were gone through.
            planned: how many there are.
            classes: the names of the classes.
            accuracy: as the network is.
            images_of_class: images of each class.
            right: of them those that are right.
            knocked: of each group channels, accuracy_mean, accuracy_zero, changed_mean and changed_zero (predictions
                that differ), right_mean and right_zero (of each class), suffering (class and change of its accuracy).
            zero_off_data: channels of the layer for which zero is more than 2 standard deviations from their mean.
            normalized_by: the normalization that reads the layer's output, or "".
        """
        groups = [
            {
                "channels": found.channels,
                "accuracy_mean": self.accuracy_mean[place],
                "accuracy_zero": self.accuracy_zero[place],
                "changed_mean": found.changed_mean,
                "changed_zero": found.changed_zero,
                "right_mean": self.right_mean[place],
                "right_zero": self.right_zero[place],
                "suffering": self.suffering(place),
            }
            for place, found in enumerate(self.knocked)
        ]
        return json_dict(
            {
                "network": self.network,
                "data": self.data,
                "layer": self.layer,
                "images": self.images,
                "planned": self.planned,
                "classes": self.classes,
                "accuracy": self.accuracy,
                "images_of_class": self.images_of_class,
                "right": self.right,
                "knocked": groups,
                "zero_off_data": np.flatnonzero(self.zero_off_data),
                "normalized_by": self.normalized_by,
            }
        )

    def remarks(self) -> Iterator[str]:
        """Yield a sentence on each thing to know before the numbers are read."""
        if self.images < self.planned:
            yield f"interrupted: {self.images:,} of {plural(self.planned, 'image')} gone through"
        asked = sorted({channel for found in self.knocked for channel in found.channels})
        off = [channel for channel in asked if self.zero_off_data[channel]]
        if off:
            named = few([str(channel) for channel in off], _NAMED)
            yield (f"zero is off the data, more than {OFF_DATA:g} standard deviations from the mean, for "
                   f"{len(off):,} of {plural(len(asked), 'channel')} ({named}): read the mean's column")  # fmt: skip
        if self.normalized_by:
            yield (f"{self.normalized_by} reads {self.layer}: at zero a channel leaves it as its shift less its scaled "
                   "running mean, a value that need not occur on the data")  # fmt: skip

    def table(self, listed: int = _LISTED) -> Table:
        """Return the groups that cost most accuracy, the worst first."""
        columns = [
            Column("knocked out"),
            Column("accuracy, mean", numeric=True, note="with the channels at their means over the data"),
            Column("accuracy, zero", numeric=True, note="with the channels at zero"),
            Column("predictions that differ", numeric=True, note="with the channels at their means"),
            Column("classes that suffer most (points, mean)"),
        ]
        rows = []
        for place in self.by_harm()[:listed]:
            found, mean, zero = self.knocked[place], self.accuracy_mean[place], self.accuracy_zero[place]
            suffer = ", ".join(f"{name} {100 * change:+.1f}" for name, change in self.suffering(place)) or "none"
            cells: list[Cell] = [
                found.name, (percent(float(mean)), float(mean)), (percent(float(zero)), float(zero)),
                (f"{found.changed_mean:,}", found.changed_mean), suffer,
            ]  # fmt: skip
            rows.append(Row.of(cells))
        return Table(tuple(columns), tuple(rows))

    def figure(self) -> Drawing:
        """Draw the change of each class's accuracy by group, at the means above and at zero below, on one scale."""
        places = self.by_harm()[:_DRAWN]
        mean, zero = self.changes()[places] * 100, self.changes(zero=True)[places] * 100
        worst = np.nan_to_num(np.minimum(mean, zero)).min(axis=0, initial=0.0)
        shown = np.sort(np.argsort(worst, kind="stable")[:_DRAWN_CLASSES])
        scale = ColourScale.of(mean, zero, kind="diverging")
        rows = [", ".join(map(str, self.knocked[p].channels)) for p in places]
        charts = [
            matrix_chart(
                values[:, shown],
                rows=rows,
                columns=[self.classes[number] for number in shown],
                title=f"{self.layer}: accuracy by class with a channel at {what}",
                scale=scale,
                unit="change in points",
                row_axis="channel, worst first",
                column_axis="class",
            )
            for what, values in (("its mean", mean), ("zero", zero))
        ]
        return below(*charts, title=f"Knock-out of {self.layer} in {self.network}")

    def document(self) -> Document:
        """Return what is shown: remarks, the accuracy as it is, the groups, and the changes by class."""
        ends = of_share(int(self.right.sum()), self.images)
        facts = Facts((
            Fact("accuracy", f"{percent(self.accuracy)} ({interval(ends)})", self.accuracy),
            Fact("images", f"{self.images:,} of {self.data}", self.images),
            Fact("knocked out", f"{plural(len(self.knocked), 'time')} in {self.layer}", len(self.knocked)),
        ))  # fmt: skip
        blocks: tuple[Block, ...] = (
            *(Callout("note", remark) for remark in self.remarks()),
            facts,
            self.table(),
            Figure(
                self.figure, f"At most {_DRAWN} channels and {_DRAWN_CLASSES} classes, those with the largest fall."
            ),
        )
        return Document(f"Knock-out of {self.layer} in {self.network}", blocks)
