"""One forward pass of a model, recorded as a Graph, in any backend."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from convscope.capture.failures import explain, is_misfit
from convscope.capture.inputs import Inputs, is_shape, make_inputs
from convscope.capture.left_as_found import CaptureMode, left_as_found
from convscope.capture.outputs import tensors_in, without_tensors
from convscope.capture.recording.aliasing import signature_of
from convscope.capture.recording.backends import Backend
from convscope.capture.recording.module_calls import ModuleCall, ModuleCalls, watched
from convscope.capture.recording.reads import reads_noticed
from convscope.capture.recording.recorder import Recorder
from convscope.capture.saved import autograd
from convscope.graph.records import Graph, ModuleRecord, ParameterRecord, StrayModule, ValueKind


class ForwardRun:
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
