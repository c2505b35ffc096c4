"""What a training came to: its run, its best epoch, its scores and its curves."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from convscope.report.document import Document, Figure, Paragraph
from convscope.report.documented import Pictured
from convscope.report.json_values import json_dict
from convscope.report.printable import from_here
from convscope.report.short_repr import short_path
from convscope.report.svg import Drawing, beside
from convscope.report.units import interval, percent, plural, seconds, whole_tenths
from convscope.report.usage import call_text
from convscope.runs.events import EpochRow
from convscope.runs.run_directory import Run
from convscope.scoring.label_scores import LabelScores
from convscope.scoring.measured import AnyScores
from convscope.scoring.scores import Scores
from convscope.training.loop.state import Best
from convscope.training.report.curves import accuracy_curves, loss_curves
from convscope.training.timing.forecast import Forecast


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Outcome(Pictured):
    """What a run came to: where it lies, how it ended, its best epoch, its scores.

    `ending` is "done", "early" (early stopping), "stopped" (by a callback) or "interrupted" (by Ctrl-C or a signal);
    after the last two the run can be resumed, and `scores` are those on validation images. `measured` names what the
    best epoch is best in: accuracy, or mAP where images have several labels.
    """

    run: Run
    ending: str
    exit_code: int
    best: Best | None
    epochs: int
    seconds: float
    scores: AnyScores | None
    measured: str = "accuracy"
    # The same with one view of each image, where the recipe tests with several.
    one_view: float | None = None
    # What the scores hide, a sentence each.
    cautions: tuple[str, ...] = ()
    # That the training diverged, though it came to its end; empty where it did not.
    remark: str = ""
    # The measures of each epoch, and what the loss is.
    rows: tuple[EpochRow, ...] = ()
    loss_name: str = "loss"
    # What was expected before the first step, of a resumed run of what was left; None where nothing was.
    forecast: Forecast | None = None
    # Seconds of the command up to its report; None where its beginning is unknown.
    command_seconds: float | None = None

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C or a signal ended the training: a loop over trainings should end as well."""
        return self.ending == "interrupted"

    @property
    def solved(self) -> bool:
        """Whether the training began with a solved head, whose measures are those of epoch 0, the first of `rows`."""
        return bool(self.rows) and not self.rows[0].epoch

    @property
    def _of_command(self) -> str:
        """The time of the command beside the forecast; empty where either is unknown."""
        if self.command_seconds is None or self.forecast is None:
            return ""
        return f"; {whole_tenths(self.command_seconds)} in all, forecast {self.forecast.range_text}"

    def lines(self) -> list[str]:
        """Return the result in a few lines, with the run directory."""
        go_on = call_text("train", resume=self.run)
        trained = "solved the head" if self.solved and not self.epochs else f"trained {plural(self.epochs, 'epoch')}"
        ended = {
            "done": f"{trained} in {seconds(self.seconds)}{self._of_command}",
            "early": f"stopped early after {plural(self.epochs, 'epoch')} in {seconds(self.seconds)}: "
            f"no better validation for a while{self._of_command}",
            "stopped": f"stopped after {plural(self.epochs, 'epoch')}; to go on: {go_on}",
            "interrupted": f"stopped after {plural(self.epochs, 'epoch')}; to go on: {go_on}",
        }[self.ending]
        lines, more = [ended], list[str]()
        if self.best and self.best.accuracy is not None:
            of = "the solved head" if self.solved and not self.best.epoch else f"epoch {self.best.epoch}"
            lines.append(f"best validation {self.measured} {percent(self.best.accuracy, decimals=2)}, {of}")
        if isinstance(self.scores, LabelScores):
            if self.scores.split == "test":
                lines.append(
                    f"test mAP {percent(self.scores.mean_average_precision, decimals=2)} "
                    f"({interval(self.scores.map_interval)}), every label right on "
                    f"{percent(self.scores.exact_match, decimals=2)} of {plural(self.scores.images, 'image')}"
                )
        elif self.scores and self.scores.split == "test":
            right = round(self.scores.accuracy_top1 * self.scores.images)
            lines.append(
                f"test accuracy {percent(self.scores.accuracy_top1, decimals=2)} "
                f"({right:,} of {plural(self.scores.images, 'image')}; {interval(self.scores.accuracy_interval)}), "
                f"balanced {percent(self.scores.balanced_accuracy, decimals=2)}, "
                f"macro F1 {percent(self.scores.macro_f1, decimals=2)}, "
                f"calibration error {percent(self.scores.calibration_error)}{self.scores.before_temperature}"
            )
        if isinstance(self.scores, Scores) and self.scores.defects and self.scores.split == "test":
            found = self.scores.defects
            more += [
                f"missed defects {found.missed.text}",
                f"false alarms {found.false_alarms.text}; {found.rule.text}",
            ]
        if self.one_view is not None and self.scores and self.scores.split == "test":
            lines[-1] += f"; with one view of each, {percent(self.one_view, decimals=2)}"
        notes = (f"note: {caution}" for caution in self.cautions)
        return [*lines, *more, *notes, f"report {from_here(self.run.report)}"]

    def headline(self) -> str:
        """Return the run's name, how it ended, and the score."""
        found = f"{plural(self.epochs, 'epoch')}"
        if self.scores is not None and self.scores.split == "test":
            found = f"test {self.measured} {percent(self.scores.measure, decimals=2)}"
        elif self.best is not None and self.best.accuracy is not None:
            found = f"best validation {self.measured} {percent(self.best.accuracy, decimals=2)}"
        return f"{short_path(self.run.path.name)}: {self.ending}, {found}"

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON's types.

        Keys:
            run: the run directory.
            ending: done, early (early stopping), stopped (by a callback) or interrupted (by Ctrl-C or a signal).
            epochs: epochs that are complete.
            seconds: of training.
            command_seconds: of the command up to its report; None where its beginning is unknown.
            best_epoch: the epoch whose weights are kept; None before the first.
            best_validation: their validation accuracy, or mAP; None without validation images.
            measured: which of the two.
            scores: the keys of `Scores.to_dict` or `LabelScores.to_dict`, without mistakes; None if not measured.
            one_view: the score without test-time augmentation; None where the recipe has none.
            remark: that the training diverged; empty where it did not.
            cautions: what the scores hide, a sentence each.
            forecast: seconds in all, of the earliest end and by part, and bytes, as expected at first; None without.
            history: the measures of each epoch.
            report: the page of the run.
        """
        best = self.best
        return json_dict(
            {
                "run": str(self.run.path),
                "ending": self.ending,
                "epochs": self.epochs,
                "seconds": self.seconds,
                "command_seconds": self.command_seconds,
                "best_epoch": best.epoch if best else None,
                "best_validation": best.accuracy if best else None,
                "measured": self.measured,
                "scores": self.scores.to_dict(mistakes=0) if self.scores else None,
                "one_view": self.one_view,
                "remark": self.remark,
                "cautions": self.cautions,
                "forecast": None if self.forecast is None else self.forecast.to_dict(),
                "history": [asdict(row) for row in self.rows],
                "report": str(self.run.report),
            }
        )

    def figure(self) -> Drawing:
        """Draw loss and accuracy by epoch."""
        curves = (loss_curves(self.rows, self.loss_name), accuracy_curves(self.rows))
        return beside(*curves, title=f"Training of {self.run.path.name}")

    def document(self) -> Document:
        """Return what is shown: how the run ended, its scores, and the curves of the training."""
        pictures = [Figure(self.figure)] if self.rows else []
        pictures += [Figure(self.scores.figure)] if self.scores else []
        return Document(str(self.run), (*map(Paragraph, self.lines()), *pictures))
