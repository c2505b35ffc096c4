"""What parts classes that a network confuses, as a record."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from convscope.arrays import Array, Floats, Integers, Rgb
from convscope.report.charts import confusion_matrix
from convscope.report.colour_maps import ColourScale
from convscope.report.document import Block, Callout, Document, Fact, Facts, Figure, Section
from convscope.report.documented import Pictured
from convscope.report.image_grid import Tile, grid_figure
from convscope.report.json_values import json_dict
from convscope.report.matrix_chart import matrix_chart
from convscope.report.short_repr import ShortRepr, short_path
from convscope.report.svg import Drawing
from convscope.report.table import Cell, Column, Row, Table
from convscope.report.units import percent, plural
from convscope.scoring.confusion_counts import MOST_IN_MATRIX, ConfusionCounts

CHANNELS = 8
"""Channels of a pair that are listed and drawn."""
_EXACT = 0.01  # of the sum of |shares|, 1 at least: a difference from 1 up to which shares are said to add up
_MOST_CLASSES = 100  # of a confusion matrix that is drawn


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class WrongImage(ShortRepr):
    """An image of one class that is predicted as another.

    Args:
        name: the image's.
        pixels: uint8 (H, W, C).
        label: its class, by number.
        predicted: the other.
    """

    name: str
    pixels: Rgb
    label: int
    predicted: int

    def headline(self) -> str:
        """Return the image and its classes."""
        return f"{self.name}: class {self.label} predicted as {self.predicted}"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ClassPair(ShortRepr):
    """What parts two classes.

    Args:
        first: a class, by number.
        second: the other.
        means: of each channel over the images of the first and of the second class, (2, C).
        effect: their difference in standard deviations within a class, (C,); 0 where a channel never varies.
        margin: the mean of score(first) - score(second) over the first class's images less that over the second's.
        shares: of `margin` that each channel makes, (C,); NaN where it is 0.
        wrong: images of either class that are predicted as the other.
    """

    first: int
    second: int
    means: Floats
    effect: Floats
    margin: float
    shares: Floats
    wrong: tuple[WrongImage, ...] = ()

    @property
    def accounted(self) -> float:
        """The sum of the shares: 1 where the parts are exact."""
        return float(self.shares.sum())

    def largest(self, count: int = CHANNELS) -> list[int]:
        """Return the channels whose means differ most, in standard deviations, the largest first."""
        return [int(channel) for channel in np.argsort(-np.abs(self.effect), kind="stable")[:count]]

    def headline(self) -> str:
        """Return the classes and their channel."""
        return f"classes {self.first} and {self.second}: channel {self.largest(1)[0]} differs most"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ConfusedClasses(Pictured):
    """For pairs of classes the channels of a layer that part them.

    Args:
        network: its name.
        data: the name of the images.
        layer: whose channels.
        classes: the names of the network's classes.
        counts: images by true and predicted class.
        pairs: the most confused one first, or as asked for; none where no image is predicted as another class that has
            images.
    """

    network: str
    data: str
    layer: str
    classes: tuple[str, ...]
    counts: ConfusionCounts
    pairs: tuple[ClassPair, ...]

    @cached_property
    def confusion(self) -> Integers:
        """The confusion matrix: images by true class (row) and predicted class (column)."""
        return self.counts.matrix()

    def mistakes(self, pair: ClassPair) -> int:
        """Return how many images of either class are predicted as the other."""
        return self.counts.of(pair.first, pair.second) + self.counts.of(pair.second, pair.first)

    def pair_name(self, pair: ClassPair) -> str:
        """Return the names of a pair's classes."""
        return f"{self.classes[pair.first]} and {self.classes[pair.second]}"

    def headline(self) -> str:
        """Return the network and the pair that is confused most."""
        if not self.pairs:
            return f"{self.network} on {self.data}: {self._no_pair()}"
        pair = self.pairs[0]
        return f"{self.network}: {self.pair_name(pair)}, {plural(self.mistakes(pair), 'mistake')}"

    def arrays(self) -> dict[str, Array]:
        """Return the confusion matrix, and of each pair "A-B/means", "A-B/effect" and "A-B/shares" by class number.

        Of more than 2,000 classes there is no matrix, but "true", "predicted" and "images" of each pair that occurs.
        """
        counts = self.counts
        found: dict[str, Array] = (
            {"confusion": self.confusion}
            if counts.classes <= MOST_IN_MATRIX
            else {"true": counts.true, "predicted": counts.predicted, "images": counts.images}
        )
        for pair in self.pairs:
            name = f"{pair.first}-{pair.second}"
            found |= {f"{name}/means": pair.means, f"{name}/effect": pair.effect, f"{name}/shares": pair.shares}
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as JSON's types.

        Keys:
            network: its name.
            data: the name of the images.
            layer: whose channels.
            classes: their names.
            confusion: images by true class (row) and predicted class (column); None of more than 2,000 classes.
            pairs: of each first and second (class names), mistakes, margin (difference of the classes' mean logit
                differences), accounted (share of it that the channels make), channels, and of these effect (difference
                of means in standard deviations) and shares (of the margin); wrong: names of images.
        """
        return json_dict(
            {
                "network": self.network,
                "data": self.data,
                "layer": self.layer,
                "classes": self.classes,
                "confusion": self.confusion if len(self.classes) <= MOST_IN_MATRIX else None,
                "pairs": [
                    {
                        "first": self.classes[pair.first],
                        "second": self.classes[pair.second],
                        "mistakes": self.mistakes(pair),
                        "margin": pair.margin,
                        "accounted": pair.accounted,
                        "channels": pair.largest(),
                        "effect": pair.effect[pair.largest()],
                        "shares": pair.shares[pair.largest()],
                        "wrong": [image.name for image in pair.wrong],
                    }
                    for pair in self.pairs
                ],
            }
        )

    def figure(self) -> Drawing:
        """Draw for each pair how much the means of its channels differ; without pairs the confusion matrix."""
        if not self.pairs:
            shown = min(len(self.classes), _MOST_CLASSES)
            title = f"{self.network} on {self.data}"
            return confusion_matrix(self.counts.among(np.arange(shown)), self.classes[:shown], title=title)
        channels = list(dict.fromkeys(channel for pair in self.pairs for channel in pair.largest()))
        values = np.stack([pair.effect[channels] for pair in self.pairs])
        return matrix_chart(
            values,
            rows=[self.pair_name(pair) for pair in self.pairs],
            columns=[str(channel) for channel in channels],
            title=f"{self.layer}: channels that separate confused classes",
            scale=ColourScale.of(values, kind="diverging"),
            unit="difference of means, standard deviations (above 0: larger for the first class)",
            column_axis="channel",
        )

    def document(self) -> Document:
        """Return what is shown: of each pair the channels and the mistaken images."""
        right, total = int(self.counts.right.sum()), int(self.counts.images.sum())
        facts = [Fact("images", f"{total:,} of {self.data}", total), Fact("layer", self.layer)]
        if total:
            facts.append(Fact("right", percent(right / total), right / total))
        blocks: list[Block] = [Facts(tuple(facts))]
        if not self.pairs:
            blocks.append(Callout("note", self._no_pair()))
        blocks.append(Figure(self.figure))
        blocks += [Section(f"{self.pair_name(pair)}: {plural(self.mistakes(pair), 'mistake')}",
                           tuple(self._blocks(pair))) for pair in self.pairs]  # fmt: skip
        return Document(f"Confused classes of {self.network}", tuple(blocks))

    def _no_pair(self) -> str:
        """Return why there are no pairs: no image is wrong, or only as classes of which there are no images."""
        wrong = int(self.counts.wrong.images.sum())
        if not wrong:
            return "no pair of classes is confused"
        return f"{plural(wrong, 'image')} wrong, all predicted as classes of which there are no images"

    def _blocks(self, pair: ClassPair) -> Iterator[Block]:
        if pair.margin == 0:
            yield Callout(
                "note", "the mean logit difference is the same for both classes: no channel has a share of it"
            )
        elif not abs(pair.accounted - 1) <= _EXACT * max(1.0, float(np.abs(pair.shares).sum())):
            yield Callout("note", f"the channels account for {percent(pair.accounted)} of the logit difference to "
                                  "first order: what follows the layer is not linear, or has other inputs")  # fmt: skip
        first, second = self.classes[pair.first], self.classes[pair.second]
        columns = (Column("channel", numeric=True), Column(f"mean, {first}", numeric=True),
                   Column(f"mean, {second}", numeric=True), Column("difference, deviations", numeric=True),
                   Column("share of the logit difference", numeric=True))  # fmt: skip
        rows = []
        for channel in pair.largest():
            one, other = (float(mean) for mean in pair.means[:, channel])
            effect, share = float(pair.effect[channel]), float(pair.shares[channel])
            written = percent(share) if np.isfinite(share) else "–"
            cells: list[Cell] = [(f"{channel}", channel), (f"{one:.3g}", one), (f"{other:.3g}", other),
                                 (f"{effect:+.2f}", effect), (written, share)]  # fmt: skip
            rows.append(Row.of(cells))
        yield Table(columns, tuple(rows))
        if pair.wrong:
            tiles = [
                Tile(image.pixels, f"predicted {self.classes[image.predicted]}", short_path(image.name, longest=16),
                     photograph=True, group=self.classes[image.label], description=image.name)
                for image in pair.wrong
            ]  # fmt: skip
            yield grid_figure(tiles, title=f"Mistaken: {self.pair_name(pair)}", columns=4, tile_width=96)
