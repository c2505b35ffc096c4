"""The numbers in a Graph: torch's own, computed node by node from the records, in any precision and memory format.

A Graph holds no data. The executor runs its operations again with the model's weights, only those that are asked for,
and keeps every value, so that any cell can be looked at. In float32 it gives the model's own outputs, bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from itertools import chain
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import nn
from torch.nn.parameter import is_lazy

from convscope.arrays import Array
from convscope.capture.failures import QUANTIZED
from convscope.errors import CaptureError
from convscope.graph.records import Argument, Graph, Node, Ref, Value
from convscope.hardware.memory_errors import is_out_of_memory, too_large
from convscope.interpret.execution.network_head import read_by_head_alone
from convscope.interpret.execution.torch_operation import torch_operation, without_writing

ZeroedPart: TypeAlias = tuple[int, tuple[int, ...]]
"""An axis, and indices along it."""

_USUAL = (torch.float32, torch.float64)
_TORCH_WORDS = {"dtype": torch, "layout": torch, "memory_format": torch}


class TorchExecutor:
    """Torch's numbers for the values of a graph.

    Args:
        graph: a captured network.
        model: the module that was captured, with its weights.
        inputs: the model's input tensors, in the order of `graph.inputs`.
        dtype: element type of floating-point inputs and weights; as they are when None.
        channels_last: lay four-dimensional inputs and weights out channels-last.
        gradients: let autograd follow the operations from the inputs on, so that `torch.autograd.grad` gives the
            gradient of any number with respect to any value; weights get none.
        detached: let no gradient through what the forward pass detached.
        weights: numbers in place of the model's parameters and buffers, by name and of the same shape.
        in_float32: operations that are computed in float32 whatever `dtype` is, by their indices.
        zeroed: parts of values that are 0 whatever the operations make: by value an axis and indices along it.

    Raises:
        CaptureError: inputs that are not those of the graph, or weights without numbers.
    """

    def __init__(
        self,
        graph: Graph,
        model: nn.Module,
        inputs: Sequence[torch.Tensor],
        *,
        dtype: torch.dtype | None = None,
        channels_last: bool = False,
        gradients: bool = False,
        detached: bool = False,
        weights: Mapping[str, torch.Tensor] | None = None,
        in_float32: frozenset[int] = frozenset(),
        zeroed: Mapping[int, ZeroedPart] | None = None,
    ) -> None:
        self.graph = graph
        self._in_float32, self._detached = in_float32, detached
        self._zeroed = dict(zeroed or {})
        self._dtype, self._channels_last, self._gradients = dtype, channels_last, gradients
        self._types = _types_in(graph)
        shapes = [graph.shape(value) for value in graph.inputs]
        if [tuple(tensor.shape) for tensor in inputs] != shapes:
            given = ", ".join(str(tuple(tensor.shape)) for tensor in inputs)
            raise CaptureError(f"the graph was captured on inputs of {', '.join(map(str, shapes))}, got {given}")
        named = dict(weights or {})
        if any(value.name not in named for value in _weights_of(graph)):
            own = chain(model.named_parameters(remove_duplicate=False), model.named_buffers(remove_duplicate=False))
            named = {**dict(own), **named}
        self._tensors: dict[int, torch.Tensor] = {}
        with self._autograd():
            for index, tensor in zip(graph.inputs, inputs, strict=True):
                self._tensors[index] = self._laid_out(tensor)
                if gradients and tensor.is_floating_point():
                    self._tensors[index].requires_grad_()
            for index, numbers in graph.constants.items():
                kind = getattr(torch, graph.values[index].spec.dtype)
                self._tensors[index] = self._laid_out(torch.from_numpy(np.array(numbers)).to(kind))
            as_they_are = read_by_head_alone(graph, in_float32) if in_float32 else ()
            for value in _weights_of(graph):
                tensor = named[value.name]
                if is_lazy(tensor):
                    raise CaptureError(f"{value.name} has no size yet: run the network once, or load weights into it")
                if tensor.is_meta:
                    raise CaptureError(
                        f"{value.name} is on the meta device, which holds no numbers: load weights into it"
                    )
                self._tensors[value.index] = tensor.detach() if value.index in as_they_are else self._laid_out(tensor)

    def tensor(self, value: int) -> torch.Tensor:
        """Return the numbers of a value, as torch has them."""
        if value not in self._tensors:
            for node in self.nodes_to_run(value):
                self.run_on_input(node)
        return self._tensors[value]

    def array(self, value: int) -> Array:
        """Return the numbers of a value in NumPy; floating point as float64."""
        return as_array(self.tensor(value))

    def known(self) -> dict[int, torch.Tensor]:
        """Return the values known before execution: inputs, parameters and buffers."""
        return {index: tensor for index, tensor in self._tensors.items() if self.graph.values[index].producer is None}

    def free(self, value: int) -> None:
        """Free a value's memory; it is computed again where it is asked for."""
        if self.graph.values[value].producer is not None:
            self._tensors.pop(value, None)

    def replace(self, value: int, numbers: torch.Tensor) -> None:
        """Give a value other numbers, which the operations after it read; those that ran already are not run again.

        Raises:
            CaptureError: numbers of another shape.
        """
        if tuple(numbers.shape) != self.graph.shape(value):
            raise CaptureError(
                f"{self.graph.values[value].name} is of shape {self.graph.shape(value)}, got {tuple(numbers.shape)}"
            )
        with self._autograd():
            self._tensors[value] = self._laid_out(numbers)

    def with_weights(self, weights: Mapping[str, torch.Tensor]) -> TorchExecutor:
        """Return the same run with other numbers in place of some parameters and buffers, by name.

        Values that depend on none of these are shared by both runs; the others are computed when they are asked for.
        """
        other = copy(self)
        given = {value.index: weights[value.name] for value in _weights_of(self.graph) if value.name in weights}
        changed = set(given)
        for node in self.graph.nodes:
            if not changed.isdisjoint(node.inputs):
                changed.update(node.outputs)
        other._tensors = {index: tensor for index, tensor in self._tensors.items() if index not in changed}
        with other._autograd():
            other._tensors.update((index, other._laid_out(numbers)) for index, numbers in given.items())
        return other

    def run(
        self, node: Node, given: Mapping[int, torch.Tensor] | None = None, *, overwrite: bool = False
    ) -> list[torch.Tensor]:
        """Run one operation; on the executor's own numbers, which it adds to, unless others are `given`.

        With `overwrite` an in-place operation writes into its input, which nothing may need any more; never into
        weights or inputs.
        """
        with self._autograd():
            return self._run(node, self._tensors if given is None else given, overwrite=overwrite)

    def run_on_input(self, node: Node, *, overwrite: bool = False) -> None:
        """Run one operation on the executor's own numbers, as `run` does, with torch's errors as ours.

        Raises:
            CaptureError: it does not run on these numbers, or not in the memory that is free.
        """
        if node.target.startswith("quantized."):
            raise CaptureError(f"{node.module or 'the model'} is quantized: {QUANTIZED}")
        try:
            self.run(node, overwrite=overwrite)
        except (RuntimeError, IndexError, MemoryError) as reason:
            what = f"{node.module or 'the model'}: {node.op}"
            if is_out_of_memory(reason):
                raise CaptureError(too_large(what, reason)) from reason
            # Shapes alone do not show an index in the numbers that is beyond its axis.
            why = str(reason).partition("\n")[0]
            raise CaptureError(f"{what} does not run on this input: {why}") from reason

    def _run(self, node: Node, tensors: Mapping[int, torch.Tensor], *, overwrite: bool) -> list[torch.Tensor]:
        try:
            outputs = self._call(node, tensors, overwrite=overwrite)
        except (AttributeError, KeyError) as missing:
            raise CaptureError(f"{node.module or 'the model'}: {node.target} can't be run again: {missing}") from None
        if self._zeroed:
            outputs = [self._without(value, made) for value, made in zip(node.outputs, outputs, strict=True)]
        if tensors is self._tensors:
            self._tensors.update(zip(node.outputs, outputs, strict=True))
        return outputs

    def _without(self, value: int, made: torch.Tensor) -> torch.Tensor:
        """Return a value's numbers, 0 in the parts that are zeroed."""
        if value not in self._zeroed:
            return made
        axis, places = self._zeroed[value]
        return made.index_fill(axis, torch.tensor(places, device=made.device), 0)

    @contextmanager
    def _autograd(self) -> Iterator[None]:
        """Follow operations for their gradients, or make nothing that a gradient needs."""
        if self._gradients:
            with torch.inference_mode(False), torch.enable_grad():
                yield
        else:
            with torch.inference_mode():
                yield

    def _call(self, node: Node, tensors: Mapping[int, torch.Tensor], *, overwrite: bool = False) -> list[torch.Tensor]:
        operation = torch_operation(node.target)
        arguments = {name: self._argument(name, value, tensors) for name, value in node.arguments.items()}
        if self._detached:
            _detach(arguments, node.detached)
        dtype = self._dtype
        if node.index in self._in_float32:
            arguments, dtype = {name: _in_float32(value) for name, value in arguments.items()}, None
        written = operation.written
        if written and not overwrite:
            # An in-place operation overwrites what is a value of its own in the graph: it writes elsewhere.
            pure = without_writing(node.target, arguments)
            if pure is None:
                arguments.update((name, _copied(arguments[name])) for name in written)
            operation = pure or operation
        elif written:
            # Beside its input it may update what the model holds, such as the range that an observer has seen.
            held = [name for name in written if self._is_held(node.arguments.get(name))]
            arguments.update((name, _copied(arguments[name])) for name in held)
        of_floats = any(t.is_floating_point() for t in _tensors_in(list(arguments.values())))
        if dtype and of_floats and arguments.get("dtype") in self._types:  # of a sum, a softmax: the type it works in
            arguments["dtype"] = dtype
        result = operation(arguments)
        if "output_mask" in arguments:  # of no samples, torch makes the gradients too that are not asked for
            result = [made for made, asked in zip(result, arguments["output_mask"], strict=True) if asked]
        outputs = _tensors_in(result)
        if not outputs:
            outputs = _tensors_in([arguments[name] for name in written])
        made_here = node.op == "cast" or not of_floats
        return [self._as_asked(output) for output in outputs] if dtype and made_here else outputs

    def _as_asked(self, made: torch.Tensor) -> torch.Tensor:
        """Return floating-point numbers that the forward pass made itself, such as coordinates, in the asked type."""
        return made.to(self._dtype) if made.dtype in self._types else made

    def _argument(self, name: str, value: Argument, tensors: Mapping[int, torch.Tensor]) -> Any:
        if isinstance(value, Ref):
            if value.value not in tensors:
                constant = self.graph.values[value.value]
                raise CaptureError(
                    f"the model uses a tensor of shape {constant.spec.shape} that is neither parameter nor buffer, "
                    "so its numbers are not known: register it with register_buffer, or a layer in nn.ModuleList"
                )
            return tensors[value.value]
        if isinstance(value, tuple):
            return [self._argument(name, item, tensors) for item in value]
        if name in _TORCH_WORDS and isinstance(value, str):
            return getattr(torch, value)
        return torch.device("cpu") if name == "device" and isinstance(value, str) else value

    def _is_held(self, argument: Argument) -> bool:
        """Return whether an argument is or holds numbers of the model or of the caller, which no operation made."""
        if isinstance(argument, Ref):
            return self.graph.values[argument.value].producer is None
        return isinstance(argument, tuple) and any(map(self._is_held, argument))

    def nodes_to_run(self, value: int) -> list[Node]:
        """Return the nodes that lead to a value and have not run, in order; none before a value that was replaced."""
        waiting, nodes = [value], set()
        while waiting:
            index = waiting.pop()
            producer = self.graph.values[index].producer
            if index in self._tensors or producer is None or producer in nodes:
                continue
            nodes.add(producer)
            waiting.extend(self.graph.nodes[producer].inputs)
        return [self.graph.nodes[index] for index in sorted(nodes)]

    def _laid_out(self, tensor: torch.Tensor) -> torch.Tensor:
        # Autograd follows no tensor that was made in inference mode.
        tensor = tensor.clone() if self._gradients and tensor.is_inference() else tensor.detach()
        return laid_out(tensor, self._dtype, channels_last=self._channels_last)


def _types_in(graph: Graph) -> frozenset[torch.dtype]:
    """Return the types in which a network computes: the usual ones, and that of its input where it is another."""
    own = {getattr(torch, graph.values[value].spec.dtype) for value in graph.inputs}
    return frozenset({*_USUAL, *(kind for kind in own if kind.is_floating_point)})


def _weights_of(graph: Graph) -> Iterator[Value]:
    return (value for value in graph.values if value.kind in ("parameter", "buffer") and value.producer is None)


def laid_out(tensor: torch.Tensor, dtype: torch.dtype | None, *, channels_last: bool) -> torch.Tensor:
    """Return floating-point numbers in a type unless it is None, and four-dimensional ones channels-last if asked."""
    if dtype is not None and tensor.is_floating_point():
        tensor = tensor.to(dtype)
    return tensor.contiguous(memory_format=torch.channels_last) if channels_last and tensor.ndim == 4 else tensor


def as_array(tensor: torch.Tensor) -> Array:
    """Return a tensor in NumPy; floating point as float64."""
    tensor = tensor.detach().resolve_conj().resolve_neg()
    array: Array = (tensor.double() if tensor.is_floating_point() else tensor).cpu().numpy()
    return array


def _tensors_in(result: Any) -> list[torch.Tensor]:
    if isinstance(result, torch.Tensor):
        return [result]
    return [tensor for item in result or () for tensor in _tensors_in(item)] if isinstance(result, list | tuple) else []


def _detach(arguments: dict[str, Any], places: Sequence[str]) -> None:
    """Detach arguments, and tensors in lists, see `Node.detached`."""
    for place in places:
        name, _, number = place.partition(".")
        if number:
            arguments[name][int(number)] = arguments[name][int(number)].detach()
        else:
            arguments[name] = arguments[name].detach()


def _in_float32(argument: Any) -> Any:
    if isinstance(argument, list):
        return [_in_float32(item) for item in argument]
    floats = isinstance(argument, torch.Tensor) and argument.is_floating_point()
    return argument.float() if floats else argument


def _copied(argument: Any) -> Any:
    return [item.clone() for item in argument] if isinstance(argument, list) else argument.clone()
