"""A model as the user has it: a name, a file's factory, a run, what training returned, a predictor, or a module."""

from __future__ import annotations

import copy
import os
import reprlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import nn

from convscope.capture.build import build_without_memory
from convscope.capture.declared import completed, main_input
from convscope.capture.inputs import Inputs, make_inputs
from convscope.capture.recording.backends import Real
from convscope.data.preprocessing import Normalization, Preprocessing
from convscope.errors import CaptureError, ConvscopeError
from convscope.nets import catalogue
from convscope.nets.build import build
from convscope.nets.from_file import factory_of, made, needed_arguments
from convscope.nets.from_timm import import_timm, require_name
from convscope.nets.onnx.inputs import DeclaredInput
from convscope.nets.own_code import found, suggested_factories, with_arguments, without_folders
from convscope.report.printable import from_here
from convscope.report.usage import call_text, settings_text
from convscope.runs.built_in import built_in_of, find_built_in
from convscope.runs.checkpoint import epoch_of
from convscope.runs.predictor import Predictor
from convscope.runs.run_directory import Run
from convscope.runs.run_like import HasRun, RunLike, names_checkpoint, run_of
from convscope.runs.tensor_files import load_weights, require_fit

# A model: what `load` finds by text, a run, an outcome or a predictor; or a module, or a function that makes one.
ModelLike: TypeAlias = RunLike | Predictor | nn.Module | Callable[[], nn.Module]


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model that can be built.

    Args:
        name: what to call it.
        factory: makes the module, with fresh weights.
        input_shape: the shape of one sample that it is meant for, (C, H, W); None where nothing says so.
        run: the run that it is of; None where it is of none. A `module` has its weights, else the run has them.
        preprocessing: how an image becomes its input; None where nothing says it.
        module: the module itself, where the user gave one, which is left as it is; None where it is to be built.
        makes_own: whether the factory is the user's, and may load weights.
        declared: the inputs that a file says the network takes; empty where none does.
    """

    name: str
    factory: Callable[[], nn.Module]
    input_shape: tuple[int, ...] | None = None
    run: Run | None = None
    preprocessing: Preprocessing | None = None
    module: nn.Module | None = None
    makes_own: bool = False
    declared: tuple[DeclaredInput, ...] = ()

    @property
    def model(self) -> nn.Module | Callable[[], nn.Module]:
        """What is captured: the module itself, or what makes one without memory."""
        return self.factory if self.module is None else self.module

    @property
    def has_random_weights(self) -> bool:
        """Whether `build` draws the weights."""
        return self.run is None and self.module is None

    def weights_note(self, seed: int) -> str | None:
        """Return where the weights come from, if not from a run of the user's or a given module."""
        if not self.has_random_weights:
            built_in = None if self.run is None else built_in_of(self.run.path)
            return None if built_in is None else built_in.note
        if self.makes_own:
            return f"the weights are those that {self.name or 'the function'} makes, with seed {seed}"
        return f"the weights are random (seed {seed})"

    @property
    def takes_images(self) -> bool:
        """Whether it was trained on images by convscope, so that numbers given to it are an image's."""
        return self.preprocessing is not None and not self.has_random_weights

    def build(self) -> nn.Module:
        """Return the module, with its trained weights where it has any.

        Raises:
            RunError: the weights are missing, damaged, or don't fit the architecture.
        """
        if self.module is not None:
            return self.module
        model = self.factory()
        if self.run is not None:
            load_weights(model, self.run.read_weights(), where=from_here(self.run.weights_source))
        return model

    def own_input_shape(self) -> tuple[int, ...]:
        """Return the shape of one sample that the model is meant for; raises CaptureError where nothing says so."""
        if self.input_shape is None:
            name, such = self.name or "the model", settings_text(input_shape=(3, 224, 224))
            raise CaptureError(f"{name} does not say what it takes: give it, such as {such}")
        return self.input_shape

    def inputs(self, given: Inputs | None = None) -> Inputs:
        """Return the inputs of a forward pass: those given, or else the model's own.

        Raises:
            CaptureError: nothing says what the model takes, or a file that does says something else.
        """
        if self.declared:
            return completed(self.name, self.declared, given)
        return self.own_input_shape() if given is None else given

    def beside(self, tensor: torch.Tensor) -> tuple[list[torch.Tensor], tuple[str, ...]]:
        """Return all inputs where one is given, the others 0, and what to say of them."""
        if len(self.declared) < 2:
            return [tensor], ()
        main = main_input(self.declared)
        forward = make_inputs(
            self.inputs({main.name: tensor}), batch_size=1, dtype=torch.get_default_dtype(), backend=Real()
        )
        inputs = [tensor if name == main.name else torch.zeros_like(zeros) for name, zeros in forward.tensors]
        others = ", ".join(one.name for one in self.declared if one is not main)
        return inputs, (f"what is given is {main.name}; 0 everywhere: {others}",)

    def require_intact_weights(self) -> None:
        """Raise RunError where the run's weights are missing or damaged, or not those of the code that is named."""
        if self.run is not None and self.module is None:
            weights = self.run.read_weights()
            code = self.run.spec().code
            if code:
                network = build_without_memory(self.factory)
                require_fit(network, weights, where=from_here(self.run.weights_source), called=without_folders(code))


def load(model: ModelLike) -> Loaded:
    """Find a model; nothing is built yet. A path may be that of a run, or of a checkpoint in one.

    Raises:
        CaptureError: there is no such model, or it can't be imported; in one line.
        RunError: a directory that is no run, of another format, or an ensemble.

    >>> loaded = load("lenet5")
    >>> loaded.name, loaded.input_shape
    ('lenet5', (1, 32, 32))
    >>> load(nn.Conv2d(3, 8, 3)).name
    'Conv2d'
    """
    if isinstance(model, (str, os.PathLike)):
        return _from_text(os.fspath(model))
    if isinstance(model, nn.Module):
        return Loaded(type(model).__name__, lambda: model, module=model)
    if isinstance(model, Predictor):
        # A capture changes modes and buffers, while other threads may predict with the network.
        of_network = copy.deepcopy(model.network, {id(weights): weights for weights in model.network.parameters()})
        spec = model.spec
        shape = spec.preprocessing.input_shape
        return Loaded(spec.name, lambda: of_network, shape, model.run, spec.preprocessing, of_network)
    if isinstance(model, (Run, HasRun)):
        return _from_run(run_of(model))
    if callable(model):
        name = getattr(model, "__name__", "")
        name = name if name.isidentifier() else "the function"
        _require_no_arguments(model, name)
        return Loaded("", lambda: made(name, model), makes_own=True)
    raise CaptureError(
        f"{reprlib.repr(model)} is a {type(model).__name__}, and no model: give a torch.nn.Module, a function that "
        "makes one, a name of a network, a run, or what convscope.train returned"
    )


def _from_text(text: str) -> Loaded:
    if text.startswith("timm/"):
        return _from_timm(text.removeprefix("timm/"))
    if text.lower().endswith(".onnx"):
        return _from_onnx(text)
    if ":" in text:
        return _from_own(text)
    path = Path(text)
    if names_checkpoint(path):
        return _from_run(run_of(path))
    if text.endswith(".py") or (os.path.lexists(path) and not path.is_dir()):
        raise CaptureError(f"{text} is a file: say what in it makes the model, {suggested_factories(path)}")
    if path.is_dir() or find_built_in(text) is not None:
        return _from_run(run_of(path))
    return _from_catalogue(text)


def _from_catalogue(name: str) -> Loaded:
    try:
        entry = catalogue.find(name)
    except CaptureError as unknown:
        if "/" in name or "\\" in name or "." in name:
            raise CaptureError(f"there is no run directory at {name!r}: {_forms()}") from None
        raise CaptureError(str(unknown)) from None
    return Loaded(entry.name, lambda: build(entry.name), tuple(entry.input_shape))


def _from_run(run: Run) -> Loaded:
    run.require_code()
    spec = run.spec_of_one()
    run.require_weights()

    def factory() -> nn.Module:
        try:
            return spec.build()
        except ConvscopeError as error:
            if spec.code:
                raise
            raise type(error)(f"{from_here(run.spec_path)} can't be used: {error}") from None

    shape = spec.preprocessing.input_shape
    name = run.path.name or spec.name
    if run.checkpoint:
        epoch = epoch_of(run.opened_path)
        name += f" ({run.checkpoint if epoch is None else f'epoch {epoch}'})"
    return Loaded(name, factory, shape, run=run, preprocessing=spec.preprocessing.limited())


def _from_onnx(path: str) -> Loaded:
    from convscope.nets.onnx.model import read_model

    found = read_model(path)
    shape = main_input(found.inputs).shape or None
    return Loaded(found.name, lambda: found.network, shape, module=found.network, declared=found.inputs)


def _from_timm(name: str) -> Loaded:
    timm = import_timm()
    require_name(f"timm/{name}")
    known = timm.models.get_pretrained_cfg(name, allow_unregistered=True)
    shape = None if known is None else tuple(known.input_size)
    own = None if known is None else Normalization(tuple(known.mean), tuple(known.std))
    return Loaded(
        f"timm/{name}",
        lambda: made(f"timm/{name}", lambda: timm.create_model(name)),
        shape,
        preprocessing=None if shape is None else Preprocessing.default(shape, own),
    )


def _from_own(text: str) -> Loaded:
    name, arguments = with_arguments(text)
    if name.startswith(":") or name.endswith(":"):
        raise CaptureError(f"{text!r} is not a model: {_forms()}")
    model = found(name)
    attribute = name.rpartition(":")[2]
    if isinstance(model, nn.Module) and not arguments:
        return Loaded(attribute, lambda: model, makes_own=True)
    factory = partial(factory_of(name), **arguments)
    if lacks := needed_arguments(factory):
        values = ", ".join(f"{one}=..." for one in (*arguments, *lacks))
        raise CaptureError(
            f"{text} needs {', '.join(lacks)}: give {'it' if len(lacks) == 1 else 'them'} a value, '{name}({values})'"
        )
    return Loaded(attribute, lambda: made(name, factory), makes_own=True)


def _require_no_arguments(factory: Callable[..., Any], name: str) -> None:
    if lacks := needed_arguments(factory):
        given = ", ".join(f"{one}=..." for one in lacks)
        raise CaptureError(
            f"{name} needs {', '.join(lacks)}: give a function without arguments, such as `lambda: {name}({given})`, "
            "or the module itself"
        )


def _forms() -> str:
    listed = call_text("models")
    return (
        f"give a name that {listed} lists, file.py:factory, package.module:factory, model.onnx, a run directory, "
        "or timm/NAME"
    )
