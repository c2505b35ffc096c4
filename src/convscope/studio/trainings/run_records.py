"""What the page is shown of runs: a row each in the list, and everything of one. A damaged file is said."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from convscope.errors import ConvscopeError
from convscope.files.checked import read_json
from convscope.files.fields import Fields
from convscope.files.regular import UnreadableError
from convscope.recipe.recipe import Recipe
from convscope.report.json_values import in_json
from convscope.report.printable import printable
from convscope.runs.events import EpochRow
from convscope.runs.layer_norms import NormSample, spread
from convscope.runs.metrics_table import read_metrics
from convscope.runs.model_spec import ModelSpec
from convscope.runs.run_directory import Run
from convscope.studio.models import BEST, RUN_PREFIX
from convscope.studio.protocol import StudioError
from convscope.studio.trainings.run_events import EventPlace
from convscope.studio.trainings.run_state import RunState
from convscope.studio.trainings.run_table import log_tail, text_of

ReadValue = TypeVar("ReadValue")

# Of one run: norm samples that the page gets, layers of each, and rows of the table of epochs.
MOST_SAMPLES, MOST_LAYERS, MOST_ROWS = 200, 24, 20_000
MOST_CLASSES = 2_000
LARGEST_STATE = 2**24


class DamageNotes:
    """What could not be read of a run, a line each."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def read(self, read: Callable[[], ReadValue], otherwise: ReadValue) -> ReadValue:
        """Return what `read` returns; where it fails, note the reason and return the other value."""
        try:
            return read()
        except (ConvscopeError, UnreadableError, OSError) as error:
            self.lines.append(printable(" ".join(str(error).split())))
            return otherwise


def summary_of(run: Run, state: RunState) -> dict[str, Any]:
    """Return the row of a run in the list."""
    notes = DamageNotes()
    rows: tuple[EpochRow, ...] = notes.read(lambda: read_metrics(text_of(run, run.metrics_path)), ())
    spec = notes.read(run.spec, None)
    best = max((row for row in rows if row.val_accuracy is not None), key=_by_validation, default=None)
    return {
        "name": run.path.name,
        **state.to_dict(),
        "model": spec.name if spec else "",
        "classes": len(spec.classes) if spec else 0,
        "members": len(spec.members.names) if spec and spec.members else None,
        "multi_label": any(row.multi_label for row in rows),
        "best_epoch": best.epoch if best else None,
        "best_validation": best.val_accuracy if best else None,
        "seconds": rows[-1].seconds if rows else 0.0,
        "has_report": run.report.is_file(),
        "notes": notes.lines,
    }


def files_stamp(run: Run) -> tuple[int, ...]:
    """Return what changes when a file changes that `summary_of` reads: times and sizes."""
    found: list[int] = []
    for path in (run.status_path, run.metrics_path, run.spec_path, run.report):
        try:
            status = path.stat()
        except OSError:
            found += (0, 0)
        else:
            found += (status.st_mtime_ns, status.st_size)
    return tuple(found)


def record_of(run: Run, state: RunState) -> dict[str, Any]:
    """Return all that the page shows of a run; `events` is the id from which on its stream of events is new."""
    notes = DamageNotes()
    # Before what is read: what is written meanwhile comes again, and replaces the same.
    place = EventPlace.end_of(run)
    rows: tuple[EpochRow, ...] = notes.read(lambda: read_metrics(text_of(run, run.metrics_path)), ())
    recipe = notes.read(run.recipe, None)
    spec = notes.read(run.spec, None)
    samples: tuple[NormSample, ...] = notes.read(run.norms, ())
    scores = notes.read(run.scores, None)
    notes.read(run.live.read_view, None)
    summary = summary_of(run, state)
    return {
        **summary,
        "events": str(place) if place else "",
        "rows": [row_dict(row) for row in rows[-MOST_ROWS:]],
        "recipe": _recipe(recipe),
        "network": _network(spec),
        "scores": scores_dict(scores),
        "norms": _norms(samples),
        "log": log_tail(run),
        "saved": saved_epochs(run, best=summary["best_epoch"]),
        "has_view": run.live.view_path.is_file(),
        "notes": list(dict.fromkeys(notes.lines)),
    }


def row_dict(row: EpochRow) -> dict[str, Any]:
    """Return an epoch as an event has it."""
    values: dict[str, Any] = in_json(asdict(row))
    return values


def saved_epochs(run: Run, *, best: int | None = None) -> list[dict[str, Any]]:
    """Return the epochs of which weights are kept: the model's key in Explore, the epoch, and the checkpoint's step."""
    name = run.path.name
    found: list[dict[str, Any]] = []
    if run.weights.is_file():
        found.append({"key": f"{RUN_PREFIX}{name}@{BEST}", "kind": "best", "epoch": best, "step": None})
    try:
        folders = sorted(path for path in run.checkpoints.glob("step-*") if path.is_dir())
    except OSError:
        folders = []
    for folder in folders:
        found.append(
            {
                "key": f"{RUN_PREFIX}{name}@{folder.name}",
                "kind": "checkpoint",
                "epoch": _epoch_of(folder),
                "step": int(folder.name[5:]) if folder.name[5:].isdigit() else None,
            }
        )
    return found


def scores_dict(scores: Fields | None) -> dict[str, Any] | None:
    """Return the scores of a run as they are compared; None where there are none."""
    if scores is None:
        return None
    try:
        classes = [
            {
                "name": each.text("name"),
                "images": each.integer("images", at_least=0),
                **{name: _optional(each, name) for name in ("precision", "recall", "f1", "average_precision")},
            }
            for each in scores.objects("per_class")[:MOST_CLASSES]
        ]
        measured = "accuracy_top1" if "accuracy_top1" in scores else "mean_average_precision"
        return {
            "split": scores.text("split"),
            "images": scores.integer("images", at_least=0),
            "measured": "accuracy" if measured == "accuracy_top1" else "mAP",
            "measure": scores.optional_number(measured),
            "loss": scores.optional_number("loss"),
            "macro_f1": scores.optional_number("macro_f1"),
            "classes": classes,
        }
    except UnreadableError:
        return None


def _optional(fields: Fields, name: str) -> float | None:
    return fields.optional_number(name) if name in fields else None


def _recipe(recipe: Recipe | None) -> dict[str, Any] | None:
    if recipe is None:
        return None
    # A path of this machine is not the page's: the folder's name is enough to tell runs apart.
    hidden = {name: Path(str(getattr(recipe, name))).name for name in ("data", "weights", "image_folder")}
    return {"settings": {**recipe.to_dict(), **hidden}, "given": sorted(recipe.given)}


def _network(spec: ModelSpec | None) -> dict[str, Any] | None:
    if spec is None:
        return None
    decoding = spec.decoding
    return {
        "name": spec.name,
        "classes": list(spec.classes[:MOST_CLASSES]),
        "input": [decoding.channels, *decoding.size],
        "own_code": spec.source is not None,
        "members": None if spec.members is None else [spec.members.planned, len(spec.members.names)],
    }


def _norms(samples: Sequence[NormSample]) -> dict[str, Any]:
    """Return the norms of some steps by layer: gradients and outputs as lists beside the epochs."""
    shown = spread(samples, MOST_SAMPLES)
    layers = spread(list(dict.fromkeys(name for sample in shown for name in sample.gradients)), MOST_LAYERS)
    return {
        "epochs": [sample.epoch for sample in shown],
        "layers": layers,
        "gradients": [_of_layer(shown, "gradients", name) for name in layers],
        "outputs": [_of_layer(shown, "outputs", name) for name in layers],
    }


def _of_layer(samples: Sequence[NormSample], kind: str, name: str) -> list[float | None]:
    norms: Sequence[Mapping[str, float | None]] = [
        sample.gradients if kind == "gradients" else sample.outputs for sample in samples
    ]
    return [each.get(name) for each in norms]


def _epoch_of(folder: Path) -> int | None:
    path = folder / "state.json"
    if path.is_symlink() or not os.path.lexists(path):
        return None
    try:
        return read_json(path, limit=LARGEST_STATE).integer("epoch", at_least=0)
    except UnreadableError:
        return None


def _by_validation(row: EpochRow) -> tuple[float, float]:
    return row.val_accuracy or 0.0, -(row.val_loss or 0.0)


def report_of(run: Run, content: bytes) -> bytes:
    """Return the report of a run; raises StudioError where it has none yet."""
    if not content:
        raise StudioError(f"{run.path.name} has no report yet: it is written when the training ends", "gone")
    return content
