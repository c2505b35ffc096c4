"""A model as the user has it: a name, a file's factory, a run, what training returned, a predictor, or a module."""

from __future__ import annotations

import ast
import copy
import importlib
import importlib.util
import inspect
import os
import reprlib
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

from torch import nn

from convscope.data.preprocessing import Normalization, Preprocessing
from convscope.errors import CaptureError, ConvscopeError, did_you_mean
from convscope.files.regular import UnreadableError, refused_as, require_regular
from convscope.files.text import read_text
from convscope.nets import catalogue
from convscope.nets.build import build
from convscope.nets.from_timm import import_timm, require_name
from convscope.report.printable import from_here
from convscope.report.usage import call_text
from convscope.runs.predictor import Predictor
from convscope.runs.run_directory import HasRun, Run, RunLike, run_of
from convscope.runs.tensor_files import load_weights

LARGEST_SOURCE = 2**24  # bytes of Python

# A model: what `load` finds by text, a run, an outcome or a predictor; or a module, or a function that makes one.
ModelLike: TypeAlias = RunLike | Predictor | nn.Module | Callable[[], nn.Module]


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model that can be built.

    Args:
        name: what to call it.
        factory: makes the module, with fresh weights.
        input_shape: the shape of one sample that it is meant for, (C, H, W); None where nothing says so.
        run: the run that has its trained weights; None where it has none.
        preprocessing: how an image becomes its input; None where nothing says it.
        module: the module itself, where the user gave one, which is left as it is; None where it is to be built.
        makes_own: whether the factory is the user's, and may load weights.
    """

    name: str
    factory: Callable[[], nn.Module]
    input_shape: tuple[int, ...] | None = None
    run: Run | None = None
    preprocessing: Preprocessing | None = None
    module: nn.Module | None = None
    makes_own: bool = False

    @property
    def model(self) -> nn.Module | Callable[[], nn.Module]:
        """What is captured: the module itself, or what makes one without memory."""
        return self.factory if self.module is None else self.module

    @property
    def has_random_weights(self) -> bool:
        """Whether `build` draws the weights."""
        return self.run is None and self.module is None

    def weights_note(self, seed: int) -> str | None:
        """Return where the weights come from, if not from a run or a given module."""
        if not self.has_random_weights:
            return None
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
            load_weights(model, self.run.read_weights(), where=from_here(self.run.weights))
        return model

    def own_input_shape(self) -> tuple[int, ...]:
        """Return the shape of one sample that the model is meant for; raises CaptureError where nothing says so."""
        if self.input_shape is None:
            name = self.name or "the model"
            raise CaptureError(f"{name} does not say what it takes: give its input_shape, such as (3, 224, 224)")
        return self.input_shape

    def require_intact_weights(self) -> None:
        """Raise RunError where the run's weights are missing or damaged."""
        if self.run is not None:
            self.run.read_weights()


def load(model: ModelLike) -> Loaded:
    """Find a model; nothing is built yet.

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
        return Loaded(spec.name, lambda: of_network, shape, None, spec.preprocessing, of_network)
    if isinstance(model, (Run, HasRun)):
        return _from_run(run_of(model))
    if callable(model):
        name = getattr(model, "__name__", "")
        name = name if name.isidentifier() else "the function"
        _require_no_arguments(name, name, model)
        return Loaded("", lambda: _made(name, model), makes_own=True)
    raise CaptureError(
        f"{reprlib.repr(model)} is a {type(model).__name__}, and no model: give a torch.nn.Module, a function that "
        "makes one, a name of a network, a run, or what convscope.train returned"
    )


def _from_text(text: str) -> Loaded:
    if text.startswith("timm/"):
        return _from_timm(text.removeprefix("timm/"))
    if text.lower().endswith(".onnx"):
        return _from_onnx(text)
    place, colon, attribute = text.rpartition(":")
    if colon:
        return _from_import(text, place, attribute)
    path = Path(text)
    if text.endswith(".py") or (os.path.lexists(path) and not path.is_dir()):
        raise CaptureError(f"{text} is a file: say what in it makes the model, {_suggest_factory(path)}")
    if path.is_dir():
        return _from_run(run_of(path))
    return _from_catalogue(text)


def _suggest_factory(path: Path) -> str:
    """Return the names in a file that may build a model, from its text; nothing is executed."""
    try:
        statements = ast.parse(read_text(path, limit=LARGEST_SOURCE)).body
    except (UnreadableError, ValueError, SyntaxError, RecursionError, MemoryError):
        return f"such as {path}:make_model"
    makers = [
        s.name
        for s in statements
        if (isinstance(s, ast.ClassDef) and any("Module" in ast.unparse(base) for base in s.bases))
        or (isinstance(s, ast.FunctionDef) and len(s.args.args) == len(s.args.defaults) and not s.name.startswith("_"))
    ]
    if not makers:
        return f"such as {path}:make_model; it has no class of nn.Module and no function that takes nothing"
    return " or ".join(f"{path}:{name}" for name in makers[:4])


def _from_catalogue(name: str) -> Loaded:
    try:
        entry = catalogue.find(name)
    except CaptureError as unknown:
        if "/" in name or "\\" in name or "." in name:
            raise CaptureError(f"there is no run directory at {name!r}: {_forms()}") from None
        raise CaptureError(str(unknown)) from None
    return Loaded(entry.name, lambda: build(entry.name), tuple(entry.input_shape))


def _from_run(run: Run) -> Loaded:
    spec = run.spec_of_one()
    run.require_weights()

    def factory() -> nn.Module:
        try:
            return spec.build()
        except ConvscopeError as error:
            raise type(error)(f"{from_here(run.spec_path)} can't be used: {error}") from None

    shape = spec.preprocessing.input_shape
    return Loaded(run.path.name or spec.name, factory, shape, run=run, preprocessing=spec.preprocessing.limited())


def _from_onnx(path: str) -> Loaded:
    from convscope.nets.onnx.model import read_model

    found = read_model(path)
    return Loaded(found.name, lambda: found.network, found.input_shape, module=found.network)


def _from_timm(name: str) -> Loaded:
    timm = import_timm()
    require_name(f"timm/{name}")
    known = timm.models.get_pretrained_cfg(name, allow_unregistered=True)
    shape = None if known is None else tuple(known.input_size)
    own = None if known is None else Normalization(tuple(known.mean), tuple(known.std))
    return Loaded(
        f"timm/{name}",
        lambda: _made(f"timm/{name}", lambda: timm.create_model(name)),
        shape,
        preprocessing=None if shape is None else Preprocessing.default(shape, own),
    )


def _from_import(text: str, place: str, attribute: str) -> Loaded:
    if not place or not attribute:
        raise CaptureError(f"{text!r} is not a model: {_forms()}")
    path = Path(place)
    folder = Path(os.path.realpath(path)).parent if place.endswith(".py") else Path.cwd()
    with _importable_from(folder):
        module = _module_from_file(path) if place.endswith(".py") else _module_by_name(place)
    if not hasattr(module, attribute):
        known = [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]
        hint = did_you_mean(attribute, known) or (f" It has {', '.join(known[:8])}." if known else "")
        raise CaptureError(f"{place} has no {attribute!r}.{hint}")
    found = getattr(module, attribute)
    if isinstance(found, nn.Module):
        return Loaded(attribute, lambda: found, makes_own=True)
    if not callable(found):
        raise CaptureError(f"{text} is a {type(found).__name__}: it must be a function or class that makes a "
                           "torch.nn.Module, or a module itself")  # fmt: skip
    _require_no_arguments(text, attribute, found)

    def factory() -> nn.Module:
        with _importable_from(folder):
            return _made(text, found)

    return Loaded(attribute, factory, makes_own=True)


def _made(text: str, factory: Callable[[], Any]) -> nn.Module:
    """Call a user's factory; whatever it raises becomes one line."""
    try:
        model = factory()
    except ConvscopeError:
        raise
    except Exception as error:
        raise CaptureError(f"{text} failed: {_in_one_line(error)}") from error
    except SystemExit as ended:
        raise CaptureError(f"{text} ended the program (exit {ended.code})") from ended
    if not isinstance(model, nn.Module):
        raise CaptureError(f"{text} gave a {type(model).__name__}: it must return a torch.nn.Module")
    return model


def _require_no_arguments(text: str, name: str, factory: Callable[..., Any]) -> None:
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):  # builtins have no signature to read: calling shows
        return
    needed = [p.name for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    if needed:
        given = ", ".join(f"{n}=..." for n in needed)
        raise CaptureError(
            f"{text} needs {', '.join(needed)}: write a function without arguments beside it, such as "
            f"`def make_model(): return {name}({given})`, and name that"
        )


def _module_from_file(path: Path) -> ModuleType:
    with refused_as(CaptureError, path):
        require_regular(path, limit=LARGEST_SOURCE)
    spec = importlib.util.spec_from_file_location(f"_convscope_user_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses and pickling look there while the file runs
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise CaptureError(f"{path} does not import: {_in_one_line(error)}") from error
    except SystemExit as ended:
        raise CaptureError(
            f"{path} ends the program when it is imported (exit {ended.code}): "
            'put what it runs under `if __name__ == "__main__":`'
        ) from ended
    return module


def _module_by_name(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except Exception as error:
        raise CaptureError(f"{name} does not import: {_in_one_line(error)}") from error


@contextmanager
def _importable_from(folder: Path) -> Iterator[None]:
    """Return a user's file imports its neighbours, as it would when it is run."""
    entry = str(folder)
    sys.path.insert(0, entry)
    try:
        yield
    finally:
        if entry in sys.path:
            sys.path.remove(entry)


def _in_one_line(error: BaseException) -> str:
    if isinstance(error, SyntaxError) and error.filename:
        return f"{type(error).__name__}: {error.msg} ({Path(error.filename).name}, line {error.lineno})"
    lines = "".join(traceback.format_exception_only(error)).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__


def _forms() -> str:
    listed = call_text("models")
    return (
        f"give a name that {listed} lists, file.py:factory, package.module:factory, model.onnx, a run directory, "
        "or timm/NAME"
    )
