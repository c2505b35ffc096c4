"""Capture: run a module once, without memory or arithmetic, and write down its Graph."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from convscope.api.generators import exclusive
from convscope.api.public import public
from convscope.capture.build import build_without_memory
from convscope.capture.forward_run import ForwardRun
from convscope.capture.input_dtypes import first_dtype, other_dtypes
from convscope.capture.inputs import Inputs
from convscope.capture.lazy_modules import initialized
from convscope.capture.left_as_found import CaptureMode
from convscope.capture.load import ModelLike, load
from convscope.capture.recording.backends import Fake, Meta, Real, silent_fakes
from convscope.capture.recording.numbers import wants_numbers
from convscope.errors import CaptureError
from convscope.graph.memory import TrainingMemory
from convscope.graph.records import Graph
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
    built = initialized(built, model, inputs, batch_size, dtype)
    run = ForwardRun(
        built, inputs, batch_size, name or type(built).__name__, mode, dtype or first_dtype(built), gradients
    )
    graph = _captured(run, model)
    if run.stopped is None or run.misfit or dtype is not None:
        return graph
    for kind in other_dtypes(built, run.dtype, graph.error or ""):
        again = ForwardRun(built, inputs, batch_size, run.name, mode, kind, gradients)
        found = _captured(again, model)
        if again.stopped is None or again.misfit:
            return replace(found, notes=(*found.notes, f"the input is taken as {str(kind).removeprefix('torch.')}"))
    return graph


def _captured(run: ForwardRun, model: nn.Module | Callable[[], nn.Module]) -> Graph:
    """Run in the quickest backend in which the forward pass goes through."""
    graph = run.once(Meta())
    # Some forwards insist on one device for all (recurrent layers), on a particular one (autocast), or on numbers.
    if run.stopped is not None and not run.misfit and any(not p.is_meta for p in run.model.parameters()):
        without = _without_weights(run.model)
        if without is not None:
            again = ForwardRun(without, run.inputs, run.batch_size, run.name, run.mode, run.dtype, run.gradients)
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


def _with_literals(run: ForwardRun) -> Graph | None:
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


def _for_real(run: ForwardRun, model: nn.Module | Callable[[], nn.Module], graph: Graph) -> Graph:
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
        ready = ForwardRun(real, run.inputs, run.batch_size, run.name, run.mode, run.dtype, run.gradients)
    elif _device_of(run.model).type != "cpu":
        return graph
    else:
        ready = run
    graph = ready.once(Real(), notes=("the forward pass asks for numbers, so it was run for real, on random input",))
    run.stopped, run.misfit = ready.stopped, ready.misfit
    return graph


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
