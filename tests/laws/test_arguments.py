"""A wrong argument of a public function is an error in a sentence: every argument with values of every wrong kind."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from torch import nn

import convscope
from convscope.api.public import Parameters
from convscope.errors import ArgumentError, ConvscopeError

NOTHING_THERE = "no-such-folder-or-run"
WRONG: tuple[Any, ...] = (None, object(), "wrong string", -5, math.nan, {"a": 1}, [object()], b"bytes", int, 1 + 2j)


@cache
def inspection() -> Any:
    return convscope.inspect(network(), (1, 8, 8))


@cache
def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())


@cache
def memory() -> Any:
    return convscope.training_memory(network(), (1, 8, 8))


@cache
def predictor() -> Any:
    from dataclasses import replace

    from convscope.data.preprocessing import Preprocessing
    from convscope.runs.model_spec import ModelSpec
    from convscope.runs.predictor import Predictor

    prepared = replace(Preprocessing.default((1, 32, 32)), classes=("cat", "dog"))
    spec = ModelSpec(name="lenet5", options={}, preprocessing=prepared)
    return Predictor(spec.build(), spec)


@cache
def explanation() -> Any:
    return convscope.explain(network(), np.zeros((1, 8, 8), np.float32), layer="0", at=(1, 1))


def decoded() -> Any:
    from convscope.data.records import ImageSet

    return ImageSet(np.zeros((1, 32, 32, 1), np.uint8), np.zeros(1, np.int64), [""])


IMAGE = np.zeros((1, 8, 8), np.float32)
PICTURE = np.zeros((8, 8), np.uint8)
RECIPE = convscope.Recipe(data=NOTHING_THERE)
# What each argument is given so that a function answers at once; nothing is trained, as there are no images.
EXAMPLES: dict[str, Any] = {
    "batch_size": 2,
    "data": NOTHING_THERE,
    "folder": "out",
    "image": IMAGE,
    "images": PICTURE,
    "input_shape": (1, 8, 8),
    "input_size": 8,
    "items": PICTURE,
    "kernel_size": 3,
    "layer": "0",
    "limit_bytes": 10**6,
    "members": 2,
    "model": network(),
    "models": network(),
    "name": "0",
    "other": network(),
    "path": NOTHING_THERE,
    "run": NOTHING_THERE,
}
# Arguments that are given although they have a default, and what one function takes otherwise.
ALSO = ("data", "input_shape", "members", "models")
OTHERWISE: dict[str, dict[str, Any]] = {
    "Predictor.__call__": {"image": PICTURE},
    "Predictor.scores": {"images": decoded()},
    "antialiased": {"model": nn.Sequential(nn.MaxPool2d(2))},
    "doctor": {"model": NOTHING_THERE},
    "effective_fields": {"images": [IMAGE], "seeds": 1},
    "exercise": {"name": "3a"},
    "explain": {"at": (1, 1)},
    "look": {"layer": None, "methods": ["gradient"], "checks": False},
    "compare_looks": {"layer": None, "methods": ["gradient"], "similarity": False},
    "field": {"model": inspection(), "input_shape": None},
    "notes": {"sets": ["edges"]},
}
RESULTS: dict[str, Callable[[], Any]] = {
    "Explanation": explanation,
    "Inspection": inspection,
    "Predictor": predictor,
    "TrainingMemory": memory,
}
# Of those values, the ones that are right after all. None is right where the annotation has it; what is no image is an
# answer with a problem.
RIGHT: dict[tuple[str, str], Sequence[Any]] = {
    ("inspect", "name"): ["wrong string"],
    ("look", "methods"): [[], ()],
    ("compare_looks", "methods"): [[], ()],
    ("training_memory", "name"): ["wrong string"],
    ("inspect", "input_shape"): [{"a": 1}],  # keyword arguments, which the network then refuses: `.error` says so
    ("Predictor.predict", "items"): WRONG,
    ("Predictor.scores", "what"): ["wrong string"],
}


def is_public(found: object) -> bool:
    """Whether a function or method is decorated with `public`."""
    return inspect.isfunction(found) and found.__code__ is convscope.inspect.__code__


@cache
def functions() -> dict[str, tuple[Callable[..., Any], dict[str, Any]]]:
    """Every public function, and every public method of a result, with arguments that they take."""
    found: dict[str, Callable[..., Any]] = {}
    for name in convscope._MODULES:
        named = getattr(convscope, name)
        if is_public(named):
            found[name] = named
        if inspect.isclass(named) and (methods := [key for key, value in vars(named).items() if is_public(value)]):
            assert name in RESULTS, f"{name} has public methods: say in RESULTS how one is made"
            found |= {f"{name}.{method}": getattr(RESULTS[name](), method) for method in methods}
    return {name: (function, valid(name, function)) for name, function in found.items()}


def valid(name: str, function: Callable[..., Any]) -> dict[str, Any]:
    """Arguments with which a function answers: of what it needs, and of some that it may be given."""
    given = dict(OTHERWISE.get(name, {}))
    for parameter in inspect.signature(function).parameters.values():
        required = parameter.default is parameter.empty and parameter.kind is not parameter.VAR_POSITIONAL
        if parameter.name in given or not (required or parameter.name in ALSO):
            continue
        assert parameter.name in EXAMPLES, f"{name}: say in EXAMPLES what {parameter.name} may be"
        given[parameter.name] = EXAMPLES[parameter.name]
    return given


def cases() -> Iterator[tuple[str, str]]:
    for name, (function, _) in functions().items():
        for parameter in inspect.signature(function).parameters:
            yield name, parameter


def called(function: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    kinds = inspect.signature(function).parameters
    several = [name for name in arguments if kinds[name].kind is inspect.Parameter.VAR_POSITIONAL]
    named = {name: value for name, value in arguments.items() if name not in several}
    first = tuple(arguments[name] for name in several)
    answer = function(*first, *first, **named)
    return list(answer) if isinstance(answer, Iterator) else answer


@pytest.mark.parametrize(("name", "parameter"), list(cases()))
def test_a_wrong_argument_is_refused_in_a_sentence(
    name: str, parameter: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("convscope.training.demo.RECIPE", RECIPE)
    function, valid = functions()[name]
    accepted = []
    for value in WRONG:
        try:
            called(function, {**valid, parameter: value})
        except ConvscopeError as error:
            message = str(error)
        else:
            accepted.append(value)
            continue
        assert message and "\n" not in message and len(message) < 250
    right = RIGHT.get((name, parameter), [])
    optional = type(None) in get_args(Parameters(function).hints.get(parameter, Any))
    assert [value for value in accepted if value not in right and not (value is None and optional)] == []
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: convscope.inspect(network(), (1, 8, 8), mode="trian"),
         "inspect: mode is 'trian': give 'eval', 'train' or 'as is'. Did you mean train?"),
        (lambda: convscope.inspect(network(), (1, 8, 8), object_size=-5),
         "inspect: object_size is -5: give a whole number of 1 or more"),
        (lambda: convscope.ablate("digits", jobs="x"),
         "ablate: jobs is 'x': give a whole number of 1 or more or 'auto'"),
        (lambda: convscope.train("digits", {"epochs": 3}),
         "train: recipe is a dict: give convscope.Recipe(**recipe)"),
        (lambda: convscope.train("digits", "fast"),
         "train: recipe is 'fast': give convscope.Recipe(preset=\"fast\")"),
        (lambda: convscope.train(),
         "there is nothing to train on: give a path, or images in memory with their labels"),
        (lambda: convscope.train("digits", epochs=3),
         "train: epochs is a setting of the recipe: give recipe=convscope.Recipe(epochs=...)"),
        (lambda: convscope.train("digits", run_directory="x"),
         "train: there is no argument run_directory. Did you mean runs_directory?"),
        (lambda: convscope.compare(), "comparing takes two models or more, got 0"),
        (lambda: convscope.train("digits", None, "x"),
         "train: only data and recipe can be given without a name"),
        (lambda: convscope.notes(sets="edgs"),
         "notes: sets is 'edgs': give a list of 'sizes', 'edges', 'simple', 'functional', 'fields', 'history', "
         "'exercises' or 'overview'"),
        (lambda: convscope.inspect("lenet5", (1, 10**12, 10**12)),
         "the input has shape (1, 1, 1000000000000, 1000000000000), which no memory holds: lower it"),
        (lambda: convscope.Recipe(epochs=10**5000),
         "epochs is an int: it must be below 9223372036854775808, or auto"),
        (lambda: convscope.Recipe(epoch=3),
         "a recipe has no setting 'epoch'. Did you mean epochs?"),
    ],
)  # fmt: skip
def test_a_message_has_what_was_given_what_is_needed_and_what_to_do(call: Callable[[], Any], said: str) -> None:
    with pytest.raises(ConvscopeError) as refused:
        call()
    assert str(refused.value) == said


def test_numpy_scalars_and_arrays_are_taken_as_pythons() -> None:
    found = convscope.inspect(network(), np.array([1, 8, 8]), batch_size=np.int64(2), object_size=np.int16(3))
    assert found.batch == 2 and found.graph.shape(found.graph.inputs[0]) == (2, 1, 8, 8)
    recipe = convscope.Recipe(
        epochs=np.int64(3),
        learning_rate=np.float32(0.5),
        flip=np.bool_(False),
        model=np.str_("lenet5"),
        data=Path("b"),
    )
    assert (recipe.epochs, recipe.learning_rate, recipe.flip) == (3, 0.5, False)
    assert (recipe.model, recipe.data) == ("lenet5", "b")
    assert {type(value) for value in recipe.to_dict().values()} <= {bool, int, float, str}


def test_a_seed_that_torch_does_not_take_is_refused() -> None:
    asked = [(name, *found) for name, found in functions().items() if "seed" in Parameters(found[0]).hints]
    assert {"look", "learned", "explain", "audit"} <= {name for name, _, _ in asked}
    for _, function, given in asked:
        with pytest.raises(ArgumentError, match="seed"):
            called(function, {**given, "seed": 2**70})
