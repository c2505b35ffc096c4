"""Which layer loses the digits: every layer's numerical error, against the whole network in NumPy at float64.

Two errors are distinguished. A layer's *own* error is what it makes on exact inputs; the error *so far* is what has
piled up from the input to its output. Both are root-mean-square, relative to the layer's exact output.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import log10
from typing import Any

import numpy as np
import torch
from torch import nn

from convscope.api.annotations import Seed
from convscope.api.generators import exclusive
from convscope.api.public import public
from convscope.api.thread_count import threads_of_this_thread
from convscope.arrays import Array
from convscope.capture.capture import capture
from convscope.capture.inputs import Inputs, is_shape, make_inputs
from convscope.capture.load import ModelLike, load
from convscope.capture.recording.backends import Real
from convscope.errors import CaptureError
from convscope.graph.layer_names import LayerNames
from convscope.graph.records import Graph, Node
from convscope.hardware.machine import this_machine
from convscope.hardware.memory_errors import is_out_of_memory, too_large
from convscope.interpret.execution.numpy_executor import operator_of, reads_left_out, run_node
from convscope.interpret.execution.torch_executor import TorchExecutor, as_array
from convscope.interpret.explanation.explain import given_network
from convscope.interpret.explanation.given import Given, in_dtype, network_input
from convscope.nets.onnx.network import OnnxNetwork
from convscope.nets.onnx.runtime import runtime_outputs
from convscope.report.charts import Curve, line_chart
from convscope.report.document import Callout, Document, Figure, Paragraph
from convscope.report.documented import Pictured
from convscope.report.json_values import json_dict
from convscope.report.short_repr import ShortRepr
from convscope.report.svg import Drawing
from convscope.report.table import Column, Row, Table


@dataclass(frozen=True)
class AuditMode:
    """One way of computing: its name, element type and memory format."""

    name: str
    dtype: torch.dtype
    channels_last: bool = False


MODES = (
    AuditMode("fp32", torch.float32),
    AuditMode("fp32 channels-last", torch.float32, channels_last=True),
    AuditMode("bf16", torch.bfloat16),
)
# Operations that compute nothing have no error of their own and get no line.
_NO_ARITHMETIC = frozenset({
    "reshape", "permute", "transpose", "slice", "select", "split", "squeeze", "unsqueeze", "expand", "concat", "stack",
    "pad", "clone", "copy", "cast", "dropout", "unbind",
})  # fmt: skip


@dataclass(frozen=True, eq=False, repr=False)
class LayerError(ShortRepr):
    """One layer's errors, by the mode's name.

    Args:
        layer: its name.
        op: its operation.
        shape: of its output.
        own: error on exact inputs.
        so_far: error at its output when the whole network runs in that mode.
        numpy: whether NumPy computed the exact output; torch in float64 did where False.
    """

    layer: str
    op: str
    shape: tuple[int, ...]
    own: dict[str, float]
    so_far: dict[str, float]
    numpy: bool


@dataclass(frozen=True, eq=False, repr=False)
class Audit(Pictured):
    """The errors of every layer of a network.

    Args:
        name: the model's.
        input_shape: of one sample.
        layers: in the order in which they ran.
        agreement: largest relative difference of any layer between NumPy and torch, both in float64.
        notes: remarks for the reader.
    """

    name: str
    input_shape: tuple[int, ...]
    layers: tuple[LayerError, ...]
    agreement: float
    notes: tuple[str, ...]

    def worst(self, mode: str) -> LayerError:
        """Return the layer with the largest error of its own in a mode; one that is no number counts as infinite."""
        return max(self.layers, key=lambda layer: np.nan_to_num(layer.own[mode], nan=np.inf))

    def to_dict(self) -> dict[str, Any]:
        """Return the audit as JSON's types; an error that is no number is "nan".

        Keys:
            model: the name.
            input_shape: of one sample.
            agreement: the largest relative difference of any layer between NumPy and torch, both in float64.
            worst: the layer with the largest error of its own, by mode.
            layers: name, operation, shape and errors of each, by mode.
            notes: remarks.
        """
        return json_dict({
            "model": self.name,
            "input_shape": list(self.input_shape),
            "agreement": self.agreement,
            "worst": {mode.name: self.worst(mode.name).layer for mode in MODES},
            "layers": [
                {"layer": one.layer, "operation": one.op, "shape": list(one.shape), "own": one.own,
                 "so_far": one.so_far, "numpy": one.numpy}
                for one in self.layers
            ],
            "notes": list(self.notes),
        })  # fmt: skip

    def headline(self) -> str:
        """Return the name, and the digits left at the output in each mode."""
        left = ", ".join(f"{mode.name} {kept(self.layers[-1].so_far[mode.name])}" for mode in MODES)
        return f"{self.name}: digits left at the output: {left}"

    def figure(self) -> Drawing:
        """Draw the decimal digits left after each layer, a curve a mode."""
        numbers = range(1, len(self.layers) + 1)
        digits = {mode.name: [digits_left(layer.so_far[mode.name]) for layer in self.layers] for mode in MODES}
        return line_chart(
            [Curve(name, numbers, left) for name, left in digits.items()],
            title=f"Digits left in {self.name}",
            x_label="layer, in the order of the table",
            y_label="decimal digits",
        )

    def table(self) -> Table:
        """Return a line per layer."""
        columns = [Column("layer"), Column("operation")]
        columns += [Column(f"{mode.name}: own", numeric=True) for mode in MODES]
        columns += [Column(f"{mode.name}: so far", numeric=True) for mode in MODES]
        worst = {self.worst(mode.name).layer for mode in MODES}
        rows = [
            Row(
                (one.layer, one.op.replace("_", " ") + ("" if one.numpy else " *"),
                 *(f"{one.own[m.name]:.1e}" for m in MODES), *(f"{one.so_far[m.name]:.1e}" for m in MODES)),
                "group" if one.layer in worst else "body",
            )
            for one in self.layers
        ]  # fmt: skip
        return Table(tuple(columns), tuple(rows))

    def summary(self) -> list[str]:
        """Return the conclusions from the table, as sentences."""
        lines = [f"NumPy and torch agree in float64 to {self.agreement:.0e}."]
        last = self.layers[-1]
        for mode in MODES:
            worst = self.worst(mode.name)
            lines.append(
                f"{mode.name}: {kept(last.so_far[mode.name])} digits are left at the output; "
                f"{worst.layer} ({worst.op.replace('_', ' ')}) loses the most by itself, {worst.own[mode.name]:.1e}."
            )
        if any(not one.numpy for one in self.layers):
            lines.append("* NumPy does not know this operation: its exact output is torch's in float64.")
        return lines

    def document(self) -> Document:
        """Return what is shown: the errors of every layer, and the conclusions."""
        return Document(
            f"{self.name}: relative error of each layer against NumPy in float64",
            (self.table(), Figure(self.figure)),
            summary=(*map(Paragraph, self.summary()), *(Callout("note", note) for note in self.notes)),
            footer="Made by convscope audit.",
        )


def kept(error: float) -> str:
    """Return the decimal digits that a relative error leaves; "?" where it is no number.

    >>> kept(3.2e-7), kept(0.0), kept(float("nan"))
    ('6.5', 'all', '?')
    """
    digits = digits_left(error)
    return f"{digits:.1f}" if digits is not None else "all" if error == 0 else "?"


def digits_left(error: float) -> float | None:
    """Return the decimal digits that a relative error leaves; None for no error at all, and for NaN."""
    return max(0.0, -log10(error)) if error > 0 else None


@public
@exclusive(None)
def audit(
    model: ModelLike,
    image: Given | None = None,
    *,
    input_shape: Inputs | None = None,
    seed: Seed = 0,
) -> Audit:
    """Measure every layer's numerical error in fp32, in fp32 channels-last and in bf16.

    Args:
        model: what `convscope.explain` takes: a module, a name, a run, an outcome, a predictor.
        image: the input, in any form that `convscope.explain` takes; normal numbers of `input_shape` unless given.
        input_shape: the shape of one sample; the model's own unless given. An ONNX file's inputs also by name.
        seed: of the normal numbers, and of random weights.

    Raises:
        CaptureError: the model can't be found or run, or its input shape is unknown.
        DataError: the input can't be read, or does not have the network's channels or sizes.

    >>> found = audit(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), input_shape=(3, 8, 8))
    >>> [layer.layer for layer in found.layers], found.agreement < 1e-12, found.layers[0].own["bf16"] > 1e-4
    (['0', '1'], True, True)
    """
    loaded = load(model)
    network = given_network(loaded, input_shape if is_shape(input_shape) else None, seed)
    name, module = network.name, network.module
    notes = tuple(filter(None, (loaded.weights_note(seed),)))
    if image is None:
        inputs = _normal_numbers(loaded.inputs(input_shape), network.dtype, seed)
    else:
        given = network_input(image, network)
        inputs, more = loaded.beside(in_dtype(given.tensor, network.dtype, name="the input", network=name))
        notes += (*given.notes, *more)
    graph = capture(module, inputs, name=name)
    if graph.error is not None:
        raise CaptureError(f"{name} does not run on this input: {graph.error}")
    # Threads split sums, so their number decides how these are rounded.
    with threads_of_this_thread(this_machine().cores):
        layers, agreement, outputs, widened = _measure(graph, module, inputs)
    if widened:
        lacking = ", ".join(widened).replace("_", " ")
        notes += (f"torch has no bf16 for {lacking} on the CPU: computed in fp32 on bf16 numbers, and rounded",)
    if isinstance(module, OnnxNetwork):
        notes += (_runtime_note(module, inputs, outputs),)
    return Audit(name, tuple(inputs[0].shape[1:]), tuple(layers), agreement, notes)


def _normal_numbers(inputs: Inputs, dtype: torch.dtype, seed: int) -> list[torch.Tensor]:
    """Return normal numbers for every input; zeros for whole numbers."""
    generator = torch.Generator().manual_seed(seed)
    made = [tensor for _, tensor in make_inputs(inputs, batch_size=1, dtype=dtype, backend=Real()).tensors]
    return [torch.randn(t.shape, generator=generator).to(t.dtype) if t.is_floating_point() else t for t in made]


@np.errstate(divide="ignore", over="ignore", invalid="ignore")  # of a network with infinities
def _measure(
    graph: Graph, module: nn.Module, inputs: Sequence[torch.Tensor]
) -> tuple[list[LayerError], float, list[Array | None], list[str]]:
    """Walk the graph once, with the exact numbers and those of every mode side by side.

    Returns the layers, the agreement, the exact outputs, and the operations that a mode computed in float32.
    """
    exact = TorchExecutor(graph, module, inputs, dtype=torch.float64)
    modes = [TorchExecutor(graph, module, inputs, dtype=m.dtype, channels_last=m.channels_last) for m in MODES]
    names, last_use = LayerNames(graph), {value: node.index for node in graph.nodes for value in node.inputs}
    arrays = {value: as_array(tensor) for value, tensor in exact.known().items()}
    layers: list[LayerError] = []
    widened: dict[str, None] = {}
    agreement = 0.0
    for node in graph.nodes:
        for executor, precision in zip((exact, *modes), ("float64", *(mode.name for mode in MODES)), strict=True):
            if _run(executor, node, names.of_layer(node), precision):
                widened[node.op] = None
        if reads_left_out(graph, node, arrays):
            continue
        known = operator_of(node) is not None
        results = run_node(graph, node, arrays) if known else [exact.array(value) for value in node.outputs]
        arrays.update(zip(node.outputs, results, strict=False))
        output, result = node.outputs[0], results[0]
        own, so_far = {}, {}
        # Comparisons and indices are right or wrong, and have no digits to lose.
        has_digits = graph.values[output].spec.dtype.startswith(("float", "bfloat"))
        if has_digits:
            agreement = max(agreement, error_of(exact.array(output), result))
        measured = has_digits and graph.values[output].kind == "activation" and node.op not in _NO_ARITHMETIC
        for mode, executor in zip(MODES, modes, strict=True):
            if measured:
                so_far[mode.name] = error_of(executor.array(output), result)
                own[mode.name] = error_of(_alone(node, executor, exact, mode), result)
        if measured:
            layers.append(LayerError(names.of_layer(node), node.op, graph.shape(output), own, so_far, known))
        for value in [v for v in node.inputs if last_use[v] == node.index]:
            arrays.pop(value, None)
            for executor in (exact, *modes):
                executor.free(value)
    if not layers:
        raise CaptureError(f"{graph.name} computes nothing that could have an error")
    return layers, agreement, [arrays.get(value) for value in graph.outputs], list(widened)


def _runtime_note(network: OnnxNetwork, inputs: Sequence[torch.Tensor], exact: Sequence[Array | None]) -> str:
    """Return how far onnxruntime's outputs are from the exact ones."""
    try:
        version, found = runtime_outputs(network.plan.path, network.as_in_file(inputs))
    except CaptureError as reason:
        return str(reason)
    errors = [error_of(made, wanted) for made, wanted in zip(found, exact, strict=True) if wanted is not None]
    if not errors:
        return f"onnxruntime {version} runs this file"
    return f"onnxruntime {version} in fp32: {kept(max(errors))} digits are left at the output ({max(errors):.1e})"


def _run(executor: TorchExecutor, node: Node, label: str, precision: str) -> bool:
    """Run a node; return whether it was computed in float32, since torch has no kernel for the precision."""
    widened = False
    try:
        try:
            executor.run(node)
        except RuntimeError as error:
            if not _lacks_bf16(error):
                raise
            widened = True
            for value, numbers in zip(node.outputs, _in_float32(node, executor, executor.tensor), strict=True):
                executor.replace(value, numbers)
    except (RuntimeError, TypeError, IndexError, MemoryError) as error:
        if is_out_of_memory(error):
            raise CaptureError(too_large(f"{label} ({node.op.replace('_', ' ')})", error)) from error
        reason = str(error).strip().splitlines()[0]
        raise CaptureError(f"{label} ({node.op.replace('_', ' ')}) does not run in {precision}: {reason}") from error
    made = executor.array(node.outputs[0]).shape
    if made != executor.graph.shape(node.outputs[0]):
        raise CaptureError(f"{label} ({node.op.replace('_', ' ')}) gives as many numbers as its input's values decide, "
                           "so precisions can't be compared")  # fmt: skip
    return widened


def _lacks_bf16(error: RuntimeError) -> bool:
    return "not implemented for 'BFloat16'" in str(error)


def _in_float32(node: Node, executor: TorchExecutor, read: Callable[[int], torch.Tensor]) -> list[torch.Tensor]:
    """Return a node's results in bfloat16, computed in float32 on the numbers that it reads."""
    given = {value: read(value) for value in node.inputs}
    wide = {value: tensor.float() if tensor.is_floating_point() else tensor for value, tensor in given.items()}
    made = executor.run(node, wide)
    return [tensor.to(torch.bfloat16) if tensor.is_floating_point() else tensor for tensor in made]


def _alone(node: Node, executor: TorchExecutor, exact: TorchExecutor, mode: AuditMode) -> Array:
    """Return the node in a mode, on the exact inputs rounded to the mode's type; weights are as the mode has them."""
    given = {}
    for value in node.inputs:
        if executor.graph.values[value].kind in ("activation", "input"):
            tensor = exact.tensor(value)
            tensor = tensor.to(mode.dtype) if tensor.is_floating_point() else tensor
            if mode.channels_last and tensor.ndim == 4:
                tensor = tensor.contiguous(memory_format=torch.channels_last)
            given[value] = tensor
        else:
            given[value] = executor.tensor(value)
    try:
        made = executor.run(node, given)
    except RuntimeError as error:
        if not _lacks_bf16(error):
            raise
        made = _in_float32(node, executor, given.__getitem__)
    return as_array(made[0])


def error_of(found: Array, exact: Array) -> float:
    """Root-mean-square difference over the root-mean-square of the exact numbers.

    >>> error_of(np.array([1.01, 1.0]), np.array([1.0, 1.0])).__round__(4)
    0.0071
    """
    size = float(np.sqrt(np.square(exact, dtype=np.float64).mean())) if exact.size else 0.0
    difference = float(np.sqrt(np.square(found - exact, dtype=np.float64).mean())) if exact.size else 0.0
    return difference / size if size else difference
