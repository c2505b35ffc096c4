"""A public function finds the same in any state of torch that its caller is in, and leaves that state as it was."""

from __future__ import annotations

import inspect
import json
import os
import shutil
import subprocess
import sys
import threading
import warnings
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import convscope
from convscope.api.float32_arithmetic import FULL, read_arithmetic
from convscope.api.generators import OwnGenerators, exclusive
from convscope.api.torch_state import changes_undone, known_state
from convscope.api.warning_filters import warnings_ignored
from convscope.claims import networks as claimed
from convscope.hardware.mode import ComputeMode, computing
from public_verbs import (
    GROUPS,
    SHAPE,
    SLOW,
    SPLIT_SUMS,
    STATES,
    UNTRIED,
    Call,
    all_at_once,
    entered,
    found_by,
    nearly_equal,
    network,
    state_now,
    state_of,
    trained,
    verbs,
    weights,
)

# States in which nothing can be computed: these are refused.
TRANSFORMED: Mapping[str, Any] = {
    "vmap": lambda call: torch.func.vmap(lambda x: [call(), x][1])(torch.ones(2)),
    "grad": lambda call: torch.func.grad(lambda x: [call(), x.sum()][1])(torch.ones(2)),
}


@pytest.fixture(scope="module")
def model() -> nn.Module:
    torch.manual_seed(3)
    return network().train()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("states")).run.path


@pytest.fixture(scope="module")
def calls(run: Path, model: nn.Module) -> dict[str, Call]:
    return verbs(run.parent, model, run)


def test_every_public_function_is_tried(calls: dict[str, Call]) -> None:
    functions = {name for name in convscope._MODULES if inspect.isfunction(getattr(convscope, name))}
    assert {name for name in calls if "." not in name} | set(UNTRIED) == functions


def _differences(calls: dict[str, Call], model: nn.Module, states: Mapping[str, Any]) -> list[str]:
    wrong = []
    for verb, call in calls.items():
        before = state_now()
        expected = found_by(call)
        wrong += [
            f"the first {verb} leaves changed: {what}" for what, value in state_now().items() if value != before[what]
        ]
        for name, enter in states.items():
            with enter():
                before, of_model = state_now(), state_of(model)
                found = found_by(call)
                changed = [what for what, value in state_now().items() if value != before[what]]
                if state_of(model) != of_model:
                    changed.append("the model")
            alike = found == expected
            if verb in SPLIT_SUMS and "thread" in name:
                alike = nearly_equal(json.loads(found), json.loads(expected))
            if not alike:
                wrong.append(f"{verb} under {name} finds something else")
            if changed:
                wrong.append(f"{verb} under {name} leaves changed: {', '.join(changed)}")
    return wrong


def test_a_result_is_the_same_in_any_state(calls: dict[str, Call], model: nn.Module) -> None:
    """In groups of states; `test_every_verb_is_the_same_in_every_state` takes one state after the other."""
    assert sorted(name for group in GROUPS for name in group) == sorted(STATES)
    quick = {verb: call for verb, call in calls.items() if verb not in SLOW}
    assert not _differences(quick, model, {", ".join(group): partial(entered, group) for group in GROUPS})


def test_a_result_is_shown_the_same_in_all_states_at_once(model: nn.Module, run: Path) -> None:
    image = np.arange(64, dtype=np.uint8).reshape(8, 8)
    explanation = convscope.explain(model, image, layer="4", at=(2, 2))
    results = [explanation, convscope.inspect(model, SHAPE), convscope.load(run), convscope.predict(run, [image])]
    expected = [(repr(each), str(each), each._repr_html_(), each.to_dict()) for each in results]
    with all_at_once():
        assert [(repr(each), str(each), each._repr_html_(), each.to_dict()) for each in results] == expected


def test_a_training_is_the_same_in_all_states_at_once(calls: dict[str, Call], run: Path) -> None:
    expected, others = weights(run), {verb: found_by(calls[verb]) for verb in ("evaluate", "check")}
    with all_at_once():
        before = state_now()
        assert calls["train"]() == expected
        assert calls["training_events"]()[1] == expected
        assert {verb: found_by(calls[verb]) for verb in others} == others
        assert state_now() == before


def test_the_first_check_of_the_notes_draws_nothing_of_the_callers() -> None:
    for each in vars(claimed).values():
        getattr(each, "cache_clear", lambda: None)()
    before = state_now()
    convscope.notes()
    assert state_now() == before


@pytest.mark.skipif(not hasattr(torch._C, "_set_fp32_precision_setter"), reason="torch before 2.9 has no such settings")
@pytest.mark.parametrize(
    ("backend", "operation", "value"),
    [
        ("generic", "all", "tf32"),
        ("generic", "all", "ieee"),
        ("cuda", "matmul", "tf32"),
        ("cuda", "conv", "ieee"),
        ("mkldnn", "matmul", "bf16"),
        ("mkldnn", "conv", "bf16"),
    ],
)
def test_the_newer_settings_of_float32_change_nothing_and_stay(backend: str, operation: str, value: str) -> None:
    get, put = torch._C._get_fp32_precision_getter, torch._C._set_fp32_precision_setter
    before = get(backend, operation)
    put(backend, operation, value)
    try:
        arithmetic, of_convolutions = read_arithmetic(), get("cuda", "conv")
        with known_state():
            assert read_arithmetic() == FULL and torch.get_float32_matmul_precision() == "highest"
        mode = ComputeMode(precision="tf32", memory_format="contiguous", compile="no", threads=1)
        for each, allowed in ((mode, True), (replace(mode, precision="fp32"), False)):
            with known_state(), computing(each, "cuda"):
                with changes_undone():  # as around a callback of the user
                    torch.set_float32_matmul_precision("medium")
                assert torch.backends.cuda.matmul.allow_tf32 is torch.backends.cudnn.allow_tf32 is allowed
        assert convscope.inspect("lenet5").to_dict()["layers"]
        assert (read_arithmetic(), get("cuda", "conv"), get(backend, operation)) == (arithmetic, of_convolutions, value)
    finally:
        put(backend, operation, before)


@pytest.mark.long
def test_every_verb_is_the_same_in_every_state(calls: dict[str, Call], model: nn.Module) -> None:
    """`python bench/torch_states.py` prints the table."""
    assert not _differences(calls, model, {**STATES, "all states at once": all_at_once})


@pytest.mark.long
def test_an_ablation_in_processes_of_its_own_is_the_same_in_any_state(tmp_path: Path) -> None:
    recipe = convscope.Recipe(model="lenet5", epochs=1, autotune="rules")

    def losses(jobs: int) -> list[Any]:
        found = convscope.ablate("digits", recipe, without=["momentum"], seeds=2, jobs=jobs, runs_directory=tmp_path)
        return [(trial.variant, trial.seed, [row.train_loss for row in trial.rows]) for trial in found.trials]

    expected = losses(1)
    assert losses(2) == expected
    with all_at_once():
        assert losses(1) == losses(2) == expected


@pytest.mark.long
def test_a_machine_is_measured_in_all_states_at_once() -> None:
    with all_at_once():
        before = state_now()
        found = convscope.doctor("lenet5")
        assert state_now() == before
    assert found.reached.trial.images_per_second > 0


@pytest.mark.parametrize("name", TRANSFORMED)
def test_a_call_in_a_transformed_function_is_refused(name: str, calls: dict[str, Call]) -> None:
    for verb, call in calls.items():
        with pytest.raises(convscope.ConvscopeError, match="call it outside of it"):
            TRANSFORMED[name](call)
        assert state_now()["modes"] == (0, 0), verb


def test_a_model_made_in_inference_mode_is_read_or_refused(model: nn.Module) -> None:
    torch.manual_seed(3)
    with torch.inference_mode():
        made = network().train()
        found = convscope.inspect(made, (1, 8, 8)).to_dict()
        explained = convscope.explain(made, np.zeros((8, 8), np.uint8), layer="4", at=(1, 1)).to_dict()
        memory = convscope.training_memory(made, (1, 8, 8)).at(4).total
    assert found == convscope.inspect(model, (1, 8, 8)).to_dict()
    assert explained == convscope.explain(model, np.zeros((8, 8), np.uint8), layer="4", at=(1, 1)).to_dict()
    assert memory == convscope.training_memory(model, (1, 8, 8)).at(4).total


def test_a_stream_of_predictions_leaves_the_state_between_its_steps(run: Path) -> None:
    predictor = convscope.load(run)
    images = [np.full((8, 8), 40 * shade, np.uint8) for shade in range(3)]
    expected = [item.to_dict() for item in predictor.predict(images, batch_size=1)]
    found = []
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        before = state_now()
        for item in predictor.predict(images, batch_size=1):
            assert state_now() == before
            found.append(item.to_dict())
        stopped = predictor.predict(images, batch_size=1)
        next(stopped)
        stopped.close()  # type: ignore[attr-defined]  # a generator
        assert state_now() == before
    assert found == expected


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_the_state_is_restored_when_a_call_ends_early(error: type[BaseException]) -> None:
    class Fails(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            torch.manual_seed(1)
            raise error

    torch.set_default_dtype(torch.float64)
    try:
        with torch.no_grad():
            before = state_now()
            try:
                convscope.inspect(Fails(), (1, 8, 8))
            except KeyboardInterrupt:
                assert error is KeyboardInterrupt
            assert state_now() == before
    finally:
        torch.set_default_dtype(torch.float32)


def test_overlapping_calls_restore_what_the_first_found() -> None:
    inside, leave = threading.Event(), threading.Event()

    def long_call() -> None:
        with known_state(), warnings_ignored():
            inside.set()
            leave.wait(60)

    before = state_now()
    torch.set_default_dtype(torch.float64)
    try:
        thread = threading.Thread(target=long_call)
        thread.start()
        inside.wait(60)
        with known_state():
            leave.set()
            thread.join()
            assert torch.get_default_dtype() == torch.float32
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    assert state_now() == before


def test_a_filter_list_kept_by_another_thread_ends_as_the_callers() -> None:
    before = list(warnings.filters)
    with warnings_ignored():
        kept = warnings.filters
        assert kept[0][0] == "ignore"
    assert list(kept) == before


@pytest.mark.long
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process_can_call_while_another_thread_of_the_first_is_inside() -> None:
    code = """
import os, sys, threading, torch, convscope
from convscope.api.generators import exclusive
from convscope.api.torch_state import known_state
inside, leave = threading.Event(), threading.Event()
def hold():
    with known_state(), exclusive():
        inside.set(); leave.wait(60)
torch.set_default_dtype(torch.float64)
thread = threading.Thread(target=hold); thread.start(); inside.wait(60)
child = os.fork()
if not child:
    ok = torch.get_default_dtype() == torch.float64
    convscope.inspect(torch.nn.Conv2d(1, 2, 3, dtype=torch.float32), (1, 8, 8))
    os._exit(0 if ok and torch.get_default_dtype() == torch.float64 else 1)
_, status = os.waitpid(child, 0); leave.set(); thread.join()
sys.exit(os.waitstatus_to_exitcode(status))
"""
    assert not subprocess.run([sys.executable, "-c", code], timeout=300, check=False).returncode


@pytest.mark.long
@pytest.mark.parametrize("first", ["autotune='rules'", "autotune='measure'", "compile='yes', autotune='rules'"])
def test_the_first_training_of_a_process_leaves_it_as_it_was(first: str, tmp_path: Path) -> None:
    if "compile='yes'" in first and not (shutil.which("g++") or shutil.which("clang++")):
        pytest.skip("torch.compile needs a C++ compiler")
    code = f"""
import os, random, warnings
import numpy, convscope  # NumPy sets filters of its own when it is imported
convscope.train
def now():
    name, keys, *place = numpy.random.get_state()
    return (random.getstate(), name, keys.tolist(), place), list(warnings.filters), dict(os.environ)
random.seed(5), numpy.random.seed(5)
before = now()
recipe = convscope.Recipe(model="lenet5", epochs=1, {first})
convscope.train("digits", recipe, runs_directory={str(tmp_path)!r}, cache_directory={str(tmp_path)!r})
generators, filters, environment = zip(before, now())
assert generators[0] == generators[1]
assert filters[0] == filters[1], filters
assert environment[0] == environment[1], set(environment[0].items()) ^ set(environment[1].items())
"""
    subprocess.run([sys.executable, "-c", code], timeout=600, check=True)


def test_generators_are_restored_and_a_trainings_own_go_on() -> None:
    before = state_now()
    own = OwnGenerators(5)
    drawn = []
    for _ in range(2):
        with exclusive():
            torch.manual_seed(1)
            with own:
                drawn.append(torch.rand(3))
            torch.rand(2)
    assert torch.equal(torch.cat(drawn), torch.rand(6, generator=torch.Generator().manual_seed(5)))
    assert state_now() == before
