"""Every public function as one call on small data, with what it found in a form that is compared to the bit."""

from __future__ import annotations

import json
import math
import random
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from hashlib import sha256
from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

import convscope
from convscope.data.records import ImageSet

SHAPE = (1, 8, 8)
# These train or read many images: seconds each, where the others take milliseconds.
SLOW = ("train", "training_events", "train_ensemble", "lr_find", "ablate", "demo", "shard", "evaluate", "check",
        "robustness")  # fmt: skip
# They sum gradients, which torch splits by the number of threads: equal to 1e-4 under another number.
SPLIT_SUMS = ("look", "compare_looks", "learned")
# It measures how fast the machine is: never the same twice.
UNTRIED = ("doctor",)

Call = Callable[[], Any]


def network(width: int = 4) -> nn.Sequential:
    """Return a network of (1, 8, 8) images with everything that a verb may change: modes, statistics, draws."""
    return nn.Sequential(
        nn.Conv2d(1, width, 3, padding=1),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Conv2d(width, 6, 3),
        nn.Flatten(),
        nn.Linear(6 * 36, 5),
    )


def trained(folder: Path, name: str = "run") -> convscope.Outcome:
    """Train lenet5 for an epoch on the built-in digits."""
    recipe = convscope.Recipe(model="lenet5", epochs=1, autotune="rules")
    return convscope.train("digits", recipe, name=name, runs_directory=folder, cache_directory=folder / "cache")


def verbs(folder: Path, model: nn.Module, run: Path) -> dict[str, Call]:
    """Return a call of every public function and of methods that compute, by name, on a run that `trained` returned."""
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8)
    images = [pixels, pixels.T.copy()]
    wider = network(5)
    recipe = convscope.Recipe(model="lenet5", epochs=1, autotune="rules")
    cache = folder / "cache"
    predictor = convscope.load(run)
    decoded = ImageSet(np.stack([np.kron(each, np.ones((4, 4), np.uint8)) for each in images])[..., None], *_unnamed(2))
    explanation = convscope.explain(model, pixels, layer="4", at=(2, 2))
    return {
        "inspect": lambda: convscope.inspect(model, SHAPE).to_dict(),
        "field": lambda: convscope.field(model, "4", (2, 2), input_shape=SHAPE).to_dict(),
        "effective_fields": lambda: convscope.effective_fields(model, [pixels], seeds=2).to_dict(),
        "unproductive_layers": lambda: convscope.unproductive_layers(model, input_shape=SHAPE).to_dict(),
        "health": lambda: convscope.health(run).to_dict(),
        "equivariance": lambda: convscope.equivariance(model, pixels, shifts=(1, 2)).to_dict(),
        "consistency": lambda: convscope.consistency(run).to_dict(),
        "antialiased": lambda: convscope.antialiased(nn.Sequential(nn.MaxPool2d(2)), SHAPE).to_dict(),
        "knock_out": lambda: convscope.knock_out(run, "c1", channels=[0]).to_dict(),
        "robustness": lambda: convscope.robustness(run).to_dict(),
        "similarity": lambda: convscope.similarity(run, run).to_dict(),
        "confusions": lambda: convscope.confusions(run).to_dict(),
        "calibration": lambda: convscope.calibration(run).to_dict(),
        "visualize": lambda: convscope.visualize(run, "c1", channels=[0], steps=2).to_dict(),
        "learned": lambda: convscope.learned(run, parts=["filters", "examples", "norms"], images=20).to_dict(),
        "compare": lambda: convscope.compare(model, wider, input_shape=SHAPE).to_dict(),
        "explain": lambda: convscope.explain(model, pixels, layer="4", at=(2, 2)).to_dict(),
        "look": lambda: convscope.look(model, pixels, methods=["grad-cam", "integrated-gradients"]).to_dict(),
        "compare_looks": lambda: convscope.compare_looks(model, wider, image=pixels, methods=["gradient"]).to_dict(),
        "audit": lambda: convscope.audit(model, input_shape=SHAPE).to_dict(),
        "check": lambda: convscope.check("digits", cache_directory=cache).to_dict(),
        "training_memory": lambda: convscope.training_memory(model, SHAPE).at(8).total,
        "models": lambda: convscope.models("lenet5").to_dict(),
        "load_recipe": lambda: convscope.load_recipe(run / "recipe.toml").to_dict(),
        "size": lambda: convscope.size((8, 8), 3, in_channels=1, out_channels=4).to_dict(),
        "notes": lambda: convscope.notes("LeNet-5").to_dict(),
        "exercise": lambda: convscope.exercise("3a", seed=42).to_dict(),
        "shard": lambda: _sharded(folder / "shards"),
        "Explanation.to_pixels": lambda: [each.to_dict() for each in explanation.to_pixels()],
        "Predictor.scores": lambda: predictor.scores(decoded, tta="flip").tolist(),
        "load": lambda: [item.to_dict() for item in predictor.predict(images)],
        "predict": lambda: convscope.predict(run, images).to_dict(),
        "evaluate": lambda: convscope.evaluate(run, cache_directory=cache).scores.to_dict(),
        "train": lambda: weights(trained(folder, "again").run.path),
        "training_events": lambda: _gone_through(recipe, folder),
        "demo": lambda: weights(convscope.demo(runs_directory=folder, on_epoch=_stop).run.path),
        "train_ensemble": lambda: weights(
            convscope.train_ensemble("digits", recipe, members=2, runs_directory=folder, cache_directory=cache).run.path
        ),
        "lr_find": lambda: convscope.lr_find("digits", recipe, steps=20, cache_directory=cache).losses,
        "ablate": lambda: [
            [(row.train_loss, row.val_loss) for row in trial.rows]
            for trial in convscope.ablate(
                "digits", recipe, without=["momentum"], seeds=1, jobs=1, runs_directory=folder, cache_directory=cache
            ).trials
        ],
    }


def _unnamed(count: int) -> tuple[Any, list[str]]:
    return np.zeros(count, np.int64), [""] * count


def _sharded(folder: Path) -> list[str]:
    rmtree(folder, ignore_errors=True)
    convscope.shard("digits", folder)
    return [sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())]


def _stop(row: convscope.EpochRow) -> None:
    raise convscope.StopTraining


def _gone_through(recipe: convscope.Recipe, folder: Path) -> list[Any]:
    """Train in a loop whose body has the caller's state; return the losses and the weights."""
    events = convscope.training_events("digits", recipe, runs_directory=folder, cache_directory=folder / "cache")
    before, losses = state_now(), []
    for event in events:
        assert state_now() == before, event
        if isinstance(event, convscope.EpochRow):
            losses.append((event.train_loss, event.val_loss))
    return [losses, weights(events.outcome.run.path)]


def weights(run: Path) -> list[str]:
    """Return digests of the files of weights of a run, or of an ensemble's members."""
    found = sorted(run.rglob("weights.safetensors"))
    assert found, f"{run} has no weights"
    return [sha256(path.read_bytes()).hexdigest() for path in found]


def found_by(call: Call) -> str:
    """Return what a call found, in a form that is equal only where every bit is."""
    return json.dumps(call(), sort_keys=True, default=repr)


def nearly_equal(found: Any, expected: Any) -> bool:
    """Return whether two results in JSON's types are equal but for numbers that differ by 1e-4 or less.

    >>> nearly_equal({"a": [1.0, "x"]}, {"a": [1.00001, "x"]}), nearly_equal([1.0], [1.1]), nearly_equal([1], [1, 2])
    (True, False, False)
    """
    if isinstance(found, dict) and isinstance(expected, dict):
        return found.keys() == expected.keys() and all(nearly_equal(found[key], expected[key]) for key in found)
    if isinstance(found, list) and isinstance(expected, list):
        return len(found) == len(expected) and all(map(nearly_equal, found, expected))
    if isinstance(found, float) and isinstance(expected, float):
        return math.isclose(found, expected, rel_tol=1e-4, abs_tol=1e-4)
    return bool(found == expected)


# The states that a caller may be in.


@contextmanager
def put(read: Callable[[], Any], write: Callable[[Any], object], value: Any) -> Iterator[None]:
    """Set something inside."""
    before = read()
    write(value)
    try:
        yield
    finally:
        write(before)


class _Callers(TorchFunctionMode):
    """A mode of the caller that changes what functions of torch return."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        return result + 1 if function in (torch.relu, nn.functional.relu, torch.nn.functional.linear) else result


@contextmanager
def _warnings_as_errors() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@contextmanager
def _other_draws() -> Iterator[None]:
    torch.rand(7), np.random.rand(3), random.random()  # noqa: NPY002 - the global state is what is tested
    yield


@contextmanager
def _flushed() -> Iterator[None]:
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


STATES: Mapping[str, Callable[[], AbstractContextManager[Any]]] = {
    "inference_mode": torch.inference_mode,
    "no_grad": torch.no_grad,
    "default dtype float64": lambda: put(torch.get_default_dtype, torch.set_default_dtype, torch.float64),
    "default dtype bfloat16": lambda: put(torch.get_default_dtype, torch.set_default_dtype, torch.bfloat16),
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "default device meta": lambda: torch.device("meta"),
    "set_default_device": lambda: put(lambda: None, torch.set_default_device, "meta"),
    "deterministic algorithms": lambda: put(
        torch.are_deterministic_algorithms_enabled, torch.use_deterministic_algorithms, True
    ),
    "1 thread": lambda: put(torch.get_num_threads, torch.set_num_threads, 1),
    "2 threads": lambda: put(torch.get_num_threads, torch.set_num_threads, 2),
    "anomaly detection": lambda: torch.autograd.set_detect_anomaly(True),
    "warnings as errors": _warnings_as_errors,
    "matmul precision medium": lambda: put(
        torch.get_float32_matmul_precision, torch.set_float32_matmul_precision, "medium"
    ),
    "TorchFunctionMode": _Callers,
    "TorchDispatchMode": lambda: FlopCounterMode(display=False),
    "saved tensors on the CPU": torch.autograd.graph.save_on_cpu,
    "other random states": _other_draws,
    "denormals flushed": _flushed,
    "NumPy errors raised": lambda: np.errstate(all="raise"),
}


# Every state in one group; none of a group hides or undoes another. Threads, under which sums are only nearly equal,
# are with states that change no number.
GROUPS = (
    ("inference_mode", "default dtype float64", "other random states", "denormals flushed"),
    ("no_grad", "default dtype bfloat16", "matmul precision medium"),
    ("autocast", "deterministic algorithms", "default device meta"),
    ("set_default_device", "TorchFunctionMode"),
    ("TorchDispatchMode", "saved tensors on the CPU"),
    ("2 threads", "warnings as errors", "NumPy errors raised"),
    ("1 thread", "anomaly detection"),
)


def entered(names: Iterable[str]) -> ExitStack:
    """Enter states, one after the other."""
    together = ExitStack()
    for name in names:
        together.enter_context(STATES[name]())
    return together


def all_at_once() -> ExitStack:
    """Enter all states but those that another one of them hides or undoes."""
    return entered(name for name in STATES if name not in ("set_default_device", "default dtype bfloat16", "1 thread"))


def state_now() -> dict[str, Any]:
    """Return everything that belongs to the caller, as it is now."""
    import os

    return {
        "torch": torch.get_rng_state().numpy().tobytes(),
        "NumPy": repr(np.random.get_state()),  # noqa: NPY002 - the global state is what is tested
        "random": random.getstate(),
        "grad": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
        "dtype": torch.get_default_dtype(),
        "device": torch.get_default_device(),
        "autocast": (torch.is_autocast_enabled("cpu"), torch.is_autocast_cache_enabled()),
        "modes": (torch._C._len_torch_function_stack(), torch._C._len_torch_dispatch_stack()),
        "deterministic": (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
        ),
        "anomaly": torch.is_anomaly_enabled(),
        "threads": torch.get_num_threads(),
        "precision": torch.get_float32_matmul_precision(),
        "denormals": float(np.float64(2.0**-1022)) * 0.5,
        "errors": np.geterr(),
        "filters": (id(warnings.filters), list(warnings.filters)),
        "environment": dict(os.environ),
        "module call": nn.Module.__call__,
    }


def state_of(model: nn.Module) -> list[Any]:
    """Return everything of a model that a verb might change."""
    return [
        (
            module.training,
            len(module._forward_hooks) + len(module._forward_pre_hooks) + len(module._backward_hooks),
            sorted(module.__dict__),
            [(name, p.requires_grad, p.grad is None, id(p)) for name, p in module.named_parameters(recurse=False)],
            [(name, id(b), b.sum().item()) for name, b in module.named_buffers(recurse=False)],
        )
        for module in model.modules()
    ]
