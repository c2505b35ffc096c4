"""Capture: run a module once, without memory or arithmetic, and write down its Graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_leaves

from convscope.capture.build import build_without_memory
from convscope.capture.inputs import Inputs, make_inputs
from convscope.capture.left_as_found import left_as_found, quiet
from convscope.capture.mode import Mode
from convscope.capture.module_calls import ModuleCalls, watched
from convscope.capture.recorder import NeedsNumbers, Place, Recorder, World
from convscope.graph.records import Graph, ModuleRecord, ParameterRecord, TensorSpec, ValueKind


def capture(
    model: nn.Module | Callable[[], nn.Module],
    inputs: Inputs,
    *,
    batch_size: int | None = 1,
    name: str = "",
    mode: Mode = "eval",
    dtype: torch.dtype | None = None,
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

    Returns:
        The graph. When the forward pass fails, `Graph.error` says where and why, and the graph is what ran before.

    Raises:
        CaptureError: the model can't be built, or the inputs can't be made.

    >>> graph = capture(torch.nn.Conv2d(3, 10, 5, padding=2), (3, 32, 32))
    >>> graph.macs, graph.parameter_count, graph.shape(graph.outputs[0])
    (768000, 760, (1, 10, 32, 32))
    """
    built = model if isinstance(model, nn.Module) else build_without_memory(model)
    name = name or type(built).__name__
    run = _Run(built, inputs, batch_size, name, mode, dtype or _weights_dtype(built))
    try:
        return run.once("meta", ())
    except NeedsNumbers as needed:
        reason = f"the forward pass asks for numbers ({needed}), so it was run for real"
    if any(p.is_meta for p in built.parameters()):
        return run.once("meta", (), numbers_missing=True)
    return run.once("real", (reason,))


def _weights_dtype(model: nn.Module) -> torch.dtype:
    """The element type of the model's first weight with a fractional part; float32 where there is none."""
    return next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)


class _Run:
    """One model and its inputs, ready to be run in either world."""

    def __init__(
        self, model: nn.Module, inputs: Inputs, batch_size: int | None, name: str, mode: Mode, dtype: torch.dtype
    ) -> None:
        self.model = model
        self.inputs = inputs
        self.batch_size = batch_size
        self.name = name
        self.mode = mode
        self.dtype = dtype
        self.paths = {id(module): path for path, module in model.named_modules()}
        self.named = _named_tensors(model)

    def once(self, world: World, notes: tuple[str, ...], *, numbers_missing: bool = False) -> Graph:
        """Run and record; see `capture`."""
        device = "meta" if world == "meta" else "cpu"
        forward = make_inputs(self.inputs, batch_size=self.batch_size, device=device, dtype=self.dtype)
        recorder = Recorder({key: (kind, names[0]) for key, (kind, names, _) in self.named.items()}, world)
        calls = ModuleCalls(self.paths)
        given = tuple(recorder.add_input(tensor, tensor_name) for tensor_name, tensor in forward.tensors)

        def enter(place: Place) -> Place:
            outer, recorder.place = recorder.place, place
            return outer

        error: str | None = None
        outputs: tuple[int, ...] = ()
        with left_as_found(self.model, self.mode):
            try:
                with watched(calls, enter), torch.no_grad(), quiet(), recorder:
                    result = self.model(*forward.arguments, **forward.keywords)
                    outputs = _outputs(result, recorder)
            except NeedsNumbers as needed:
                if not numbers_missing:
                    raise
                where = recorder.place.path or "the model"
                error = f"{where} asks for the numbers in a tensor ({needed}), which a model without weights lacks"
            except Exception as problem:
                error = _explain(problem, recorder, calls)
            finally:
                recorder.restore()
        return self._graph(recorder, calls, given, outputs, error, notes)

    def _graph(
        self,
        recorder: Recorder,
        calls: ModuleCalls,
        given: tuple[int, ...],
        outputs: tuple[int, ...],
        error: str | None,
        notes: tuple[str, ...],
    ) -> Graph:
        modules = tuple(
            ModuleRecord(path, type(module).__name__, calls.counts.get(path, 0))
            for path, module in self.model.named_modules()
        )
        parameters = tuple(
            ParameterRecord(
                names=tuple(names),
                spec=TensorSpec(tuple(tensor.shape), str(tensor.dtype).removeprefix("torch.")),
                trainable=kind == "parameter" and tensor.requires_grad,
                buffer=kind == "buffer",
                used=key in recorder.touched,
            )
            for key, (kind, names, tensor) in self.named.items()
        )
        return Graph(
            name=self.name,
            values=tuple(recorder.values),
            nodes=tuple(recorder.nodes),
            modules=modules,
            parameters=parameters,
            inputs=given,
            outputs=outputs,
            error=error,
            notes=notes,
        )


def _named_tensors(model: nn.Module) -> dict[int, tuple[ValueKind, list[str], torch.Tensor]]:
    """Parameters and buffers by identity, each with all its names."""
    named: dict[int, tuple[ValueKind, list[str], torch.Tensor]] = {}
    for path, module in model.named_modules(remove_duplicate=False):
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


def _outputs(result: Any, recorder: Recorder) -> tuple[int, ...]:
    values = (recorder.value_of(leaf) for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor))
    return tuple(value for value in values if value is not None)


def _explain(problem: Exception, recorder: Recorder, calls: ModuleCalls) -> str:
    """One line: which module, which operation, which shapes, and the first line of what went wrong."""
    said = str(problem).strip().splitlines()
    message = said[0] if said else type(problem).__name__
    path, kind, shapes = calls.failed or ("", "", ())
    where = f"{path} ({kind})" if path else kind or "the model"
    if recorder.failure is not None:
        shapes = recorder.failure.shapes
        operation = recorder.failure.target.split(".")[1]
        return f"{where}: {operation} on {_shapes(shapes)} failed: {message}"
    given = f" on {_shapes(shapes)}" if shapes else ""
    return f"{where} failed{given}: {message}"


def _shapes(shapes: tuple[tuple[int, ...], ...]) -> str:
    return ", ".join("x".join(map(str, shape)) or "a number" for shape in shapes)
