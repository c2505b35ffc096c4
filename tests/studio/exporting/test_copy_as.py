"""A state as Python and as commands: names that exist, quoted for where they go, and no path that was not named."""

from __future__ import annotations

import ast
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import click
import pytest

from convscope.cli.main import LazyGroup, cli
from convscope.studio.exporting.copy_as import as_command, as_python
from convscope.studio.models import Openable, model_source
from convscope.studio.state import PageState, format_state, parse_state

HOSTILE = "a'b\"; rm -rf ~ #\n<img onerror>"
RUNS = Path("runs").absolute()  # where the command line names none
GIVEN = Openable(runs=RUNS, given=HOSTILE, image="my photo.jpg", input_text="3x64x64", trust_code=True)
PLAIN = Openable(runs=RUNS)
STATES = (
    PageState(model="resnet18", image="sample:3", value="layer1.0:relu#2", channel=3, at=(4, 5)),
    PageState(model="given", image="given", value=HOSTILE, channel=3, at=(4, 5), attribution="gradcam", target=7),
    PageState(model="run:digits@step-40", image="upload:0123456789abcdef", value="c1"),
    PageState(
        model="run:a b",
        image="run:a b/7",
        other="resnet50",
        interventions=(
            {"op": "shift", "dy": 3, "dx": -2},
            {"op": "kernel", "module": HOSTILE, "out": 1, "in": 0, "weights": [[0.5, 1.0]]},
        ),
    ),
    PageState(room="train", run="digits"),
    PageState(),
)


@pytest.mark.parametrize("openable", [GIVEN, PLAIN], ids=["given", "plain"])
@pytest.mark.parametrize("state", STATES, ids=range(len(STATES)))
def test_the_commands_are_typed_as_they_are(state: PageState, openable: Openable) -> None:
    assert isinstance(cli, LazyGroup)
    for line in as_command(state, openable).split("\n"):
        # $'...' is the shell's own way to write a line break.
        words = subprocess.run(
            ["bash", "-c", f'printf "%s\\0" {line}'], capture_output=True, text=True, check=True
        ).stdout.split("\0")[:-1]
        assert words[0] == "convscope"
        command = cli.get_command(click.Context(cli), words[1])
        assert command is not None
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known
        if words[1] == "studio":
            opened, notes = parse_state(words[words.index("--state") + 1])
            assert not notes
            assert opened.interventions == state.interventions and opened.value == state.value


@pytest.mark.parametrize("openable", [GIVEN, PLAIN], ids=["given", "plain"])
@pytest.mark.parametrize("state", STATES, ids=range(len(STATES)))
def test_the_python_is_python_with_the_state_in_it(state: PageState, openable: Openable) -> None:
    tree = ast.parse(as_python(state, openable))
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    assert str(RUNS) not in texts
    if state.room == "explore" and state.model:
        assert state.model in texts
        assert not state.value or state.value in texts
        assert (openable.given or state.model) in texts


def test_a_changed_state_has_no_command_that_leaves_the_change_out() -> None:
    state = PageState(
        model="given", image="given", value="c1", channel=0, at=(0, 0), interventions=STATES[3].interventions
    )
    lines = as_command(state, Openable(runs=Path("runs"), given="lenet5", image="a")).split("\n")
    assert [shlex.split(line)[1] for line in lines] == ["studio", "field"]


def test_runs_elsewhere_are_named_whatever_their_folder_is_called() -> None:
    state = PageState(model="run:a@b@step-40", image="run:a@b/1", value="c1", channel=0, at=(0, 0))
    elsewhere = Openable(runs=Path("/data/runs"))
    assert 'Studio(runs="/data/runs")' in as_python(state, elsewhere)
    studio, field = (shlex.split(line) for line in as_command(state, elsewhere).split("\n"))
    assert studio[studio.index("--runs") + 1] == "/data/runs"
    assert field[2] == "/data/runs/a@b/checkpoint/step-40"
    assert shlex.split(as_command(state, PLAIN).split("\n")[1])[2] == "runs/a@b/checkpoint/step-40"
    own = replace(state, model="run:a@step-40@best")  # a run of this name
    assert shlex.split(as_command(own, PLAIN).split("\n")[1])[2] == "runs/a@step-40"


@pytest.mark.parametrize(
    ("runs", "key", "path"),
    [
        (["a@best"], "run:a@best", "a@best"),  # a link from before the keys of such runs had another @best
        (["a@best", "a"], "run:a@best", "a"),
        (["a@step-7"], "run:a@step-7", "a@step-7"),
        (["a@step-7", "a"], "run:a@step-7", "a/checkpoint/step-7"),
        ([], "run:a@b", "a@b"),
    ],
)
def test_a_command_names_the_run_that_the_page_opens(tmp_path: Path, runs: list[str], key: str, path: str) -> None:
    for name in runs:
        (tmp_path / name / "checkpoint" / "step-7").mkdir(parents=True)
        (tmp_path / name / "model.json").write_text("{}")
    openable = Openable(runs=tmp_path)
    assert not runs or model_source(key, openable).load == f"{tmp_path}/{path}"
    field = as_command(PageState(model=key, value="c1", channel=0, at=(0, 0)), openable).split("\n")[1]
    assert shlex.split(field)[2] == f"{tmp_path}/{path}"


def test_a_second_network_has_the_changes_that_the_page_makes_of_it() -> None:
    script = as_python(STATES[3], PLAIN)
    assert 'studio.run("run:a b", "run:a b/7", changes)' in script
    assert "other_changes = [\n    {'op': 'shift', 'dy': 3, 'dx': -2},\n]" in script
    assert 'studio.run("resnet50", "run:a b/7", other_changes)' in script
    kernel = replace(STATES[3], interventions=STATES[3].interventions[1:])
    assert 'other = studio.run("resnet50", "run:a b/7")' in as_python(kernel, PLAIN)


def test_an_upload_is_named_by_its_file() -> None:
    words = shlex.split(as_command(STATES[2], PLAIN).split("\n")[0])
    assert words[words.index("--image") + 1] == "FILE"
    assert "i=given" in words[-1] and "upload" not in words[-1]
    assert 'add_image("FILE")' in as_python(STATES[2], PLAIN)


def test_writing_a_state_imports_no_torch() -> None:
    code = (
        "import sys; import convscope.studio.exporting.offline_page, convscope.studio.exporting.copy_as; "
        "import convscope.studio.from_python; sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_link_survives_the_command() -> None:
    line = as_command(STATES[0], PLAIN).split("\n")[0]
    assert shlex.split(line)[-1] == format_state(STATES[0])
