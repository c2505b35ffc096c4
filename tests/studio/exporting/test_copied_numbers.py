"""What is copied as Python gives the page's number, changes of the image and the network included."""

from __future__ import annotations

import io
from contextlib import chdir, redirect_stdout
from pathlib import Path

import pytest
from PIL import Image

from convscope.studio.exporting.copy_as import as_python
from convscope.studio.from_python import Studio
from convscope.studio.models import Openable
from convscope.studio.protocol import Ask
from convscope.studio.state import PageState

CHANGES = (
    {"op": "shift", "dy": 1, "dx": -2},
    {"op": "occlude", "box": [4, 4, 9, 9]},
    {"op": "channel_off", "value": "act1", "channel": 2},
    {"op": "kernel", "module": "c3", "out": 5, "in": 1, "weights": [[0.25] * 5] * 5},
)
NET = """
import torch
from torch import nn

def make():
    torch.manual_seed(3)
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(256, 3))
"""


def shown(state: PageState, openable: Openable, body: bytes = b"") -> float:
    """The number that the page shows, as its requests ask for it."""
    from convscope.studio.compute.handlers import HANDLERS, open_session

    session = open_session(openable)
    asked = {"model": state.model, "image": state.image, "interventions": list(state.interventions)}
    run = HANDLERS["run"](session, Ask("run", asked, body)).header["run"]
    cell = {"run": run, "value": state.value, "c": state.channel, "at": list(state.at or ()), "page": 0}
    return float(HANDLERS["cell"](session, Ask("cell", cell)).header["number"])


def printed(code: str) -> float:
    """The number in the last line that a script prints."""
    lines = io.StringIO()
    with redirect_stdout(lines):
        exec(compile(code, "copied", "exec"), {})
    return float(lines.getvalue().splitlines()[-1])


@pytest.mark.parametrize("changes", [(), CHANGES], ids=["as it is", "changed"])
def test_the_script_gives_the_number_of_the_page(changes: tuple[dict[str, object], ...], tmp_path: Path) -> None:
    state = PageState(model="lenet5", image="sample:15", value="c3", channel=5, at=(4, 4), interventions=changes)
    openable = Openable(runs=tmp_path / "runs")
    assert printed(as_python(state, openable)) == shown(state, openable)


def test_a_network_and_an_image_of_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(NET, encoding="utf-8")
    Image.linear_gradient("L").convert("RGB").resize((16, 8)).save(tmp_path / "given.png")
    openable = Openable(runs=tmp_path / "runs", given="net.py:make", image="given.png", input_text="3x8x8")
    state = PageState(model="given", image="given", value="1", channel=1, at=(2, 3))
    with chdir(tmp_path):
        assert printed(as_python(state, openable)) == shown(state, openable)


def test_an_upload_is_read_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "FILE"
    Image.radial_gradient("L").resize((40, 40)).save(path, "PNG")
    with chdir(tmp_path):
        key = Studio().add_image("FILE")
        state = PageState(model="lenet5", image=key, value="c1", channel=1, at=(2, 3))
        openable = Openable(runs=tmp_path / "runs")
        assert printed(as_python(state, openable)) == shown(state, openable, path.read_bytes())


def test_a_script_has_the_map_and_the_arithmetic() -> None:
    run = Studio().run("lenet5", "sample:15")
    assert run.map("c3", 5).shape == (10, 10)
    assert run.number("c3", 5, (4, 4)) == run.map("c3", 5)[4, 4]
    assert run.worked("c3", 5, (4, 4))["number"] == pytest.approx(run.number("c3", 5, (4, 4)))
    assert run.number("f6", 3) == run.map("f6", 3)[0, 0]
    assert run.prediction["top"]
