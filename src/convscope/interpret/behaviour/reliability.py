"""A reliability diagram: how often predictions of each confidence are right, before and after temperature scaling."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from convscope.arrays import Array, Floats
from convscope.data.batches import Batches
from convscope.data.preprocessing import Normalization
from convscope.data.records import ImageSet
from convscope.errors import DataError
from convscope.interpret.behaviour.labelled_images import replay_batch, require_labels
from convscope.interpret.replay.on_images import first_input
from convscope.interpret.replay.own_probabilities import OwnProbabilities
from convscope.interpret.replay.replays import Replays
from convscope.report.charts import Curve, line_chart
from convscope.report.document import Block, Callout, Document, Fact, Facts, Figure
from convscope.report.documented import Pictured
from convscope.report.json_values import json_dict
from convscope.report.progress import Progress, no_progress
from convscope.report.svg import Drawing
from convscope.report.table import Cell, Column, Row, Table
from convscope.report.units import interval, percent, plural
from convscope.scoring.calibration import temperature_of
from convscope.scoring.intervals import of_share
from convscope.scoring.metrics import bins_of, calibration_error
from convscope.scoring.objective import Objective
from convscope.scoring.scores import CalibrationBin

_FEW = 5  # images below which a bin is not drawn


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Reliability(Pictured):
    """Accuracy by confidence, before and after temperature scaling.

    Args:
        network: its name.
        data: the name of the images.
        images: how many were measured.
        planned: how many there are to measure.
        temperature: what scores are divided by.
        fitted_on: how many images the temperature was fitted on, none of them measured; 0 where it was given.
        before: bins of confidence at temperature 1.
        after: at the temperature.
    """

    network: str
    data: str
    images: int
    planned: int
    temperature: float
    fitted_on: int
    before: tuple[CalibrationBin, ...]
    after: tuple[CalibrationBin, ...]

    @property
    def error_before(self) -> float:
        """The expected calibration error at temperature 1."""
        return calibration_error(self.before)

    @property
    def error_after(self) -> float:
        """The expected calibration error at the temperature."""
        return calibration_error(self.after)

    def headline(self) -> str:
        """Return the network and its calibration errors."""
        errors = f"{percent(self.error_before)} as it is, {percent(self.error_after)} at {self.temperature:.3g}"
        return f"{self.network} on {self.data}: calibration error {errors}"

    def arrays(self) -> dict[str, Array]:
        """Return images, confidence and accuracy of each bin, "before" and "after"; NaN for bins without images."""
        return {
            f"{name}/{key}": np.array([np.nan if value is None else value for value in values], np.float64)
            for name, bins in (("before", self.before), ("after", self.after))
            for key, values in (
                ("images", [found.images for found in bins]),
                ("confidence", [found.confidence for found in bins]),
                ("accuracy", [found.accuracy for found in bins]),
            )
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as JSON's types.

        Keys:
            network: its name.
            data: the name of the images.
            images: how many were measured.
            planned: how many there are to measure.
            temperature: what scores are divided by.
            fitted_on: how many other images it was fitted on; 0 where it was given.
            error_before: the expected calibration error at temperature 1.
            error_after: at the temperature.
            before: of each bin low, high, images, confidence and accuracy (None without images) at temperature 1.
            after: the same at the temperature.
        """
        bins = {
            name: [
                {"low": found.low, "high": found.high, "images": found.images, "confidence": found.confidence,
                 "accuracy": found.accuracy}
                for found in each
            ]
            for name, each in (("before", self.before), ("after", self.after))
        }  # fmt: skip
        return json_dict(
            {
                "network": self.network,
                "data": self.data,
                "images": self.images,
                "planned": self.planned,
                "temperature": self.temperature,
                "fitted_on": self.fitted_on,
                "error_before": self.error_before,
                "error_after": self.error_after,
                **bins,
            }
        )

    def figure(self) -> Drawing:
        """Draw accuracy over confidence, both temperatures beside the diagonal of perfect calibration."""
        curves = [Curve("calibrated", [0.0, 100.0], [0.0, 100.0])]
        for name, bins in (("as it is", self.before), (f"temperature {self.temperature:.3g}", self.after)):
            shown = [found for found in bins if found.images >= _FEW]
            confidence = [100 * found.confidence for found in shown if found.confidence is not None]
            accuracy = [100 * found.accuracy for found in shown if found.accuracy is not None]
            curves.append(Curve(name, confidence, accuracy))
        return line_chart(
            curves,
            title=f"Reliability of {self.network} on {plural(self.images, 'image')}",
            x_label=f"confidence, % (bins of {_FEW} images or more)",
            y_label="right, %",
            y_limits=(0, 100),
            width=460,
            height=400,
        )

    def remarks(self) -> Iterator[str]:
        """Yield a sentence on what to know before the numbers are read."""
        if self.images < self.planned:
            yield f"interrupted: {self.images:,} of {plural(self.planned, 'image')} measured"
        if self.fitted_on:
            yield f"the temperature was fitted on {plural(self.fitted_on, 'other image')} of {self.data}"

    def table(self) -> Table:
        """Return the bins at the temperature that hold images."""
        columns = (Column("confidence"), Column("images", numeric=True), Column("mean confidence", numeric=True),
                   Column("right", numeric=True), Column("95 % interval", numeric=True))  # fmt: skip
        rows = []
        for found in self.after:
            if not found.images or found.accuracy is None:
                continue
            ends = of_share(round(found.accuracy * found.images), found.images)
            cells: list[Cell] = [
                f"{100 * found.low:.0f} to {percent(found.high, decimals=0)}", (f"{found.images:,}", found.images),
                (percent(found.confidence), found.confidence), (percent(found.accuracy), found.accuracy),
                (interval(ends, name=""), list(ends)),
            ]  # fmt: skip
            rows.append(Row.of(cells))
        return Table(columns, tuple(rows))

    def document(self) -> Document:
        """Return what is shown: the errors, the bins, and the diagram."""
        facts = Facts((
            Fact("calibration error", f"{percent(self.error_after)}, before {percent(self.error_before)}",
                 self.error_after),
            Fact("temperature", f"{self.temperature:.3g}", self.temperature),
            Fact("images", f"{self.images:,} of {self.data}", self.images),
        ))  # fmt: skip
        notes = [Callout("note", remark) for remark in self.remarks()]
        blocks: tuple[Block, ...] = (*notes, facts, self.table(), Figure(self.figure))
        return Document(f"Reliability of {self.network} on {self.data}", blocks)


def reliability(
    replays: Replays,
    images: ImageSet,
    normalization: Normalization,
    *,
    objective: Objective | None = None,
    temperature: float | None = None,
    data: str = "the images",
    progress: Progress = no_progress,
) -> Reliability:
    """Return how often predictions of each confidence are right, before and after temperature scaling.

    Without a temperature one is fitted on half of the images, drawn with a fixed seed, and both are measured on the
    others: on the images that it was fitted on it would look better than it is. Interrupted, it is of the images that
    were gone through.

    Args:
        replays: the network.
        images: with one label each.
        normalization: of the network's input.
        objective: how scores become probabilities; a softmax unless given.
        temperature: what scores are divided by, such as the run's.
        data: what to call the images.
        progress: called after each batch.

    Raises:
        DataError: no images, or 1 where a temperature is fitted, or such as have not one class of the network's each;
            a temperature that is not above 0; answers that are not finite.
        CaptureError: the network does not run on them.

    >>> from torch import nn
    >>> network = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    >>> pixels = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 1), dtype=np.uint8)
    >>> given = ImageSet(pixels, np.arange(20) % 3, [""] * 20)
    >>> found = reliability(Replays(network), given, Normalization.default(1), temperature=2.0)
    >>> found.images, found.temperature
    (20, 2.0)
    """
    if temperature is not None and not temperature > 0:
        raise DataError(f"temperature {temperature:g}: it divides scores, so it is above 0")
    if len(images) < (2 if temperature is None else 1):
        raise DataError(f"{plural(len(images), 'image')} in {data}: too few to measure calibration")
    one = first_input(replays, images, normalization)
    graph, _ = replays.graph_on(one)
    require_labels(images, int(replays.class_scores(one).shape[1]), data=data)
    scores = _scores(replays, Batches(images, batch_size=replay_batch(graph, len(images)), device=replays.device,
                                      normalization=normalization), progress)  # fmt: skip
    plain = replace(objective or Objective(), temperature=1.0)
    if isinstance(plain, OwnProbabilities):
        scores, plain = plain.logits(scores), Objective(loss=plain.loss)
    measured, fitted = np.arange(len(scores)), 0
    if temperature is None:
        order = np.random.default_rng(0).permutation(len(scores))
        rows, measured = order[::2], np.sort(order[1::2])
        # Labels alone are read.
        half = ImageSet(np.zeros((len(rows), 1, 1, 1), np.uint8), images.labels[rows], [""] * len(rows))
        temperature, fitted = temperature_of(scores[rows], half, plain), len(rows)
    labels = images.labels[measured]
    both = [replace(plain, temperature=each).probabilities_of(scores[measured]) for each in (1.0, temperature)]
    unknown = int((~np.isfinite(both[0]).all(axis=1)).sum())
    if unknown:
        raise DataError(
            f"{graph.name} gives NaN or infinite scores for {plural(unknown, 'image')} of {data}, so no confidence"
        )
    before, after = (bins_of(each, labels, ranks=scores[measured]) for each in both)
    return Reliability(
        network=graph.name,
        data=data,
        images=len(measured),
        planned=len(images) // 2 if fitted else len(images),
        temperature=temperature,
        fitted_on=fitted,
        before=before,
        after=after,
    )


def _scores(replays: Replays, batches: Batches, progress: Progress) -> Floats:
    """Return the scores of images, (N, classes); of those before it where the user interrupts, if there are 2."""
    found: list[Floats] = []
    done = 0
    try:
        for pixels, _, _ in batches:
            found.append(np.asarray(replays.class_scores(pixels).double().cpu().numpy(), np.float64))
            done += len(pixels)
            progress(done, len(batches.image_set), "measuring calibration")
    except KeyboardInterrupt:
        if done < 2:
            raise
    return np.concatenate(found)
