"""Capture: run a module once, without memory or arithmetic, and write down its Graph."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from convscope.api.generators import exclusive
from convscope.api.public import public
from convscope.api.warning_filters import warnings_ignored
from convscope.capture.build import build_without_memory
from convscope.capture.failures import explain, first_line, is_misfit
from convscope.capture.input_dtypes import first_dtype, other_dtypes
from convscope.capture.inputs import Inputs, is_shape, make_inputs
from convscope.capture.left_as_found import CaptureMode, left_as_found
from convscope.capture.load import ModelLike, load
from convscope.capture.outputs import tensors_in, without_tensors
from convscope.capture.recording.aliasing import signature_of
from convscope.capture.recording.backends import Backend, Fake, Meta, Real, silent_fakes
from convscope.capture.recording.module_calls import ModuleCall, ModuleCalls, watched
from convscope.capture.recording.numbers import wants_numbers
from convscope.capture.recording.reads import reads_noticed
from convscope.capture.recording.recorder import Recorder
from convscope.capture.saved import autograd
from convscope.errors import CaptureError
from convscope.graph.memory import TrainingMemory
from convscope.graph.records import Graph, ModuleRecord, ParameterRecord, StrayModule, ValueKind
from convscope.report.units import byte_size

# Bytes of weights up to which a model that was built without memory is built again to be run for real, and of inputs
# up to which it is.
_LARGEST_REAL = 2_000_000_000
# Two batch sizes, to separate what grows with the batch; one sample alone would fail batch normalisation.
_BATCHES = (2, 3)


@exclusive(None)
def capture(
    model: nn.Module | Callable[[], nn.Module],
    inputs: Inputs,
    *,
    batch_size: int | None = 1,
    name: str = "",
    mode: CaptureMode = "eval",
    dtype: torch.dtype | None = None,
    gradients: bool = False,
) -> Graph:
    """Run a model once on tensors that have shapes and no numbers, and record every operation.

    The model is left exactly as found: modes, hooks, gradients, buffers, random state.

    Args:
        model: a module, or a function that makes one; the function's weights are never allocated.
        inputs: the shape of one sample, such as (3, 224, 224); or tensors or `TensorSpec`s, taken as they are;
            several in a list for several arguments, a dict for keyword arguments.
        batch_size: samples in front of each shape; None where shapes are already complete.
        name: what to call the model; its class's name unless given.
        mode: "eval", "train", or "as is".
        dtype: element type of inputs that are given by shape; that of the model's weights unless given.
        gradients: also record what autograd keeps for the backward pass, in `Node.saved`.

    Returns:
        The graph. When the forward pass fails, `Graph.error` says where and why, and the graph is what ran before.

    Raises:
        CaptureError: the model can't be built, or the inputs can't be made.

    >>> graph = capture(torch.nn.Conv2d(3, 10, 5, padding=2), (3, 32, 32))
    >>> graph.macs, graph.parameter_count, graph.shape(graph.outputs[0])
    (768000, 760, (1, 10, 32, 32))
    """
    if not callable(model):
        raise CaptureError(
            f"{model!r} is a {type(model).__name__}: give a torch.nn.Module or a function that makes one, "
            'such as lambda: convscope.nets.build.build("resnet18")'
        )
    built = model if isinstance(model, nn.Module) else build_without_memory(model)
    built = _initialized(built, model, inputs, batch_size, dtype)
    run = _ForwardRun(
        built, inputs, batch_size, name or type(built).__name__, mode, dtype or first_dtype(built), gradients
    )
    graph = _captured(run, model)
    if run.stopped is None or run.misfit or dtype is not None:
        return graph
    for kind in other_dtypes(built, run.dtype, graph.error or ""):
        again = _ForwardRun(built, inputs, batch_size, run.name, mode, kind, gradients)
        found = _captured(again, model)
        if again.stopped is None or again.misfit:
            return replace(found, notes=(*found.notes, f"the input is taken as {str(kind).removeprefix('torch.')}"))
    return graph


def _captured(run: _ForwardRun, model: nn.Module | Callable[[], nn.Module]) -> Graph:
    """Run in the quickest backend in which the forward pass goes through."""
    graph = run.once(Meta())
    # Some forwards insist on one device for all (recurrent layers), on a particular one (autocast), or on numbers.
    if run.stopped is not None and not run.misfit and any(not p.is_meta for p in run.model.parameters()):
        without = _without_weights(run.model)
        if without is not None:
            again = _ForwardRun(without, run.inputs, run.batch_size, run.name, run.mode, run.dtype, run.gradients)
            graph = again.once(Meta())
            run.stopped, run.lacks_literals = again.stopped, again.lacks_literals
    if run.stopped is None and run.lacks_literals:
        return _with_literals(run) or graph
    if run.stopped is not None and not run.misfit:
        with silent_fakes():
            graph = run.once(Fake(_device_of(run.model)))
    if run.stopped is not None and wants_numbers(run.stopped):
        return _for_real(run, model, graph)
    return graph


def _with_literals(run: _ForwardRun) -> Graph | None:
    """Run on fake tensors, on whose device numbers that the forward pass gives are there; None where that fails."""
    with silent_fakes():
        graph = run.once(Fake(_device_of(run.model)))
    failed, run.stopped = run.stopped is not None, None
    return None if failed else graph


@public
@exclusive(None)
def training_memory(
    model: ModelLike,
    input_shape: Inputs | None = None,
    *,
    name: str = "",
    dtype: torch.dtype | None = None,
) -> TrainingMemory:
    """Work out what a training step keeps in memory, from what autograd really saves.

    Args:
        model: a module, left exactly as found; a function that makes one, whose weights are then never allocated; or
            what `convscope inspect` takes: a name, file.py:factory, a run.
        input_shape: the shape of one sample, or several in a list or dict; see `capture`. The model's own unless given.
        name: what to call it; the model's own name, or its class's, unless given.
        dtype: element type of inputs that are given by shape; that of the model's weights unless given.

    Returns:
        The memory by batch size; ask `.at(64, optimizer="adam")` or `.largest_batch(8 * 2**30)`.

    Raises:
        CaptureError: there is no such model, its input shape is unknown, or the forward pass fails in training mode, or
            does other things on another batch size.

    >>> memory = training_memory(torch.nn.Sequential(torch.nn.Linear(100, 10), torch.nn.ReLU()), (100,))
    >>> memory.at(64).saved == 64 * (100 + 10) * 4
    True
    """
    loaded = load(model)
    built = loaded.module if loaded.module is not None else build_without_memory(loaded.factory)
    shape = loaded.inputs(input_shape)
    name = name or loaded.name
    small, large = (
        capture(built, shape, batch_size=size, name=name, mode="train", dtype=dtype, gradients=True)
        for size in _BATCHES
    )
    return TrainingMemory(small, large)


def _for_real(run: _ForwardRun, model: nn.Module | Callable[[], nn.Module], graph: Graph) -> Graph:
    """Run on real numbers, if they are given or fit into memory; otherwise keep the partial graph."""
    weights = graph.parameter_count * 4 if any(p.is_meta for p in run.model.parameters()) else 0
    size = weights + sum(graph.values[value].spec.bytes for value in graph.inputs)
    if size > _LARGEST_REAL:
        return replace(
            graph, error=f"{run.name} reads numbers in its forward pass, and is not run on {byte_size(size)}"
        )
    if weights:
        if isinstance(model, nn.Module):
            return graph
        with exclusive():
            real = model()
        ready = _ForwardRun(real, run.inputs, run.batch_size, run.name, run.mode, run.dtype, run.gradients)
    elif _device_of(run.model).type != "cpu":
        return graph
    else:
        ready = run
    graph = ready.once(Real(), notes=("the forward pass asks for numbers, so it was run for real, on random input",))
    run.stopped, run.misfit = ready.stopped, ready.misfit
    return graph


def _initialized(
    built: nn.Module,
    model: nn.Module | Callable[[], nn.Module],
    inputs: Inputs,
    batch_size: int | None,
    dtype: torch.dtype | None,
) -> nn.Module:
    """Return the model; where it has lazy modules a copy, or a new one, that ran once and has its sizes."""
    kinds: set[type] = set()
    for module in built.modules():
        kinds.update(map(type, module._parameters.values()), map(type, module._buffers.values()))
    if not any(issubclass(kind, UninitializedParameter | UninitializedBuffer) for kind in kinds):
        return built
    lazy = {id(tensor): (path, module, tensor) for path, module in built.named_modules() for tensor in _lazy_of(module)}
    try:
        # torch copies no tensor that has no size yet.
        fresh = {key: type(t)(device=t.device, dtype=t.dtype) for key, (_, _, t) in lazy.items()}
        ready = copy.deepcopy(built, dict(fresh)) if isinstance(model, nn.Module) else model()
        forward = make_inputs(inputs, batch_size=batch_size, dtype=dtype or torch.get_default_dtype(), backend=Real())
        modes = [(module, module.training) for module in ready.modules()]
        with torch.no_grad(), exclusive(None), warnings_ignored():
            ready.eval()(*forward.arguments, **forward.keywords)
    except CaptureError:
        raise
    except Exception as problem:
        path, module, _ = next(iter(lazy.values()))
        where = f"{path or 'the model'} ({type(module).__name__})"
        raise CaptureError(f"{where} has no size yet, and a first run fails: {first_line(problem)}") from problem
    for module, training in modes:
        module.training = training
    return ready


def _lazy_of(module: nn.Module) -> list[Any]:
    held: tuple[dict[str, Any], ...] = (module._parameters, module._buffers)
    return [tensor for tensors in held for tensor in tensors.values() if torch.nn.parameter.is_lazy(tensor)]


def _without_weights(model: nn.Module) -> nn.Module | None:
    """Return a copy of a model with its parameters on the meta device, without copying weights; None if impossible."""
    memo: dict[int, Any] = {
        id(p): nn.Parameter(p.detach().to("meta"), requires_grad=p.requires_grad) for p in model.parameters()
    }
    try:
        return copy.deepcopy(model, memo)
    except Exception:  # whatever a module's attributes raise when they are copied: there are other ways to run it
        return None


def _device_of(model: nn.Module) -> torch.device:
    devices = (p.device for p in model.parameters() if not p.is_meta)
    return next(devices, torch.device("cpu"))


class _ForwardRun:
    """One model and its inputs, ready to be run in any backend.

    `stopped` is the exception that ended the last run, None where it went through; `misfit` whether shapes that do
    not fit, by our own arithmetic, were the reason; `lacks_literals` whether numbers that the forward pass gave are
    not known.
    """

    def __init__(
        self,
        model: nn.Module,
        inputs: Inputs,
        batch_size: int | None,
        name: str,
        mode: CaptureMode,
        dtype: torch.dtype,
        gradients: bool,
    ) -> None:
        self.model = model
        self.inputs = inputs
        self.batch_size = batch_size
        self.name = name
        self.mode = mode
        self.dtype = dtype
        self.gradients = gradients
        self.stopped: BaseException | None = None
        self.misfit = False
        self.lacks_literals = False
        modules = tuple(model.named_modules(remove_duplicate=False))
        self._modules = _each_once(modules)
        self._paths = {id(module): path for path, module in self._modules}
        self._tensors = _named_tensors(modules)

    def once(self, backend: Backend, *, notes: tuple[str, ...] = ()) -> Graph:
        """Run and record; see `capture`."""
        forward = make_inputs(self.inputs, batch_size=self.batch_size, dtype=self.dtype, backend=backend)
        recorder = Recorder({key: (kind, names[0]) for key, (kind, names, _) in self._tensors.items()}, backend)
        calls = ModuleCalls(self._paths)
        given = tuple(recorder.add_input(tensor, tensor_name) for tensor_name, tensor in forward.tensors)

        def enter(place: ModuleCall) -> ModuleCall:
            outer, recorder.place = recorder.place, place
            return outer

        error: str | None = None
        outputs: tuple[int, ...] = ()
        self.stopped = None
        kept = autograd(recorder.pack, gradients=self.gradients)
        with left_as_found(self.model, self.mode):
            try:
                noticed = reads_noticed(recorder.notice_read)
                with watched(calls, enter, recorder.notice_strays), noticed, kept, recorder:
                    result = self.model(*forward.arguments, **forward.keywords)
                recorder.read |= recorder.kept_values()
                outputs = tuple(recorder.value_of(tensor) for tensor in tensors_in(result))
                if not outputs:
                    returned = f"{type(self.model).__name__} returned {without_tensors(result)}"
                    error, notes = (None, (*notes, returned)) if recorder.builder.nodes else (returned, notes)
            except (Exception, SystemExit) as problem:
                self.stopped = problem
                self.misfit = is_misfit(problem, recorder.failure)
                error = explain(problem, recorder.failure, calls) + self._hint()
            finally:
                recorder.saved.restore()
        self.lacks_literals = recorder.lacks_literals
        return self._graph(recorder, calls, given, outputs, error, notes)

    def _hint(self) -> str:
        """Return the correction to suggest for a shape that seems to include the batch."""
        if self.batch_size is None or not isinstance(self.inputs, list | tuple) or not is_shape(self.inputs):
            return ""
        if len(self.inputs) < 4 or self.inputs[0] != 1:
            return ""
        one, given = ("x".join(map(str, sizes)) for sizes in (self.inputs[1:], self.inputs))
        return f" (a shape is that of one sample: {one} rather than {given}?)"

    def _graph(
        self,
        recorder: Recorder,
        calls: ModuleCalls,
        given: tuple[int, ...],
        outputs: tuple[int, ...],
        error: str | None,
        notes: tuple[str, ...],
    ) -> Graph:
        classes = {kind: _class_of(kind) for kind in {type(module) for _, module in self._modules}}
        return Graph(
            name=self.name,
            values=tuple(recorder.builder.values),
            nodes=recorder.kept.on(recorder.builder.nodes),
            modules=tuple(
                ModuleRecord(path, classes[type(module)][0], calls.counts.get(path, 0), classes[type(module)][1])
                for path, module in self._modules
            ),
            parameters=tuple(
                ParameterRecord(
                    names=tuple(names),
                    spec=signature_of(tensor).spec,
                    trainable=kind == "parameter" and tensor.requires_grad,
                    buffer=kind == "buffer",
                    used=key in recorder.touched,
                )
                for key, (kind, names, tensor) in self._tensors.items()
            ),
            inputs=given,
            outputs=outputs,
            error=error,
            notes=(*getattr(self.model, "_convscope_notes", ()), *notes),
            constants=recorder.constants,
            read=tuple(sorted(v for v in recorder.read if recorder.builder.values[v].kind == "activation")),
            strays=_strays(recorder),
        )


def _class_of(kind: type[nn.Module]) -> tuple[str, bool]:
    """Return the name of a module's class, and whether the class is torch's own.

    Registering a parametrization makes a class of its own from the module's: the module's is meant.
    """
    if kind.__module__ == "torch.nn.utils.parametrize" and len(kind.__bases__) == 1:
        kind = kind.__bases__[0]
    return kind.__name__, kind.__module__.startswith("torch.nn.")


def _strays(recorder: Recorder) -> tuple[StrayModule, ...]:
    """Return the modules with parameters that the model does not list, by where they ran and their class."""
    found: dict[tuple[str, str], int] = {}
    for where, kind, parameter in recorder.strays.values():
        found[where, kind] = found.get((where, kind), 0) + parameter.numel()
    return tuple(StrayModule(where, kind, elements) for (where, kind), elements in found.items())


_Modules = tuple[tuple[str, nn.Module], ...]


def _each_once(modules: _Modules) -> _Modules:
    """Return modules by path, those that several paths lead to by the first of them."""
    first: dict[int, tuple[str, nn.Module]] = {}
    for path, module in modules:
        first.setdefault(id(module), (path, module))
    return tuple(first.values())


def _named_tensors(modules: _Modules) -> dict[int, tuple[ValueKind, list[str], torch.Tensor]]:
    """Return the parameters and buffers of modules by identity, each with all its names."""
    named: dict[int, tuple[ValueKind, list[str], torch.Tensor]] = {}
    for path, module in modules:
        prefix = f"{path}." if path else ""
        kinds: tuple[tuple[ValueKind, dict[str, Any]], ...] = (
            ("parameter", module._parameters),
            ("buffer", module._buffers),
        )
        for kind, held in kinds:
            for key, tensor in held.items():
                if tensor is None:
                    continue
                names = named.setdefault(id(tensor), (kind, [], tensor))[1]
                if prefix + key not in names:
                    names.append(prefix + key)
    return named
