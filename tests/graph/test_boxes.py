"""A walk back in boxes finds what the same walk finds on whole values, bit for bit."""

import numpy as np
import pytest
import torch

from convscope.graph.boxes import in_full, joined_boxes
from convscope.graph.reach_walk import Measure, step_back, walk_back
from convscope.graph.records import Graph
from explored_networks import NETWORKS, opened


def on_whole_values(graph: Graph, value: int, position: tuple[int, ...], measure: Measure) -> dict[int, np.ndarray]:
    """Return the arrays of a walk back that carries whole values."""
    cell = np.zeros(graph.shape(value))
    cell[position] = 1
    arrays = {value: cell}
    for node in reversed(graph.nodes[: graph.values[value].producer + 1]):
        for path in node.paths or ():
            if path.output in arrays:
                array = step_back(arrays[path.output], path.steps, graph.shape(path.source), measure)
                known = arrays.get(path.source)
                together = np.maximum if measure == "reads" else np.add
                arrays[path.source] = array if known is None else together(known, array)
    return arrays


@pytest.mark.parametrize("measure", ["reads", "paths", "share"])
@pytest.mark.parametrize("name", NETWORKS)
def test_boxes_change_nothing(name: str, measure: Measure) -> None:
    torch.manual_seed(0)
    graph, draws = opened(NETWORKS[name]()).graph, np.random.default_rng(0)
    values = [v.index for v in graph.values if v.kind == "activation" and v.producer is not None and v.spec.elements]
    for _ in range(6):
        value = values[int(draws.integers(len(values)))]
        position = tuple(int(draws.integers(size)) for size in graph.shape(value))
        expected, walk = (
            on_whole_values(graph, value, position, measure),
            walk_back(graph, value, position, measure=measure),
        )
        for other, array in expected.items():
            np.testing.assert_allclose(walk.of(other), np.broadcast_to(array, graph.shape(other)), rtol=1e-12)


def test_boxes_are_joined_and_filled() -> None:
    assert joined_boxes(((2, 4), (5, 6)), ((3, 9), None)) == ((2, 9), None)
    assert in_full(np.ones((1, 2)), ((1, 3), None), (4, 2)).tolist() == [[0, 0], [1, 1], [1, 1], [0, 0]]
