"""Every command that takes a run refuses one that can't be used in the same one line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from commands import run_command
from convscope.runs.run_directory import Run
from hostile_files import untrained_run

# RUN, IMAGE and OUT are replaced.
ONE_NETWORK = {
    "explain": ["explain", "RUN", "IMAGE", "--layer", "c1", "--at", "0,0"],
    "inspect": ["inspect", "RUN"],
    "field": ["field", "RUN", "--layer", "c1", "--at", "0,0"],
    "audit": ["audit", "RUN"],
    "look": ["look", "RUN", "IMAGE", "--no-checks", "--methods", "gradient"],
    "compare": ["compare", "lenet5", "RUN"],
    "train --weights": ["train", "digits", "--weights", "RUN", "--runs", "OUT"],
}
COMMANDS = {
    "predict": ["predict", "RUN", "IMAGE"],
    "evaluate": ["evaluate", "RUN", "digits"],
    "train --resume": ["train", "--resume", "RUN"],
    "train --resume --ensemble": ["train", "--resume", "RUN", "--ensemble", "2"],
    **ONE_NETWORK,
}


def changed(**values: object) -> Callable[[Run], None]:
    """Change fields of model.json."""

    def change(run: Run) -> None:
        run.spec_path.write_text(json.dumps({**json.loads(run.spec_path.read_text()), **values}))

    return change


def cut(run: Run) -> None:
    run.spec_path.write_text(run.spec_path.read_text()[:100])


def begun(run: Run) -> None:
    """As a process leaves it that was killed before it wrote model.json."""
    run.spec_path.unlink()
    run.weights.unlink()


def damaged(run: Run) -> None:
    written = bytearray(run.weights.read_bytes())
    written[-4] ^= 0xFF
    run.weights.write_bytes(written)


USED = {name: words for name, words in COMMANDS.items() if "--resume" not in name}
OF_THE_RECIPE = {name: words for name, words in COMMANDS.items() if "--resume" in name or name == "evaluate"}

BAD: dict[str, tuple[Callable[[Run], None], str, dict[str, list[str]]]] = {
    "older": (changed(format=1), "it has format 1, of an older convscope: train again, or use that version", COMMANDS),
    "newer": (changed(format=3), "it has format 3, and this convscope reads 2: update convscope", COMMANDS),
    "half of model.json": (cut, "model.json can't be used: not JSON", COMMANDS),
    "no model.json": (begun, "it has no model.json", {k: v for k, v in COMMANDS.items() if "--weights" not in k}),
    "an ensemble": (changed(ensemble={"names": ["seed-0"], "planned": 2}), "is an ensemble of 2", ONE_NETWORK),
    "no weights": (lambda run: run.weights.unlink(), "has no weights.safetensors: go on training with", USED),
    "damaged weights": (damaged, "weights.safetensors is damaged (its SHA-256 digest", USED),
    "no recipe.toml": (lambda run: run.recipe_path.unlink(), "no such file; put it back from a copy", OF_THE_RECIPE),
}
PAIRS = [(bad, command) for bad, (_, _, commands) in BAD.items() for command in commands]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("image") / "x.png"
    Image.new("RGB", (32, 32), (200, 10, 90)).save(path)
    return path


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each bad run in a folder named for what is wrong with it."""
    folder = tmp_path_factory.mktemp("runs")
    whole = untrained_run(folder / "whole", "digits").path
    for bad, (spoil, _, _) in BAD.items():
        spoil(Run(Path(shutil.copytree(whole, folder / bad))))
    return folder


@pytest.mark.parametrize(("bad", "command"), PAIRS, ids=[f"{command}, {bad}" for bad, command in PAIRS])
def test_a_bad_run_is_one_line(
    bad: str, command: str, runs: Path, image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, message, commands = BAD[bad]
    words = {"RUN": str(runs / bad), "IMAGE": str(image), "OUT": str(tmp_path / "runs")}
    code, out, err = run_command(capsys, *(words.get(word, word) for word in commands[command]))
    assert code == 2 and out == ""
    assert message in err and len(err.strip().splitlines()) == 1, err
    assert str(runs / bad) in err and not (tmp_path / "runs").exists()


@pytest.mark.parametrize("command", [name for name in COMMANDS if "--resume" not in name and "--weights" not in name])
def test_a_folder_that_is_no_run_is_named_with_the_runs_in_it(
    command: str, runs: Path, image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder of runs, an ablation, which keeps no network, and the checkpoints of a run."""
    several, ablation = tmp_path / "several", tmp_path / "ablation"
    for number in range(7):
        shutil.copytree(runs / "whole", several / f"run-{number}")
    (several / "run-0" / "checkpoint" / "step-000000009").mkdir(parents=True)
    ablation.mkdir()
    (ablation / "ablation.json").write_text("{}")
    inside = ", ".join(str(several / f"run-{number}") for number in range(5))
    checkpoints = several / "run-0" / "checkpoint"
    for folder, message in (
        (several, f"{several} is not a run directory: give one of the runs in it, {inside} and 2 more"),
        (ablation, f"{ablation} is an ablation, which keeps no networks: give a run of convscope train"),
        (checkpoints, f"give the run, {several / 'run-0'}, or {checkpoints / 'step-000000009'}"),
    ):
        words = {"RUN": str(folder), "IMAGE": str(image), "OUT": str(tmp_path / "runs")}
        code, out, err = run_command(capsys, *(words.get(word, word) for word in COMMANDS[command]))
        assert code == 2 and out == "" and message in err and len(err.strip().splitlines()) == 1, err


@pytest.mark.parametrize("command", [name for name in COMMANDS if "resume" not in name])
def test_a_run_without_weights_is_one_line(
    command: str, runs: Path, image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Path(shutil.copytree(runs / "whole", tmp_path / "run"))
    (run / "weights.safetensors").unlink()
    words = {"RUN": str(run), "IMAGE": str(image), "OUT": str(tmp_path / "runs")}
    code, out, err = run_command(capsys, *(words.get(word, word) for word in COMMANDS[command]))
    assert code == 2 and out == "" and len(err.strip().splitlines()) == 1
    assert "weights.safetensors" in err


def test_a_recipe_of_an_older_convscope_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "recipe.toml"
    for text in ("format = 1\n", 'average = "auto"\n'):
        recipe.write_text(text + "epochs = 1\n")
        code, _, err = run_command(capsys, "train", "digits", "--recipe", recipe, "--runs", tmp_path / "runs")
        assert code == 2 and "older convscope" in err and "train again, or use that version" in err
