"""`convscope models`: what it shows, and that it starts without torch."""

from __future__ import annotations

import json
import subprocess
import sys
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from convscope.cli.models import command
from convscope.errors import CaptureError, ConvscopeError
from convscope.nets import catalogue


def test_lists_every_network_and_imports_no_torch():
    script = (
        "import sys; from convscope.cli.main import cli; cli(['models'], standalone_mode=False); "
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in catalogue.names())


def test_one_networks_page_and_its_json_agree():
    page = CliRunner().invoke(command, ["resnet50"]).output
    facts = json.loads(CliRunner().invoke(command, ["resnet50", "--json"]).output)
    assert "25,557,032" in page and facts["parameters"] == 25_557_032
    assert "2048×7×7" in page and {"module": "layer4", "output_shape": [2048, 7, 7]} in facts["stages"]


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(CaptureError, match="Did you mean resnet18"):
        CliRunner().invoke(command, ["resnet8"], catch_exceptions=False)


def test_the_timeline_is_the_notes_with_our_networks_parameters(tmp_path):
    drawing = tmp_path / "years.svg"
    output = CliRunner().invoke(command, ["--timeline", "--svg", str(drawing)]).output
    for error in ("28.2 %", "16.4 %", "11.7 %", "7.3 %", "6.7 %", "3.57 %", "2.3 %"):
        assert error in output and error in drawing.read_text()
    assert "60,965,224" in output
    ElementTree.parse(drawing)


def test_the_timeline_as_json_names_only_networks_of_the_catalogue():
    entrants = json.loads(CliRunner().invoke(command, ["--timeline", "--json"]).output)
    assert {entrant["name"] for entrant in entrants} - {None} <= set(catalogue.names())
    errors = [entrant["top5_error"] for entrant in entrants]
    assert errors == sorted(errors, reverse=True)


def test_a_drawing_that_cant_be_written_says_so(tmp_path):
    with pytest.raises(ConvscopeError, match="can't be written"):
        CliRunner().invoke(command, ["--timeline", "--svg", str(tmp_path)], catch_exceptions=False)


@pytest.mark.parametrize("arguments", [["resnet50", "--timeline"], ["--svg", "years.svg"]])
def test_options_that_do_not_go_together_are_refused(arguments):
    assert CliRunner().invoke(command, arguments).exit_code == 2


def test_every_networks_page_can_be_read():
    for name in catalogue.names():
        result = CliRunner().invoke(command, [name])
        assert result.exit_code == 0 and f"{catalogue.find(name).parameters:,}" in result.output


def test_every_figure_of_the_timeline_says_what_was_measured():
    output = CliRunner().invoke(command, ["--timeline"]).output
    assert "16.4 %  test, five networks averaged" in output
    assert "18.2 % (validation, one network)" in output and "15.3 % (test, the same seven" in output
    assert "14.8 % (test, six networks averaged, in ZFNet's paper)" in output
    for entrant in json.loads(CliRunner().invoke(command, ["--timeline", "--json"]).output):
        for figure in (entrant, *entrant["others"]):
            assert figure["measured"].startswith(("test, ", "validation, "))
