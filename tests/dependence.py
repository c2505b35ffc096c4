"""Which inputs each output depends on: by the recorded paths, and by the Jacobian; both as boolean matrices."""

import numpy as np
import torch
from torch import nn

from convscope.geometry.relation import Concat, Expand, Mix, Permute, Reshape, Taps


class Function(nn.Module):
    """A function of tensors as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *tensors):
        return self.function(*tensors)


def apply(step, depends):
    """One step on an array of shape (positions..., input elements)."""
    if isinstance(step, Reshape):
        return depends.reshape(*step.shape, depends.shape[-1])
    if isinstance(step, Permute):
        return depends.transpose(*step.order, depends.ndim - 1)
    if isinstance(step, Expand):
        return np.broadcast_to(depends, (*step.shape, depends.shape[-1]))
    moved = np.moveaxis(depends, step.axis, 0)
    if isinstance(step, Mix):
        size = moved.shape[0] // step.groups
        grouped = moved.reshape(step.groups, size, *moved.shape[1:]).any(axis=1)
        result = np.repeat(grouped, step.size // step.groups, axis=0)
    elif isinstance(step, Taps):
        table = step.table
        assert table.input_size == moved.shape[0]
        result = np.zeros((table.output_size, *moved.shape[1:]), dtype=bool)
        for u, (row, inside) in enumerate(zip(table.positions, table.inside, strict=True)):
            result[u] = moved[row[inside]].any(axis=0)
    else:
        assert isinstance(step, Concat)
        assert moved.shape[0] == step.length
        result = np.zeros((step.size, *moved.shape[1:]), dtype=bool)
        result[step.offset : step.offset + step.length] = moved
    return np.moveaxis(result, 0, step.axis)


def recorded(graph, output, source):
    """Dependence of one value on an input, by composing the paths of all nodes: (output elements, input elements)."""
    total = graph.values[source].spec.elements
    by_value = {source: np.eye(total, dtype=bool).reshape(*graph.shape(source), total)}
    for node in graph.nodes:
        assert node.paths is not None, f"{node.target} is unknown"
        for path in node.paths:
            depends = by_value.get(path.source)
            if depends is None:
                continue
            for step in path.steps:
                depends = apply(step, depends)
            assert depends.shape[:-1] == graph.shape(path.output), (node.target, path)
            known = by_value.get(path.output)
            by_value[path.output] = depends if known is None else known | depends
    if output not in by_value:
        return np.zeros((graph.values[output].spec.elements, total), dtype=bool)
    return by_value[output].reshape(-1, total)


def measured(function, tensors, which=0, output=0):
    """Support of the Jacobian of one output with respect to one tensor, over a few random points."""
    support = None
    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)
        points = [
            torch.rand(t.shape, dtype=torch.float64, generator=generator) + 0.5 if t.is_floating_point() else t
            for t in tensors
        ]

        def one(x, points=points):
            result = function(*points[:which], x, *points[which + 1 :])
            return result[output] if isinstance(result, tuple | list) else result

        jacobian = torch.autograd.functional.jacobian(one, points[which])
        matrix = jacobian.reshape(-1, points[which].numel()).abs().numpy() > 1e-12
        support = matrix if support is None else support | matrix
    return support
