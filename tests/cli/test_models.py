"""`convscope models`: what it shows, and that it starts without torch."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from convscope.cli.models import command
from convscope.errors import CaptureError
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
    assert "2048x7x7" in page and {"module": "layer4", "output_shape": [2048, 7, 7]} in facts["stages"]


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(CaptureError, match="Did you mean resnet18"):
        CliRunner().invoke(command, ["resnet8"], catch_exceptions=False)
