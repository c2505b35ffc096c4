"""Where a training runs: odd environments, long runs, a cache that goes away; gradients; changed files."""

from __future__ import annotations

import inspect
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import data_makers as made
from convscope.recipe.recipe import Recipe
from convscope.reference import activation, convolution, linear, loss, normalization, pooling, resize, transposed
from convscope.reference.gradient_check import gradient_errors
from convscope.runs.events import EpochRow
from convscope.scoring.objective import Objective
from convscope.training.distributed.process_group import ProcessGroup
from convscope.training.distributed.shared_batch_norm import SharedBatchNorm
from convscope.training.loop import loop
from convscope.training.train import train
from reliability.row import ROOT, SETTINGS, Outcome, by_tests, command, ended, forked

ODD = "a folder, with spaces 🐱\nand a line"
ADDRESS_SPACE = 1_500_000_000
# What is set, beside PATH and PYTHONPATH; HOME is set nowhere else.
ENVIRONMENTS: dict[str, dict[str, str]] = {
    "locale C": {"LC_ALL": "C", "HOME": "/root"},
    "locale C without UTF-8": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "HOME": "/root"},
    "locale POSIX": {"LANG": "POSIX", "LC_ALL": "POSIX", "HOME": "/root"},
    "no HOME": {},
    "a HOME that is not there": {"HOME": "/nowhere/at/all"},
    "dumb terminal, 20 columns": {"TERM": "dumb", "COLUMNS": "20"},
    "no temporary folder": {"TMPDIR": "/nowhere"},
    "Tibetan calendar": {"TZ": "Asia/Kathmandu", "LANG": "bo_CN.UTF-8"},
}


def environments(folder: Path, full: bool) -> Outcome:
    """Train, evaluate and predict in each environment, with images below a folder of an odd name."""
    outcome = Outcome()
    data = folder / ODD / "data"
    made.fill(data, {"cat 🐱": 30, "dog\nnewline": 30})
    picture = next((data / "cat 🐱").iterdir())
    for number, (name, extra) in enumerate(ENVIRONMENTS.items()):
        runs = folder / ODD / f"runs-{number}"
        train_words = ["train", str(data), *SETTINGS.split(), "--epochs", "2", "--runs", str(runs), "--name", "run"]
        for words in (train_words, ["evaluate", str(runs / "run")], ["predict", str(runs / "run"), str(picture)]):
            done = _command(words, extra)
            held = done.returncode == 0 and b"Traceback" not in done.stderr
            outcome.check(held, f"{name}, {words[0]}: exit {done.returncode}: {_last(done)}")
    done = _command(
        ["train", "digits", *SETTINGS.split(), "--epochs", "2", "--runs", str(folder / "small")], {}, limited=True
    )
    enough = done.returncode == 0
    # Where it is too little, one line must say so.
    said = done.stderr.decode(errors="replace")
    outcome.check(
        enough or (done.returncode == 2 and "Traceback" not in said), f"1.5 GB of address space: {_last(done)}"
    )
    for name, work in (("clock set back", _clock_back), ("a current folder that is gone", _folder_gone)):
        said_at = folder / f"{name}.txt"
        code = ended(forked(work(folder / name), said_at))
        outcome.check(
            code == (2 if work is _folder_gone else 0) and "Traceback" not in said_at.read_text(),
            f"{name}: {said_at.read_text()[-300:]}",
        )
    small = "1.5 GB of address space" + ("" if enough else " (refused in one line)")
    names = [*ENVIRONMENTS, small, "clock set back an hour", "a current folder that is gone (refused in one line)"]
    outcome.note = "; ".join(names) + "; images below a path with spaces, an emoji and a newline"
    return outcome


def _command(words: list[str], extra: dict[str, str], *, limited: bool = False) -> subprocess.CompletedProcess[bytes]:
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "OMP_NUM_THREADS", "CONVSCOPE_CACHE")}
    if "HOME" not in extra or extra["HOME"] != "/root":
        del kept["CONVSCOPE_CACHE"]  # where it lies follows from HOME

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))

    return subprocess.run(
        [sys.executable, "-m", "convscope", *words],
        env={**kept, **extra},
        check=False,
        capture_output=True,
        cwd="/",
        preexec_fn=limit if limited else None,
    )


def _last(done: subprocess.CompletedProcess[bytes]) -> str:
    return " / ".join(done.stderr.decode(errors="replace").strip().splitlines()[-2:])[-300:]


def _clock_back(runs: Path) -> Callable[[], None]:
    """Train, and have the clock set back by an hour after some steps, then go on."""

    def work() -> None:
        plain, clock = loop.guarded_step, time.time

        def stepped(state: Any, settings: Any, inputs: Any, *others: Any) -> Any:
            if inputs.step == 5:
                time.time = lambda: clock() - 3600.0
            return plain(state, settings, inputs, *others)

        loop.guarded_step = stepped
        words = f"train digits {SETTINGS} --epochs 3 --name run".split()
        try:
            command([*words, "--runs", str(runs)])()
        except SystemExit as done:
            if done.code:
                raise
        command(["train", "--resume", str(runs / "run"), "--epochs", "4"])()

    return work


def _folder_gone(runs: Path) -> Callable[[], None]:
    def work() -> None:
        gone = runs.with_name("gone")
        gone.mkdir()
        os.chdir(gone)
        gone.rmdir()
        command([*f"train digits {SETTINGS} --epochs 1 --name run".split(), "--runs", str(runs)])()

    return work


def cache_deleted(folder: Path, full: bool) -> Outcome:
    """Delete the cache between two steps of a training, and train again."""
    outcome = Outcome(note="deleted whole at a step of the first or second epoch; whole images and a stream")
    made.fill(folder / "data", {"a": 60, "b": 60})
    plain = loop.guarded_step
    for step in (0, 3, 7) if full else (3,):
        for stream in ("no", "yes"):
            cache = folder / f"cache-{step}-{stream}"

            def work(step: int = step, stream: str = stream, cache: Path = cache) -> None:
                def stepped(state: Any, settings: Any, inputs: Any, *others: Any) -> Any:
                    if inputs.step == step:
                        shutil.rmtree(cache, ignore_errors=True)
                    return plain(state, settings, inputs, *others)

                recipe = Recipe(model="lenet5", epochs=2, batch_size=20, threads=1, autotune="rules", stream=stream)
                for hook in (stepped, plain):
                    loop.guarded_step = hook
                    train(str(folder / "data"), recipe, runs_directory=folder / "runs", cache_directory=cache)

            said = folder / f"said-{step}-{stream}.txt"
            code = ended(forked(work, said))
            outcome.check(code == 0, f"step {step}, stream {stream}: {said.read_text()[-300:]}")
    return outcome


def soak(folder: Path, full: bool) -> Outcome:
    """Train for 100 epochs, and compare memory and descriptors early and late."""
    made.fill(folder / "data", {"a": 100, "b": 100})
    outcome, notes = Outcome(), []
    epochs = 100 if full else 12
    for name, source, changes in (
        ("digits", "digits", {}), ("a folder, streamed", str(folder / "data"), {"stream": "yes", "batch_size": 32})
    ):  # fmt: skip
        seen: list[tuple[float, int]] = []

        def look(row: EpochRow, seen: list[tuple[float, int]] = seen) -> None:
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            seen.append((pages * resource.getpagesize() / 1e6, len(list(Path("/proc/self/fd").iterdir()))))

        recipe = Recipe(model="lenet5", epochs=epochs, patience=0, threads=1, autotune="rules").changed(changes)
        train(source, recipe, runs_directory=folder / "runs", on_epoch=look)
        early, late = seen[epochs // 5], seen[-1]
        said = f"{name}: {early[0]:.0f} to {late[0]:.0f} MB, {early[1]} to {late[1]} descriptors"
        notes.append(said)
        outcome.check(late[0] < 1.05 * early[0] and late[1] <= early[1] and len(seen) == epochs, said)
    outcome.note = f"epoch {epochs // 5 + 1} to {epochs}: " + "; ".join(notes)
    return outcome


def _operations() -> dict[str, tuple[Callable[..., Any], Callable[..., Any], list[np.ndarray]]]:
    """Return forward, backward and inputs of every operation in `reference`, by the backward's name."""
    # Not seed 0, from which the check draws the weights of the outputs: they would be the input again.
    draw = np.random.default_rng(7)
    x, w, b = draw.standard_normal((2, 4, 6, 5)), draw.standard_normal((6, 2, 3, 2)), draw.standard_normal(6)
    up, ub = draw.standard_normal((4, 3, 3, 2)), draw.standard_normal(6)
    scale, shift = draw.standard_normal(4), draw.standard_normal(4)
    flat, matrix, four = draw.standard_normal((3, 5)), draw.standard_normal((4, 5)), draw.standard_normal(4)
    how: dict[str, Any] = {"stride": 2, "padding": 1, "groups": 2}
    mask = (draw.random((3, 5)) < 0.5) * 2.0
    found: dict[str, tuple[Callable[..., Any], Callable[..., Any], list[np.ndarray]]] = {
        "convolve": (
            lambda x, w, b: convolution.convolve(x, w, b, **how),
            lambda g, x, w, b: convolution.convolve_backward(g, x, w, **how), [x, w, b]),
        "transposed_convolve": (
            lambda x, w, b: transposed.transposed_convolve(x, w, b, **how),
            lambda g, x, w, b: transposed.transposed_convolve_backward(g, x, w, **how), [x, up, ub]),
        "linear": (linear.linear, lambda g, x, w, b: linear.linear_backward(g, x, w), [flat, matrix, four]),
        "flatten": (linear.flatten, linear.flatten_backward, [x]),
        "add": (linear.add, linear.add_backward, [flat, flat + 1]),
        "concatenate": (
            lambda *parts: linear.concatenate(parts), lambda g, *parts: linear.concatenate_backward(g, parts),
            [flat, flat + 1]),
        "dropout": (lambda x: x * mask, lambda g, x: activation.dropout_backward(g, mask), [flat]),
        "batch_norm": (
            normalization.batch_norm, lambda g, x, w, b: normalization.batch_norm_backward(g, x, w), [x, scale, shift]),
        "layer_norm": (
            normalization.layer_norm, lambda g, x, w, b: normalization.layer_norm_backward(g, x, w),
            [draw.standard_normal((3, 4)), scale, shift]),
        "group_norm": (
            lambda x, w, b: normalization.group_norm(x, 2, w, b),
            lambda g, x, w, b: normalization.group_norm_backward(g, x, 2, w), [x, scale, shift]),
        "local_response_norm": (
            lambda x: normalization.local_response_norm(x, 3, alpha=0.5),
            lambda g, x: normalization.local_response_norm_backward(g, x, 3, alpha=0.5), [x]),
        "resize": (
            lambda x: resize.resize(x, (3, 8), mode="linear"),
            lambda g, x: resize.resize_backward(g, x, (3, 8), mode="linear"), [x]),
        "max_pool": (
            lambda x: pooling.max_pool(x, 3, stride=2, padding=1),
            lambda g, x: pooling.max_pool_backward(g, x, 3, stride=2, padding=1), [x]),
        "average_pool": (
            lambda x: pooling.average_pool(x, 3, stride=2, padding=1),
            lambda g, x: pooling.average_pool_backward(g, x, 3, stride=2, padding=1), [x]),
    }  # fmt: skip
    for kind in ("average", "max"):
        adaptive = getattr(pooling, f"adaptive_{kind}_pool"), getattr(pooling, f"adaptive_{kind}_pool_backward")
        found[f"adaptive_{kind}_pool"] = (
            lambda x, f=adaptive[0]: f(x, (2, 3)), lambda g, x, f=adaptive[1]: f(g, x, (2, 3)), [x]
        )  # fmt: skip
        name = f"global_{kind}_pool"
        found[name] = getattr(pooling, name), getattr(pooling, f"{name}_backward"), [x]
    for name in ("relu", "leaky_relu", "sigmoid", "tanh", "gelu", "silu", "softmax", "log_softmax"):
        found[name] = getattr(activation, name), getattr(activation, f"{name}_backward"), [flat]
    for name, aim in (
        ("softmax_cross_entropy", np.array([0, 2, 4])), ("hinge", np.array([0, 2, 4])), ("logistic", mask / 2)
    ):  # fmt: skip
        forward, backward = getattr(loss, name), getattr(loss, f"{name}_backward")
        found[name] = (
            lambda s, f=forward, aim=aim: np.asarray(f(s, aim)), lambda g, s, f=backward, aim=aim: g * f(s, aim), [flat]
        )  # fmt: skip
    return found


def gradients(folder: Path, full: bool) -> Outcome:
    """Compare every backward with central differences in float64."""
    outcome, largest = by_tests("tests/laws/test_reference_is_torch.py")(folder, full), 0.0
    modules = (activation, convolution, linear, loss, normalization, pooling, resize, transposed)
    there = {
        name.removesuffix("_backward")
        for module in modules
        for name, _ in inspect.getmembers(module, inspect.isfunction)
        if name.endswith("_backward") and not name.startswith("_")
    }
    operations = _operations()
    outcome.check(there == operations.keys(), f"operations that are not checked: {sorted(there ^ operations.keys())}")
    for name, (forward, backward, inputs) in operations.items():
        error = max(gradient_errors(forward, backward, inputs))
        largest = max(largest, error)
        outcome.check(error < 1e-6, f"{name}: {error:.1e}")
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(4, 3, 2, 2, dtype=torch.float64, generator=draw, requires_grad=True)
    shared = SharedBatchNorm(torch.nn.BatchNorm2d(3, dtype=torch.float64), ProcessGroup())
    outcome.check(torch.autograd.gradcheck(shared, (x,)), "batch normalization over all processes")
    scores = torch.randn(5, 4, dtype=torch.float64, generator=draw, requires_grad=True)
    wanted = torch.tensor([0, 1, 2, 3, 0])
    several = torch.randint(0, 2, (5, 4), generator=draw).double()
    for kind in ("softmax", "hinge", "logistic", "multi-label"):
        aim = several if kind == "multi-label" else wanted
        objective = Objective(loss=kind, label_smoothing=0.1 if kind == "softmax" else 0.0)
        outcome.check(
            torch.autograd.gradcheck(lambda s, o=objective, aim=aim: o(s, aim), (scores,)), f"the loss {kind}"
        )
    outcome.note = f"{len(operations)} operations in NumPy, 4 losses, batch normalization; largest error {largest:.1e}"
    return outcome


def fuzzed(folder: Path, full: bool) -> Outcome:
    """Read changed files, as `make fuzz` does."""
    result = folder / "fuzz.json"
    count = int(os.environ.get("FUZZ_INPUTS", 1_000_000)) if full else 2200
    words = [sys.executable, str(ROOT / "tests" / "fuzzing.py"), "--inputs", str(count), "--json", str(result)]
    subprocess.run(words, check=False, stdout=sys.stderr)
    found = json.loads(result.read_text(encoding="utf-8"))
    failures = [f"{name}: {one['failures']}" for name, one in found.items() for _ in range(one["failures"])]
    return Outcome(sum(one["inputs"] for one in found.values()), failures, ", ".join(found))
