"""Results of an ablation that were damaged: a file that is cut off loses its end, and anything else is named by row."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ablations import RECIPE
from convscope.errors import RunError
from convscope.experiments.ablation import record
from convscope.experiments.ablation.results import EPOCHS, RESULTS, Results, read_results, write_results
from convscope.experiments.ablation.trial import Trial
from convscope.experiments.ablation.variants import EVERYTHING
from convscope.recipe.recipe_file import to_toml
from convscope.runs.events import EpochRow
from convscope.runs.run_directory import Run

PLANNED = 3


def trial(variant: str, seed: int, ending: str = "done") -> Trial:
    row = EpochRow(
        epoch=1,
        seconds=1.5,
        train_loss=2.25,
        train_accuracy=0.5,
        val_loss=1.5,
        val_accuracy=0.625,
        learning_rate=0.05,
        images_per_second=1e3,
        data_wait=0.25,
        best=True,
    )
    epochs = {"done": PLANNED * (2 if variant == "half-the-data" else 1), "early": 2, "diverged": 0}[ending]
    accuracy = None if ending == "diverged" else 0.8125
    return Trial(
        variant=variant,
        seed=seed,
        ending=ending,
        accuracy=accuracy,
        train_accuracy=accuracy,
        best_val_accuracy=accuracy,
        best_epoch=1 if epochs else None,
        seconds=12.75,
        rows=tuple(replace(row, epoch=number) for number in range(1, epochs + 1)),
    )


TRIALS = [
    trial("baseline", 0),
    trial("relu", 0, "early"),
    trial("dropout", 0, "diverged"),
    trial("half-the-data", 0),  # which has twice the epochs
    trial("baseline", 1),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    made = Run(tmp_path_factory.mktemp("ablation"))
    made.recipe_path.write_text(to_toml(RECIPE.changed({"epochs": PLANNED})))
    return made


def test_what_is_written_is_read(run: Run) -> None:
    write_results(run, TRIALS)
    found = read_results(run)
    assert list(found.trials) == TRIALS and not found.notes
    (run.path / RESULTS).write_bytes((run.path / RESULTS).read_bytes().replace(b"\n", b"\r\n"))
    assert list(read_results(run).trials) == TRIALS


@settings(max_examples=60, deadline=None)
@given(data=st.data(), name=st.sampled_from([RESULTS, EPOCHS]))
def test_a_file_that_is_cut_off_anywhere_loses_its_end_and_says_so(run: Run, data: st.DataObject, name: str) -> None:
    write_results(run, TRIALS)
    path = run.path / name
    whole = path.read_bytes()
    length = data.draw(st.integers(0, len(whole) - 1))
    path.write_bytes(whole[:length] + data.draw(st.sampled_from([b"", b"\0\0\0\0", b"\xff"])))
    found = read_results(run)
    assert all(trial in TRIALS or not trial.rows for trial in found.trials)
    ended_by_a_row = whole[:length].endswith(b"\n") and name == RESULTS
    assert found.notes or ended_by_a_row or not found.trials
    if name == RESULTS:
        # What stands before the cut is kept.
        assert list(found.trials) == TRIALS[: max(0, whole[:length].count(b"\n") - 1)]


def test_epochs_that_end_after_a_row_lose_the_training_that_ended_early(run: Run) -> None:
    write_results(run, TRIALS)
    path = run.path / EPOCHS
    lines = path.read_bytes().splitlines(keepends=True)
    for count in range(1, len(lines)):
        path.write_bytes(b"".join(lines[:count]))
        assert all(trial in TRIALS or not trial.rows for trial in read_results(run).trials), count


@settings(max_examples=60, deadline=None)
@given(data=st.data(), name=st.sampled_from([RESULTS, EPOCHS]))
def test_a_byte_that_was_changed_is_read_or_named_and_nothing_else(run: Run, data: st.DataObject, name: str) -> None:
    write_results(run, TRIALS)
    path = run.path / name
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    said = ""
    try:
        found = read_results(run)
    except RunError as error:
        said = str(error)
        found = Results()
    assert not said or (f"{path}, row " in said and "\n" not in said)
    assert all(trial.accuracy is None or 0 <= trial.accuracy <= 1 for trial in found.trials)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("relu,0", "rello,0", "row 3: 'rello' is no part that can be removed. Did you mean relu"),
        ("relu,0", "relu,x", "row 3: seed is 'x', not a whole number"),
        ("relu,0", "baseline,0", "row 3: baseline with seed 0 is there twice"),
        ("early,0.8125", "early,nan", "row 3: accuracy is 'nan', not a share from 0 to 1"),
        ("early,0.8125", "early,", "row 3: accuracy is empty, and the training did not end as diverged"),
        ("early,", "stopped,", "row 3: ending is 'stopped', not one of done, early, diverged"),
        ("12.75\nrelu", "inf\nrelu", "row 2: seconds is 'inf', not a time"),
        ("12.75\nrelu", "12.75,1\nrelu", "row 2: 9 cells, not 8"),
        ("variant,seed", "variant;seed", "row 1: the columns are 'variant;seed"),
    ],
)
def test_a_damaged_row_is_named_with_what_to_do(run: Run, old: str, new: str, message: str) -> None:
    write_results(run, TRIALS)
    path = run.path / RESULTS
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(RunError) as refused:
        read_results(run)
    assert f"{path}, {message}" in str(refused.value)


def test_results_without_their_epochs_are_kept(run: Run) -> None:
    write_results(run, TRIALS)
    (run.path / EPOCHS).unlink()
    found = read_results(run)
    assert [trial.accuracy for trial in found.trials] == [trial.accuracy for trial in TRIALS]
    (note,) = found.notes
    assert note.startswith(f"{run.path / EPOCHS} is missing: the report has no curves of 5 trainings; remove ")


def test_a_training_that_diverged_in_its_first_epoch_leaves_the_curve_of_the_others() -> None:
    found = SimpleNamespace(variant=EVERYTHING)
    trials = [trial("baseline", 0), trial("baseline", 1, "diverged"), trial("baseline", 2)]
    ablation: Any = SimpleNamespace(findings=[found], order=[found], trials=trials)
    assert EVERYTHING.label in record._curves(ablation, without=()).markup()
