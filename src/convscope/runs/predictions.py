"""What a predictor says of images: of one, and of many in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, overload

import numpy as np

from convscope.arrays import Floats
from convscope.errors import DataError, RunError
from convscope.files.regular import refused_as, write_text
from convscope.report.charts import bar_chart
from convscope.report.csv_table import csv_text
from convscope.report.document import Block, Callout, Document, Fact, Facts, Paragraph
from convscope.report.documented import Documented, Pictured
from convscope.report.json_values import json_dict
from convscope.report.printable import few
from convscope.report.short_repr import short_path
from convscope.report.svg import Drawing
from convscope.report.table import Cell, Column, Table
from convscope.report.units import percent, plural

SHOWN = 50  # images that a document lists
NAMED = 4  # classes that are counted in a line


class ClassProbability(NamedTuple):
    """A class and its probability, 0 to 1."""

    name: str
    probability: float


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Prediction(Pictured):
    """One image and its classes, or why it could not be read.

    Args:
        image: the file's path, or "image 3" for the third of those that have none.
        top: the most probable classes, the most probable first; as many as were asked for.
        labels: the classes that the image shows: the most probable one, or where an image may show several those
            whose probability is at least the threshold.
        classes: the names of all classes, in the order of the network's outputs.
        shares: the probability of each of them, (classes,).
        multi_label: whether the image may show several classes, or none.
        defect_score: 1 - P(good class), where the run has a good class; else None.
        verdict: "good" or "defect", by the run's threshold; "" where it has no good class.
        problem: why there is no prediction; empty where there is one.
    """

    image: str
    top: tuple[ClassProbability, ...] = ()
    labels: tuple[ClassProbability, ...] = ()
    classes: tuple[str, ...] = field(default=(), compare=False)
    # An array, not pairs: of a thousand classes these would take twenty times the memory.
    shares: Floats = field(default_factory=lambda: np.empty(0), compare=False)
    multi_label: bool = False
    defect_score: float | None = None
    verdict: str = ""
    problem: str = ""

    @property
    def probabilities(self) -> tuple[ClassProbability, ...]:
        """The probability of every class, the most probable first."""
        order = np.argsort(-self.shares, kind="stable").tolist()
        return tuple(ClassProbability(self.classes[place], float(self.shares[place])) for place in order)

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
        if self.defect_score is not None:
            return f"{short_path(self.image)}: {self.verdict}, defect score {self.defect_score:.3g}, {self.text}"
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
        facts: tuple[Block, ...] = ()
        if self.defect_score is not None:
            score = Fact("defect score", f"{self.defect_score:.3g}", self.defect_score)
            facts = (Facts((Fact("verdict", self.verdict), score)),)
        return Document(self.image, (*facts, Table.of(columns, rows)))

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
            probabilities: of every class, by name, the most probable first; None where the image could not be read.
            defect_score: 1 - P(good class); None where the run has no good class.
            verdict: good or defect; empty where the run has no good class.
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
                "probabilities": dict(self.probabilities) if read else None,
                "defect_score": self.defect_score,
                "verdict": self.verdict,
            }
        )


@dataclass(frozen=True, eq=False, repr=False)
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
        """Return the number of images, and the most frequent classes or the verdicts."""
        verdicts = Counter(item.verdict for item in self.items if item.verdict)
        counts = verdicts.most_common() if verdicts else self.counts.items()
        counted = few([f"{name} ({count:,})" for name, count in counts], NAMED)
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
        verdicts = [Column("verdict"), Column("defect score", numeric=True)] if any(i.verdict for i in read) else []
        columns = [Column("image"), *verdicts, Column("class"), Column("confidence", numeric=True), *others]
        rows: list[list[Cell]] = []
        for item in read:
            rest = ", ".join(f"{name} {percent(share)}" for name, share in item.top[1:])
            confidence = (percent(item.confidence), item.confidence)
            verdict: list[Cell] = [item.verdict, _score(item.defect_score)] if verdicts else []
            rows.append([item.image, *verdict, item.label, confidence, *([rest] if others else [])])
        return Table.of(columns, rows)

    def to_csv(self, path: str | Path | None = None) -> str:
        """Return the text of a CSV file of the images that could be read, and write it to `path` where one is given.

        Its columns are image, class, confidence, those of the verdict where the run has a good class, and the
        probability of each class; with several labels an image: image, labels, and the probabilities. Names that a
        spreadsheet would take for formulas are made harmless.

        Raises:
            RunError: the file can't be written.

        >>> cat = ClassProbability("=cat", 0.9)
        >>> known = {"classes": ("=cat", "dog"), "shares": np.array([0.9, 0.1])}
        >>> print(Predictions((Prediction(image="a.png", top=(cat,), labels=(cat,), **known),)).to_csv(), end="")
        image,class,confidence,'=cat,dog
        a.png,'=cat,0.9,0.9,0.1
        """
        read = self.read
        header: tuple[str, ...] = ("image",)
        if read:
            header = csv_header(read[0].classes, multi_label=read[0].multi_label, verdict=bool(read[0].verdict))
        text = csv_text(header, map(csv_row, read))
        if path is not None:
            with refused_as(RunError, f"{path} can't be written"):
                write_text(path, text)
        return text

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


def csv_header(classes: Sequence[str], *, multi_label: bool, verdict: bool) -> tuple[str, ...]:
    """Return the names of the columns of predictions in CSV."""
    of_rule = ("verdict", "defect_score") if verdict else ()
    own = ("image", "labels") if multi_label else ("image", "class", "confidence", *of_rule)
    return (*own, *probability_columns(classes, beside=own))


def csv_row(prediction: Prediction) -> tuple[str, ...]:
    """Return a prediction's cells in CSV, in the order of `csv_header`."""
    shares = map(share_cell, prediction.shares)
    if prediction.multi_label:
        return (prediction.image, "|".join(label.name for label in prediction.labels), *shares)
    own = (prediction.image, prediction.label, share_cell(prediction.confidence))
    verdict = () if prediction.defect_score is None else (prediction.verdict, f"{prediction.defect_score:.6g}")
    return (*own, *verdict, *shares)


def probability_columns(classes: Sequence[str], *, beside: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the columns of probabilities: the classes', distinct from the columns beside them.

    >>> probability_columns(("cat", "image"), beside=("image", "class"))
    ('cat', 'P(image)')
    >>> probability_columns(("image", "P(image)"), beside=("image", "class"))
    ('P(P(image))', 'P(image)')
    """
    return tuple(_column(name, {*beside}, {*classes, *beside}) for name in classes)


def _column(name: str, beside: Set[str], taken: Set[str]) -> str:
    """Return a class's name, or where a column beside has it the first of P(name), P(P(name)), ... that is free."""
    column = name
    while column in (beside if column == name else taken):
        column = f"P({column})"
    return column


def share_cell(share: float) -> str:
    """Return a probability as CSV has it."""
    return f"{share:.9g}"


def _score(score: float | None) -> Cell:
    return ("", None) if score is None else (f"{score:.3g}", score)
