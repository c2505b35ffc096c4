"""What a predictor says of images: of one, and of many in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, overload

from convscope.errors import DataError
from convscope.report.charts import bar_chart
from convscope.report.document import Block, Callout, Document, Paragraph
from convscope.report.documented import Documented, Pictured
from convscope.report.json_values import json_dict
from convscope.report.short_repr import short_path
from convscope.report.svg import Drawing
from convscope.report.table import Cell, Column, Table
from convscope.report.units import few, percent, plural

SHOWN = 50  # images that a document lists
NAMED = 4  # classes that are counted in a line


class ClassProbability(NamedTuple):
    """A class and its probability, 0 to 1."""

    name: str
    probability: float


@dataclass(frozen=True, kw_only=True, repr=False)
class Prediction(Pictured):
    """One image and its classes, or why it could not be read.

    Args:
        image: the file's path, or "image 3" for the third of those that have none.
        top: the most probable classes, the most probable first; as many as were asked for.
        labels: the classes that the image shows: the most probable one, or where an image may show several those
            whose probability is at least the threshold.
        probabilities: of every class, the most probable first, where an image may show several; else empty.
        problem: why there is no prediction; empty where there is one.
    """

    image: str
    top: tuple[ClassProbability, ...] = ()
    labels: tuple[ClassProbability, ...] = ()
    probabilities: tuple[ClassProbability, ...] = ()
    problem: str = ""

    @property
    def multi_label(self) -> bool:
        """Whether the image may show several classes, or none."""
        return bool(self.probabilities)

    @property
    def label(self) -> str:
        """The most probable class; raises DataError where the image could not be read."""
        return self._first.name

    @property
    def confidence(self) -> float:
        """Its probability, 0 to 1; raises DataError where the image could not be read."""
        return self._first.probability

    @property
    def text(self) -> str:
        """What the image shows, with the probability of each label; or why it could not be read."""
        if self.problem:
            return self.problem
        shown = ", ".join(f"{name} {percent(share)}" for name, share in self.labels)
        return shown or f"none (nearest: {self.label} {percent(self.confidence)})"

    def headline(self) -> str:
        """Return the image and its classes, or why it could not be read."""
        if self.problem or not self.labels:
            return f"{short_path(self.image)}: {self.text}"
        return f"{short_path(self.image)}: {', '.join(f'{name} ({percent(share)})' for name, share in self.labels)}"

    def figure(self) -> Drawing:
        """Draw the probabilities of the most probable classes as bars."""
        return bar_chart(self.top, title=self.image, labels=[percent(share) for _, share in self.top], largest=1.0)

    def document(self) -> Document:
        """Return what is shown: the most probable classes, or why the image could not be read."""
        if self.problem:
            return Document(self.image, (Callout("error", self.problem),))
        labels = {item.name for item in self.labels}
        columns = [Column("class"), Column("probability", numeric=True), Column("")]
        rows = [
            (item.name, (percent(item.probability), item.probability), "predicted" if item.name in labels else "")
            for item in self.top
        ]
        return Document(self.image, (Table.of(columns, rows),))

    @property
    def _first(self) -> ClassProbability:
        if self.problem:
            raise DataError(f"{self.image}: {self.problem}")
        return self.top[0]

    def to_dict(self) -> dict[str, Any]:
        """Return the prediction as JSON's types.

        Keys:
            image: the file's path, or "image 3".
            problem: why it could not be read; empty where it could.
            class: the most probable class; None where the image could not be read.
            confidence: its probability; None where the image could not be read.
            labels: the classes that the image shows.
            top: the most probable classes, a class and a probability each.
            probabilities: of every class, by name, where an image may show several; else None.
        """
        read = not self.problem
        return json_dict(
            {
                "image": self.image,
                "problem": self.problem,
                "class": self.label if read else None,
                "confidence": self.confidence if read else None,
                "labels": [item.name for item in self.labels],
                "top": [{"class": item.name, "probability": item.probability} for item in self.top],
                "probabilities": dict(self.probabilities) if self.multi_label else None,
            }
        )


@dataclass(frozen=True, repr=False)
class Predictions(Documented, Sequence[Prediction]):
    """The predictions of images, in order: a sequence with a table.

    >>> cat = Prediction(image="a.png", top=(ClassProbability("cat", 0.9),), labels=(ClassProbability("cat", 0.9),))
    >>> found = Predictions((cat, Prediction(image="b.png", problem="no such file")))
    >>> found
    <Predictions 2 images: cat (1); 1 can't be read>
    >>> [len(found), found[0].label, len(found.problems)]
    [2, 'cat', 1]
    """

    items: tuple[Prediction, ...]

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Prediction]:
        return iter(self.items)

    @overload
    def __getitem__(self, index: int) -> Prediction: ...
    @overload
    def __getitem__(self, index: slice) -> Predictions: ...
    def __getitem__(self, index: int | slice) -> Prediction | Predictions:
        """Return the prediction of one image, or those of several."""
        return Predictions(self.items[index]) if isinstance(index, slice) else self.items[index]

    @property
    def problems(self) -> tuple[Prediction, ...]:
        """Those of the images that could not be read."""
        return tuple(item for item in self.items if item.problem)

    @property
    def read(self) -> tuple[Prediction, ...]:
        """Those of the images that could be read."""
        return tuple(item for item in self.items if not item.problem)

    @property
    def counts(self) -> dict[str, int]:
        """The images that show each class, the most frequent first."""
        return dict(Counter(label.name for item in self.items for label in item.labels).most_common())

    def headline(self) -> str:
        """Return the number of images, and the most frequent classes."""
        counted = few([f"{name} ({count:,})" for name, count in self.counts.items()], NAMED)
        unread = f"{len(self.problems):,} can't be read" if self.problems else ""
        found = "; ".join(part for part in (counted, unread) if part)
        return plural(len(self.items), "image") + (f": {found}" if found else "")

    def table(self, *, limit: int | None = None) -> Table:
        """Return a row for each image that could be read: its class, confidence, and the other classes asked for.

        Args:
            limit: images to list; all unless given.
        """
        read = self.read[:limit]
        if any(item.multi_label for item in read):
            return Table.of([Column("image"), Column("labels")], [(item.image, item.text) for item in read])
        top = max((len(item.top) for item in read), default=1)
        others = [Column(f"rest of top-{top}")] if top > 1 else []
        columns = [Column("image"), Column("class"), Column("confidence", numeric=True), *others]
        rows: list[list[Cell]] = []
        for item in read:
            rest = ", ".join(f"{name} {percent(share)}" for name, share in item.top[1:])
            confidence = (percent(item.confidence), item.confidence)
            rows.append([item.image, item.label, confidence, *([rest] if others else [])])
        return Table.of(columns, rows)

    def document(self) -> Document:
        """Return what is shown: the first images and their classes, and those that can't be read."""
        blocks: list[Block] = [self.table(limit=SHOWN)]
        more = len(self.read) - SHOWN
        if more > 0:
            blocks.append(Paragraph(f"and {plural(more, 'more image')}"))
        unread = self.problems
        if unread:
            lines = tuple(f"{item.image}: {item.problem}" for item in unread[:SHOWN])
            rest = (f"and {len(unread) - SHOWN:,} more",) if len(unread) > SHOWN else ()
            blocks.append(Callout("warning", f"{plural(len(unread), 'image')} can't be read", (*lines, *rest)))
        return Document(self.headline(), tuple(blocks))

    def to_dict(self) -> dict[str, Any]:
        """Return the predictions as JSON's types.

        Keys:
            predictions: of the images that could be read, in order, with the keys of `Prediction.to_dict`.
            problems: the other images, an image and a reason each.
        """
        return {
            "predictions": [item.to_dict() for item in self.read],
            "problems": [{"image": item.image, "reason": item.problem} for item in self.problems],
        }
