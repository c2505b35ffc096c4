"""What the trainings of an ablation came to, as CSV files: read back with every cell checked.

    results.csv  a row a training, written after each
    epochs.csv   a row an epoch of each
    live/        the norms of the layers of each, a file a training

A last row that is cut off, as an interrupted copy leaves it, is dropped, and its training is done again.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from convscope.errors import RunError
from convscope.experiments.ablation.trial import DIVERGED, Trial
from convscope.experiments.ablation.variants import find_variant
from convscope.files.regular import UnreadableError, read_bytes, refused_as
from convscope.recipe.recipe import Recipe
from convscope.report.units import plural
from convscope.runs.atomic_files import make_folder, write_file
from convscope.runs.events import COLUMNS, EpochRow, table_row
from convscope.runs.layer_norms import norm_line, read_norms
from convscope.runs.run_directory import Run

RESULTS, EPOCHS = "results.csv", "epochs.csv"
RESULT_COLUMNS = (
    "variant",
    "seed",
    "ending",
    "accuracy",
    "train_accuracy",
    "best_val_accuracy",
    "best_epoch",
    "seconds",
)
EPOCH_COLUMNS = ("variant", "seed", *(name for name, _ in COLUMNS))
ENDINGS = ("done", "early", DIVERGED)

# (variant, seed)
Key = tuple[str, int]
ResultRow = Mapping[str, str]
Parsed = TypeVar("Parsed")


@dataclass(frozen=True)
class Results:
    """The trainings that are complete, and a line for each that is not: what is damaged, and what follows from it."""

    trials: tuple[Trial, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _TrialSheet:
    """The rows of a file with their line numbers, and the cells of a last row that is cut off (None: it is whole)."""

    path: Path
    rows: tuple[tuple[int, ResultRow], ...] = ()
    torn: tuple[str, ...] | None = None


def write_results(run: Run, trials: Sequence[Trial]) -> None:
    """Write results.csv, epochs.csv and norms that are not there yet, each whole or not at all; raises WriteError."""
    for trial in trials:
        if trial.norms and not os.path.lexists(path := norms_path(run, trial.variant, trial.seed)):
            make_folder(path.parent)
            write_file(path, "".join(map(norm_line, trial.norms)))
    results = [["" if (value := getattr(t, name)) is None else str(value) for name in RESULT_COLUMNS] for t in trials]
    epochs = [[t.variant, str(t.seed), *table_row(row)] for t in trials for row in t.rows]
    run.write_table(run.path / EPOCHS, EPOCH_COLUMNS, epochs)
    run.write_table(run.path / RESULTS, RESULT_COLUMNS, results)


def norms_path(run: Run, variant: str, seed: int) -> Path:
    """Return the file of the norms of a training."""
    return run.path / "live" / f"{variant}-{seed}.jsonl"


def _norms(run: Run, trial: Trial) -> Trial:
    """Return a training with its norms; without any where their file is missing or can't be read."""
    try:
        text = read_bytes(norms_path(run, trial.variant, trial.seed)).decode("utf-8", "replace")
    except (UnreadableError, OSError):
        return trial
    return replace(trial, norms=read_norms(text))


def read_results(run: Run) -> Results:
    """Read the trainings that are complete; none where no file is there yet.

    Raises:
        RunError: a row that is damaged, other than by the end of the file; the message names file and row.
    """
    sheet = _sheet(run.path / RESULTS, RESULT_COLUMNS)
    epochs = _sheet(run.path / EPOCHS, EPOCH_COLUMNS)
    rows, cut = _rows_by_training(epochs)
    notes = [] if sheet.torn is None else [f"{sheet.path}: its last row is cut off, and is dropped"]
    trials: dict[Key, Trial] = {}
    for number, row in sheet.rows:
        trial = _norms(run, _checked(sheet.path, number, partial(_trial, row, rows)))
        key = (trial.variant, trial.seed)
        if key in trials:
            raise RunError(_repair(sheet.path, number, f"{trial.variant} with seed {trial.seed} is there twice"))
        trials[key] = trial
    if not epochs.rows and any(trial.ending != DIVERGED for trial in trials.values()):
        lacks = "holds no epochs" if os.path.lexists(epochs.path) else "is missing"
        notes.append(
            f"{epochs.path} {lacks}: the report has no curves of {plural(len(trials), 'training')}; "
            f"remove {sheet.path}, and all are done again"
        )
        return Results(tuple(trials.values()), tuple(notes))
    recipe = run.recipe() if trials else Recipe()
    if rows and any(trial.ending != DIVERGED and not trial.rows for trial in trials.values()):
        # The file ends before later trainings: one that had no planned end may lack epochs as well.
        last = next(reversed(rows))
        cut |= {last} if last in trials and trials[last].ending != "done" else set()
    for key, trial in list(trials.items()):
        if key in cut or not _has_its_epochs(trial, recipe):
            notes.append(f"{epochs.path} lacks epochs of {trial.variant} with seed {trial.seed}: it is trained again")
            del trials[key]
    return Results(tuple(trials.values()), tuple(notes))


def _sheet(path: Path, columns: Sequence[str]) -> _TrialSheet:
    """Return the rows of one of the two files; the cells themselves are not read yet."""
    if not os.path.lexists(path):
        return _TrialSheet(path)
    with refused_as(RunError, path):
        text = read_bytes(path).decode("utf-8", "replace")
    *lines, rest = text.replace("\r\n", "\n").split("\n")
    torn = tuple(rest.split(",")) if rest else None
    if not lines:
        return _TrialSheet(path, torn=torn)
    if lines[0].split(",") != list(columns):
        raise RunError(f"{path}, row 1: the columns are {lines[0][:200]!r}, not {','.join(columns)!r}")
    rows = []
    for number, line in enumerate(lines[1:], 2):
        cells = line.split(",")
        if len(cells) != len(columns):
            if number == len(lines) and torn is None and len(cells) < len(columns):
                torn = tuple(cells)
                break
            raise RunError(_repair(path, number, f"{plural(len(cells), 'cell')}, not {len(columns)}"))
        rows.append((number, dict(zip(columns, cells, strict=True))))
    return _TrialSheet(path, tuple(rows), torn)


def _rows_by_training(epochs: _TrialSheet) -> tuple[dict[Key, list[EpochRow]], set[Key]]:
    """Return the epochs of each training, and the training to which a row that is cut off belongs."""
    rows: dict[Key, list[EpochRow]] = {}
    key: Key | None = None
    for number, row in epochs.rows:
        key = _checked(epochs.path, number, partial(_key, row))
        rows.setdefault(key, []).append(_checked(epochs.path, number, partial(_epoch, row)))
    if epochs.torn is None:
        return rows, set()
    if len(epochs.torn) > 2 and epochs.torn[1].isdecimal():
        key = (epochs.torn[0], int(epochs.torn[1]))
    return rows, set() if key is None else {key}


def _has_its_epochs(trial: Trial, recipe: Recipe) -> bool:
    """Return whether a training has a row for each epoch that its variant plans; one that diverged may have none."""
    numbers = [row.epoch for row in trial.rows]
    if numbers != list(range(1, len(numbers) + 1)) or len(numbers) < (trial.best_epoch or 0):
        return False
    return trial.ending != "done" or len(numbers) == find_variant(trial.variant).recipe(recipe).epochs


def _checked(path: Path, number: int, read: Callable[[], Parsed]) -> Parsed:
    """Read a row by `read`, with the file's name and the row's number in errors."""
    try:
        return read()
    except (ValueError, RunError) as error:
        raise RunError(_repair(path, number, str(error))) from error


def _repair(path: Path, number: int, what: str) -> str:
    return f"{path}, row {number}: {what}; remove the row, and its training is done again"


def _key(row: ResultRow) -> Key:
    return find_variant(row["variant"]).name, _whole(row, "seed")


def _trial(row: ResultRow, rows: Mapping[Key, Sequence[EpochRow]]) -> Trial:
    variant, seed = _key(row)
    ending = row["ending"]
    if ending not in ENDINGS:
        raise ValueError(f"ending is {ending!r}, not one of {', '.join(ENDINGS)}")
    accuracy = _share(row, "accuracy")
    if accuracy is None and ending != DIVERGED:
        raise ValueError(f"accuracy is empty, and the training did not end as {DIVERGED}")
    seconds = _number(row, "seconds")
    if seconds is None or not 0 <= seconds < math.inf:
        raise ValueError(f"seconds is {row['seconds']!r}, not a time")
    return Trial(
        variant=variant,
        seed=seed,
        ending=ending,
        accuracy=accuracy,
        train_accuracy=_share(row, "train_accuracy"),
        best_val_accuracy=_share(row, "best_val_accuracy"),
        best_epoch=_whole(row, "best_epoch") if row["best_epoch"] else None,
        seconds=seconds,
        rows=tuple(rows.get((variant, seed), ())),
    )


def _epoch(row: ResultRow) -> EpochRow:
    values: dict[str, Any] = {field: _number(row, name) for name, field in COLUMNS}
    return EpochRow(**{**values, "epoch": _whole(row, "epoch"), "best": row["best"] == "1"})


def _whole(row: ResultRow, name: str) -> int:
    cell = row[name]
    if not (cell.isascii() and cell.isdecimal() and len(cell) < 20):
        raise ValueError(f"{name} is {cell[:40]!r}, not a whole number")
    return int(cell)


def _number(row: ResultRow, name: str) -> float | None:
    try:
        return float(row[name]) if row[name] else None
    except ValueError:
        raise ValueError(f"{name} is {row[name][:40]!r}, not a number") from None


def _share(row: ResultRow, name: str) -> float | None:
    value = _number(row, name)
    if value is not None and not 0 <= value <= 1:
        raise ValueError(f"{name} is {row[name][:40]!r}, not a share from 0 to 1")
    return value
