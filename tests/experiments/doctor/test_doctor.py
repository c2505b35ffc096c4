"""A check-up tells what it measured, in numbers that fit together, and says what makes them doubtful."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from clocks import StoppedClock
from convscope.cli.doctor import command
from convscope.errors import ConvscopeError, RunError
from convscope.experiments.doctor import SILENT_PROFILER, ceilings, checkup
from convscope.experiments.doctor.breakdown import _kind, kind_of
from convscope.experiments.doctor.ceilings import Rate, measure_rate
from convscope.experiments.doctor.checkup import check_up
from convscope.experiments.doctor.record import Checkup, reached_lines
from convscope.hardware import device
from convscope.hardware.mode import ComputeMode, Precision
from convscope.training import session
from convscope.training.autotune.make import Planned


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Checkup:
    folder = tmp_path_factory.mktemp("here")
    (folder / "digits").mkdir()  # which is not looked into
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        small = ((2, 8, 8),)
        patch.setattr("convscope.experiments.doctor.ceilings.CONVOLUTIONS", small)
        patch.setattr("convscope.experiments.doctor.ceilings.MATMUL_SIDES", (64,))
        patch.setattr("convscope.experiments.doctor.ceilings.PICTURES", ((32, 32),))
        patch.setattr(
            session, "make_plan", lambda asked, resolved, *_, **__: Planned(resolved=resolved, plan=None, lines=())
        )
        return check_up("lenet5", batch_size=8, scale=0.01)


def test_the_figures_fit_together(found: Checkup) -> None:
    reached, most = found.reached, found.ceilings
    assert (reached.model, reached.input_shape, reached.batch_size) == ("lenet5", (1, 32, 32), 8)
    assert sum(reached.time_by_kind.values()) == pytest.approx(1)
    assert {"convolution, backward", "convolution, forward", "optimizer"} <= reached.time_by_kind.keys()
    reaches = reached.trial.images_per_second * reached.macs.flops
    assert reached.share_of_peak == pytest.approx(reaches / most.peak(reached.trial.mode.precision))
    assert set(most.convolution) == {"fp32 contiguous", "fp32 channels-last", "bf16 channels-last"}
    assert min(rate.per_second for rate in (*most.matmul.values(), most.copy)) > 0
    assert json.loads(json.dumps(found.to_dict()))["reached"]["macs"]["training_flops"] == reached.macs.flops


def test_the_profiler_writes_nothing_of_its_own() -> None:
    code = "import torch\nwith torch.profiler.profile(): torch.ones(3) + 1"
    name, level = SILENT_PROFILER
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, name: level}, capture_output=True, text=True, check=True
    )
    assert done.stdout + done.stderr == ""


def test_tf32_is_measured_by_itself_where_there_is_such(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    speed = {"fp32": 1.0, "tf32": 8.0, "bf16": 16.0}
    now: list[str] = []

    @contextmanager
    def computing(mode: ComputeMode, device: str) -> Iterator[None]:
        now.append(mode.precision)
        yield

    monkeypatch.setattr(ceilings, "has_tf32", lambda device: True)
    monkeypatch.setattr(ceilings, "computing", computing)
    monkeypatch.setattr(ceilings, "CONVOLUTIONS", ((2, 8, 8),))
    monkeypatch.setattr(ceilings, "MATMUL_SIDES", (8,))
    monkeypatch.setattr(
        ceilings, "measure_rate", lambda work, **given: Rate(per_second=speed[now[-1]] if now else 1.0, spread=0.0)
    )
    found = ceilings.measure_ceilings(tmp_path, scale=0.01)
    assert {name: rate.per_second for name, rate in found.matmul.items()} == speed
    assert {kind: found.peak(kind) for kind in speed} == speed


def test_peaks_are_measured_on_as_many_threads_as_a_quota_leaves(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    used: list[int] = []

    @contextmanager
    def computing(mode: ComputeMode, device: str) -> Iterator[None]:
        used.append(mode.threads)
        yield

    monkeypatch.setattr(torch, "get_num_threads", lambda: 64)
    monkeypatch.setattr(device, "processor_quota", lambda: 2)
    monkeypatch.setattr(ceilings, "computing", computing)
    monkeypatch.setattr(ceilings, "measure_rate", lambda work, **given: Rate(per_second=1.0, spread=0.0))
    ceilings.measure_ceilings(tmp_path, scale=0.01)
    assert {*used} == {2}


def test_the_command_prints_it(found: Checkup, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, object] = {}
    monkeypatch.setattr(checkup, "check_up", lambda model, **settings: asked.update(settings, model=model) or found)
    done = CliRunner().invoke(command, ["--model", "lenet5", "--input", "1x32x32", "--batch-size", "8"])
    assert done.exit_code == 0, done.output
    assert (asked["model"], asked["input_shape"], asked["batch_size"]) == ("lenet5", (1, 32, 32), 8)
    for line in reached_lines(found):
        assert line in done.output
    values = json.loads(CliRunner().invoke(command, ["--json"]).stdout)
    assert values["reached"]["model"] == "lenet5"


@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
def test_what_is_reached_is_compared_with_its_own_arithmetic(found: Checkup, precision: Precision) -> None:
    trial = found.reached.trial
    trial = replace(trial, mode=replace(trial.mode, precision=precision))
    lines = reached_lines(replace(found, reached=replace(found.reached, trial=trial)))
    assert lines[-1].endswith(f"of the fastest {precision} convolution")


def test_a_busy_machine_is_said_to_be_one(found: Checkup) -> None:
    lines = checkup._warnings(9.0, 2, found.ceilings, found.reached)
    assert "9.0 processes on 2 cores" in lines[0]
    assert all("processes" not in line for line in checkup._warnings(0.1, 2, found.ceilings, found.reached))


@pytest.mark.parametrize("text", ["32", "3x0x32", "big", f"3x{5_000 * '9'}"])
def test_a_shape_that_is_none_is_refused(text: str) -> None:
    done = CliRunner().invoke(command, ["--input", text])
    assert isinstance(done.exception, ConvscopeError) and len(str(done.exception)) < 200


@pytest.mark.parametrize(
    ("model", "shape", "message"),
    [
        (
            "lenet5",
            (5, 32, 32),
            "input_shape is 5x32x32, so 5 channels: images have 1 (grey) or 3 (colour); give another",
        ),
        ("lenet5", (3, 0, 32), "input_shape is 3x0x32: a side is outside 1 to 8192 pixels; give another"),
        ("c3d", None, "the input of c3d is 3x16x112x112: training is measured on channels, height and width"),
        ("unet", None, "unet answers for every pixel, and training needs one answer an image: choose another"),
        ("resnet18", (3, 8192, 8192), "halving does not help"),
    ],
)
def test_what_is_not_measured_is_said_in_the_words_of_the_command(
    model: str, shape: tuple[int, ...] | None, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convscope.training.resolve.memory.available_memory", lambda: 2**31)
    with pytest.raises(RunError) as refused:
        check_up(model, input_shape=shape, device="cpu", scale=0.01)
    assert message in str(refused.value)


def test_a_rate_is_of_the_median(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = StoppedClock()
    monkeypatch.setattr(ceilings.time, "perf_counter", clock)
    # The first is the warm-up; then the fewest repetitions that there are.
    takes = iter([64.0, *(2.0, 1.0, 4.0, 2.0, 16.0)[: ceilings.LEAST_REPEATS]])

    def work() -> None:
        clock.now += next(takes)

    assert measure_rate(work, amount=10, seconds=0.0) == Rate(per_second=5.0, spread=7.5)


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        ("aten::convolution_backward", "convolution, backward"),
        ("aten::_foreach_add_", "optimizer"),
        ("Optimizer.step#SGD.step", "optimizer"),
        ("aten::native_batch_norm_backward", "normalization"),
        ("aten::gelu_backward", "activation"),
        ("aten::something_new", "other"),
    ],
)
def test_kinds(operation: str, kind: str) -> None:
    assert kind_of(operation) == kind


def test_the_optimizers_own_products_are_the_optimizers() -> None:
    """Muon multiplies matrices: that is no fully connected layer."""
    with torch.profiler.profile(acc_events=True) as recorded:
        weight = torch.nn.Parameter(torch.ones(8, 8))
        weight.grad = torch.ones(8, 8)
        torch.optim.Muon([weight], lr=0.1).step()
    products = [event for event in recorded.events() if event.name == "aten::mm"]
    assert products
    assert {_kind(event) for event in products} == {"optimizer"}
