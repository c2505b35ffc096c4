"""Norms of layers over the trainings of one run or of several, on one scale."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from convscope.errors import RunError
from convscope.report.document import Block, Callout, Document, Figure
from convscope.report.documented import Pictured
from convscope.report.json_values import json_dict
from convscope.report.short_repr import ShortRepr
from convscope.report.svg import Drawing
from convscope.report.table import Cell, Column, Row, Table
from convscope.report.units import plural
from convscope.runs.layer_norms import VANISHED, NormSample, compared_norms, gradient_ratio, gradients_text
from convscope.runs.run_directory import Run


@dataclass(frozen=True, kw_only=True, repr=False)
class NormsOfRun(ShortRepr):
    """The norms of the layers of one training.

    Args:
        name: the run's.
        samples: in the order of the training.
    """

    name: str
    samples: tuple[NormSample, ...]

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers whose gradients were measured, the first layer first."""
        return tuple(dict.fromkeys(name for sample in self.samples for name in sample.gradients))

    @property
    def gradient_ratio(self) -> float | None:
        """The last layer's gradient norm over the first's, over all samples; None where it is not known."""
        return gradient_ratio(self.samples)

    def headline(self) -> str:
        """Return the run and the ratio of its gradients."""
        ratio = self.gradient_ratio
        return f"{self.name}: gradients {'unknown' if ratio is None else gradients_text(ratio)}"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class TrainingNorms(Pictured):
    """The norms of layers' outputs and gradients over the trainings of one run or of several.

    Args:
        runs: one or several, which are drawn on one scale.
    """

    runs: tuple[NormsOfRun, ...]

    def headline(self) -> str:
        """Return how the gradients of the first layer compare with the last's, run by run."""
        return "; ".join(run.headline() for run in self.runs)

    def to_dict(self) -> dict[str, Any]:
        """Return the norms as JSON's types.

        Keys:
            runs: of each name, gradient_ratio (the last layer's gradient norm over the first's; None where it is not
                known) and samples, each with step, epoch, outputs and gradients (root mean square by layer).
        """
        return json_dict({
            "runs": [
                {
                    "name": run.name,
                    "gradient_ratio": run.gradient_ratio,
                    "samples": [
                        {"step": sample.step, "epoch": sample.epoch, "outputs": dict(sample.outputs),
                         "gradients": dict(sample.gradients)}
                        for sample in run.samples
                    ],
                }
                for run in self.runs
            ]
        })  # fmt: skip

    def figure(self) -> Drawing:
        """Draw the gradients and the outputs of each run, all on the same two scales."""
        return compared_norms({run.name: run.samples for run in self.runs})

    def remarks(self) -> Iterator[str]:
        """Yield a sentence on each run whose gradients vanish."""
        for run in self.runs:
            if (ratio := run.gradient_ratio) is not None and ratio >= VANISHED:
                yield f"{run.name}: gradients are {gradients_text(ratio)}: its first layers hardly learn"

    def table(self) -> Table:
        """Return of each run the norms of its first and its last layer at the first and the last sample."""
        columns = (Column("run"), Column("layer"), Column("gradient, first step", numeric=True),
                   Column("last", numeric=True), Column("output, first step", numeric=True),
                   Column("last", numeric=True))  # fmt: skip
        rows = []
        for run in self.runs:
            for layer in dict.fromkeys((*run.layers[:1], *run.layers[-1:])):
                cells: list[Cell] = [run.name, layer]
                for kind in ("gradients", "outputs"):
                    for sample in (run.samples[0], run.samples[-1]):
                        norm = (sample.gradients if kind == "gradients" else sample.outputs).get(layer)
                        cells.append("?" if norm is None else (f"{norm:.3g}", norm))
                rows.append(Row.of(cells))
        return Table(columns, tuple(rows))

    def document(self) -> Document:
        """Return what is shown: remarks, the curves, and the first and last layer in numbers."""
        steps = max(len(run.samples) for run in self.runs)
        same = " All runs have the same scales." if len(self.runs) > 1 else ""
        caption = f"Root mean square at {plural(steps, 'step')}, of layers from the first to the last.{same}"
        blocks: list[Block] = [*(Callout("warning", remark) for remark in self.remarks())]
        names = " and ".join(run.name for run in self.runs)
        return Document(f"Norms over the training of {names}", (*blocks, Figure(self.figure, caption), self.table()))


def training_norms(runs: tuple[Run, ...]) -> TrainingNorms:
    """Return the norms of one run's training, or of several.

    Raises:
        RunError: the norms of a run can't be read, or it has none.
    """
    found = []
    for run in runs:
        samples = run.norms()
        if not samples:
            raise RunError(f"{run} has no norms of its layers: no step of it was trained, or before they were measured")
        found.append(NormsOfRun(name=str(run), samples=samples))
    return TrainingNorms(runs=tuple(found))
