"""Short ways to ask a module for its receptive fields, for tests."""

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from convscope.capture.capture import capture
from convscope.graph.propagate import Reaches, propagate
from convscope.graph.reach import AxisReach
from convscope.graph.reach_walk import Measure, walk_back
from convscope.graph.receptive_field import ReceptiveField, summarise
from convscope.graph.records import Graph


class Run(nn.Module):
    """A module from a function, so that a case reads as the expression that it is about."""

    def __init__(self, run: Callable[..., torch.Tensor], *parts: nn.Module) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.run = run

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.run(x, *self.parts)


def fields_of(model: nn.Module, shape: tuple[int, ...]) -> tuple[Graph, Reaches]:
    graph = capture(model, shape)
    assert graph.error is None
    return graph, propagate(graph)


def output_reach(model: nn.Module, shape: tuple[int, ...], *, axis: int = 2) -> AxisReach:
    graph, reaches = fields_of(model, shape)
    found = reaches.of(graph.outputs[0], (graph.inputs[0], axis))
    assert found is not None
    return found


def output_field(model: nn.Module, shape: tuple[int, ...], *, axis: int = 2) -> ReceptiveField:
    found = summarise(output_reach(model, shape, axis=axis))
    assert found is not None
    return found


def output_mask(
    model: nn.Module, shape: tuple[int, ...], position: tuple[int, ...], measure: Measure = "reads"
) -> np.ndarray:
    graph = capture(model, shape)
    return walk_back(graph, graph.outputs[0], position, measure=measure).map(graph.inputs[0])
