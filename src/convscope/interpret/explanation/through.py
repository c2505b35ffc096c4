"""A layer's one computation, seen through the moves before and after it, so that a cell has the layer's own positions.

Torch runs a `MaxPool1d` as unsqueeze, a two-dimensional pooling, squeeze; a `Linear` on a map between two reshapes; a
convolution with circular padding after writing the padded map. Each element of what the layer reads is given a code,
the moves are run on the codes, and the codes that come out say where each number came from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod

import numpy as np

from convscope.arrays import Array
from convscope.graph.layer_groups import LayerNodes
from convscope.graph.records import Graph, Node
from convscope.interpret.execution.numpy_executor import NUMPY_OPERATORS, aten_name, resolved
from convscope.interpret.explanation.by_place import MOVES
from convscope.interpret.explanation.worked import Coordinates, Operands, Worked, choice_of

UNWRITTEN = "new_empty"


def main_position(graph: Graph, layer: LayerNodes, position: Coordinates) -> Coordinates | None:
    """Return where the number at a position of the layer's output is in its main operation's output.

    None where the layer's output is not made of the main operation's numbers alone.
    """
    start = layer.main.outputs[0]
    if layer.output == start:
        return position
    shape = graph.shape(start)
    codes = {start: np.arange(1, prod(shape) + 1).reshape(shape)}
    after = [node for node in layer.nodes if node.index > layer.main.index]
    found = _run(after, codes)
    if not found or layer.output not in codes:
        return None
    code = int(codes[layer.output][position])
    return tuple(int(i) for i in np.unravel_index(code - 1, shape)) if code > 0 else None


def as_the_layer_reads(graph: Graph, layer: LayerNodes, worked: Worked) -> Worked:
    """Return the same cell with its operands at their places in what the layer reads, padding left out."""
    before = [node for node in layer.nodes if node.index < layer.main.index]
    made = {output for node in before for output in node.outputs}
    if not any(one.value in made for one in worked.operands):
        return worked
    codes: dict[int, Array] = {}
    starts: list[tuple[int, int]] = []
    first = 1  # 0 is left for padding
    for value in dict.fromkeys(v for node in before for v in node.inputs if v not in made):
        shape = graph.shape(value)
        codes[value] = np.arange(first, first + prod(shape)).reshape(shape)
        starts.append((first, value))
        first += prod(shape)
    if not _run(before, codes):
        return worked
    operands = tuple(_moved(graph, one, codes, starts) if one.value in made else one for one in worked.operands)
    if worked.winner is None:
        return replace(worked, operands=operands)
    taken = int(np.ravel_multi_index(worked.winner, worked.operands[0].numbers.shape))  # the order stays
    return choice_of(operands[0], flat=taken, which=worked.chosen)


def _run(nodes: Sequence[Node], codes: dict[int, Array]) -> bool:
    """Run moves on codes; False where one of the operations is none."""
    for node in nodes:
        name = aten_name(node)
        if name == UNWRITTEN:
            size = node.arguments["size"]
            assert isinstance(size, tuple)
            codes[node.outputs[0]] = np.zeros([int(str(n)) for n in size], dtype=np.int64)
            continue
        if any(value not in codes for value in node.inputs):
            continue  # it moves something else, such as the indices of the maxima
        if name not in MOVES or (name == "constant_pad_nd" and node.arguments.get("value")):
            return False
        if name == "_to_copy":
            codes[node.outputs[0]] = codes[node.inputs[0]]  # of another type they would not be the same codes
            continue
        settings = {key: resolved(argument, codes) for key, argument in node.arguments.items()}
        result = NUMPY_OPERATORS[name](settings)
        codes.update(zip(node.outputs, result if isinstance(result, list) else [result], strict=False))
    return True


def _moved(graph: Graph, operands: Operands, codes: dict[int, Array], starts: Sequence[tuple[int, int]]) -> Operands:
    """Operands of a moved value at their places in the value that was moved; as they are where it was several."""
    if operands.value not in codes:
        return operands
    shape = operands.numbers.shape
    table = codes[operands.value]
    places = tuple(np.clip(axis, 0, size - 1) for axis, size in zip(operands.positions, table.shape, strict=True))
    found = np.broadcast_to(table[places], shape)
    inside = np.broadcast_to(operands.inside, shape) & (found > 0)
    read = found[inside]
    if not read.size:
        return operands
    start, value = max(pair for pair in starts if pair[0] <= int(read.min()))
    source = graph.shape(value)
    if int(read.max()) >= start + prod(source):
        return operands
    positions = np.unravel_index(np.where(inside, found - start, 0), source)
    # A window along an axis that the layer does not have is dropped: (channels, 1, taps) becomes (channels, taps).
    while 1 < len(shape) > len(source) - 1 and 1 in shape[1:]:
        axis = shape.index(1, 1)
        shape = (*shape[:axis], *shape[axis + 1 :])
    weights = operands.weights
    return Operands(
        value,
        operands.numbers.reshape(shape),
        tuple(axis.reshape(shape) for axis in positions),
        inside.reshape(shape),
        None if weights is None else np.broadcast_to(weights, operands.numbers.shape).reshape(shape),
        operands.role,
    )
