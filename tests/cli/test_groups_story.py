"""A table of patients, from the columns' options to the shards, through the real command line: no patient is parted."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from pathlib import Path

import pytest

import data_makers as made
from commands import run_command

PATIENTS, EACH = 20, 6


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of scans, two diagnoses, six images a patient."""
    folder = tmp_path_factory.mktemp("work") / "scans"
    (folder / "images").mkdir(parents=True)
    lines = ["scan;finding;patient_id;sex"]
    for number in range(PATIENTS * EACH):
        made.image(number, size=16).save(folder / "images" / f"s{number:03d}.png")
        patient = number // EACH
        lines.append(f"s{number:03d};{('healthy', 'ill')[patient % 2]};P{patient};{'mf'[patient % 3 % 2]}")
    (folder / "scans.csv").write_text("\n".join(lines))
    return folder


def parted(run: Path) -> set[str]:
    """The patients of a run that lie in several splits."""
    splits = defaultdict(set)
    groups = defaultdict(set)
    with (run / "split.csv").open() as file:
        for row in csv.DictReader(file):
            patient = int(Path(row["image"]).stem[-3:]) // EACH
            splits[patient].add(row["split"])
            groups[patient].add(row.get("group"))
    # One group a patient: its name in a table, a number in shards, no column where none is asked for.
    assert all(len(each) == 1 for each in groups.values()) and (groups[7] == {"P7"}) == (run.name == "together")
    assert len(set().union(*groups.values())) == (1 if run.name == "loose" else PATIENTS)
    assert len(splits) == PATIENTS and set().union(*splits.values()) == {"train", "val", "test"}
    return {str(patient) for patient, there in splits.items() if len(there) > 1}


def test_patients_stay_together_in_a_run_its_evaluation_and_its_resumption(
    scans: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = scans.parent / "runs"
    usual = ("--model", "lenet5", "--epochs", "1", "--autotune", "rules", "--runs", runs)
    code, _, err = run_command(capsys, "train", scans, *usual)
    assert code == 2 and "finding (healthy, ill) and sex (f, m) both can be the labels" in err
    named = ("--label-column", "finding")
    code, _, err = run_command(capsys, "train", scans, *named, *usual, "--name", "loose")
    assert code == 0 and "--group-column patient_id keeps each in one split" in err and parted(runs / "loose")
    code, _, err = run_command(
        capsys, "train", scans, *named, "--group-column", "patient_id", *usual, "--name", "together"
    )
    run = runs / "together"
    assert code == 0 and "groups: 20 by patient_id for 120 images; none is parted by a split" in err
    assert not parted(run)
    assert 'group_column = "patient_id"' in (run / "recipe.toml").read_text()

    code, out, _ = run_command(capsys, "evaluate", run, "--json")
    found = json.loads(out)
    assert (code, found["split"], found["images"]) == (0, "test", 2 * EACH)
    assert not any("trained on" in note for note in found["notes"])
    code, _, err = run_command(capsys, "evaluate", run, scans)
    assert code == 2 and "--label-column finding or --label-column sex" in err
    code, out, _ = run_command(capsys, "evaluate", run, scans, *named, "--json")
    assert (code, json.loads(out)["images"]) == (0, PATIENTS * EACH)
    code, _, err = run_command(capsys, "evaluate", run, *named)
    assert code == 2 and "label_column finding: the run's own images are read as for its training" in err

    before = (run / "split.csv").read_bytes()
    (run / "split.csv").unlink()
    code, _, _ = run_command(capsys, "train", "--resume", run, "--epochs", "2", "--runs", runs)
    assert (code, (run / "split.csv").read_bytes()) == (0, before)
    code, _, err = run_command(
        capsys, "train", "--resume", run, "--epochs", "3", "--group-by", "{group}_*", "--runs", runs
    )
    assert code == 2 and "group_by can't change when a run is resumed" in err


def test_shards_keep_the_groups(scans: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs, shards = scans.parent / "runs", scans.parent / "shards"
    options = ("--label-column", "finding", "--group-column", "patient_id")
    code, _, _ = run_command(capsys, "shard", scans, shards, *options)
    assert code == 0
    usual = ("--model", "lenet5", "--epochs", "1", "--autotune", "rules", "--runs", runs, "--name", "sharded")
    code, _, err = run_command(capsys, "train", shards, "--stream", "yes", *usual)
    assert code == 0 and "groups: 20 by KEY.group for 120 images" in err
    assert not parted(runs / "sharded")
