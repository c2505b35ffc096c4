"""Every network of timm and torchvision is inspected, nothing unknown: docs/timm-sweep.md, torchvision-sweep.md."""

import importlib.util
import json
import os
import signal
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from torch import nn

from torchvision_oracle import timm_or_skip, torchvision_or_skip

BENCH = Path(__file__).parents[2] / "bench"


@pytest.fixture(scope="module")
def sweep():
    sys.path.insert(0, str(BENCH))
    spec = importlib.util.spec_from_file_location("network_sweep", BENCH / "network_sweep.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclass looks itself up there
    try:
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(str(BENCH))


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 6 * 6, 5))


def test_a_network_without_findings(sweep):
    # The process that runs the tests has held what other tests needed.
    row = replace(sweep.examine("mine", "network", network, [(3, 8, 8)]), peak=0, seconds=0.0)
    assert row.findings == []
    assert row.parameters == row.row_parameters == sum(p.numel() for p in network().parameters())
    assert row.macs == row.counted == row.row_macs == 8 * 6 * 6 * 27 + 8 * 6 * 6 * 5
    assert row.field == "3"


def test_a_network_that_reads_numbers_is_counted_on_the_same_numbers(sweep):
    class Chooses(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 4)

        def forward(self, x):
            kept = x[x > self.linear.weight.mean()]  # how many depends on the numbers
            return kept.reshape(-1, 1) @ kept.reshape(1, -1) @ torch.ones(len(kept), 4) + self.linear(x).sum()

    row = sweep.examine("mine", "chooses", Chooses, [(6, 4)])
    assert row.counted == row.macs > 0


def test_findings_name_what_differs(sweep):
    row = sweep.Row("k", "n", parameters=10, found_parameters=12, row_parameters=11, macs=5, row_macs=5, counted=9)
    assert row.findings == ["parameters +2", "rows' parameters -1", "counter +4"]
    assert sweep.Row("k", "n", problem="killed after 1 s").findings == ["killed after 1 s"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Python's, where a process with threads forks
def test_a_child_that_hangs_dies_or_raises_is_a_result(sweep):
    children = sys.modules["kit.children"]
    limits = {"seconds": 300, "memory": 64 * 2**30}
    assert children.in_child(lambda: 6 * 7, **limits) == (42, None)
    assert children.in_child(lambda: time.sleep(60), **{**limits, "seconds": 0.1}) == (None, "killed after 0.1 s")
    assert children.in_child(lambda: time.sleep(60), **{**limits, "memory": 1})[1].startswith("killed above")
    assert children.in_child(lambda: os.kill(os.getpid(), signal.SIGKILL), **limits) == (None, "died with exit code -9")
    value, problem = children.in_child(lambda: 1 / 0, **limits)
    assert value is None
    assert problem.startswith("ZeroDivisionError: division by zero (test_network_sweep.py:")


def test_results_are_read_back_and_the_page_has_them(sweep, tmp_path, monkeypatch):
    monkeypatch.setattr(sweep, "version", lambda library: "1.0")
    row = replace(sweep.examine("mine", "network", network, [(3, 8, 8)]), seconds=11.0, peak=0)
    file = tmp_path / "rows.jsonl"
    file.write_text(f"{json.dumps(asdict(sweep.Row('mine', 'mine', problem='killed')))}\n{json.dumps(asdict(row))}\n")
    (read,) = sweep.read_rows(file).values()
    assert read.macs == row.macs
    assert read.findings == ["11 s"]
    page = sweep.page("torchvision", [read], ["nms"])
    assert "1 networks: 1 inspected, 0 not; `nms` are stand-ins here" in page
    assert page.splitlines()[-1].endswith("| 11 s |")


@pytest.mark.long  # minutes: some two hundred families
@pytest.mark.filterwarnings("ignore")  # the libraries' own, of models that are only built here
@pytest.mark.parametrize(("library", "least"), [("timm", 200), ("torchvision", 120)])
def test_every_network(sweep, library, least):
    (timm_or_skip if library == "timm" else torchvision_or_skip)()
    trials = sweep.trials(library)
    rows = [row or sweep.Row(key, key, problem=problem)
            for key, trial in trials.items()
            for row, problem in [sweep.in_child(trial, seconds=200, memory=6 * 2**30)]]  # fmt: skip
    assert len(rows) >= least
    assert {row.name: row.findings for row in rows if row.findings} == {}
