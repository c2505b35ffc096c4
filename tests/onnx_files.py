"""ONNX files for the tests: exported by torch, or put together node by node."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from convscope.graph.records import Graph

SETS = 20


def exported(network: nn.Module, shape: Sequence[int], path: Path, *, dynamo: bool = False) -> Path:
    """Export a network on one sample of a shape, by the new exporter or the older one."""
    new = {"external_data": False, "verbose": False} if dynamo else {}
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        torch.onnx.export(network, (torch.zeros(1, *shape),), path, dynamo=dynamo, **new)
    return path


def trained(network: nn.Module) -> nn.Module:
    """Give every vector of a network other numbers, so that no two are equal and no bias is 0."""
    generator = torch.Generator().manual_seed(0)
    for tensor in (*network.parameters(), *network.buffers()):
        if tensor.ndim == 1 and tensor.is_floating_point():
            tensor.data.uniform_(0.5, 1.5, generator=generator)
    return network.eval()


def costs(graph: Graph) -> list[tuple[tuple[int, ...], int]]:
    """Return the shape and MACs of every operation that has any."""
    return sorted((graph.shape(node.outputs[0]), node.macs) for node in graph.nodes if node.macs)


def folded(network: Graph, file: Graph) -> int:
    """Return how many parameters are gone by folding: in each channel of a normalization after a convolution."""
    gone, convolutions = 0, {n.outputs[0]: n for n in network.nodes if n.op == "convolution"}
    normalized = [n for n in network.nodes if n.op == "batch_norm" and n.inputs[0] in convolutions]
    kept = sum(n.op == "batch_norm" for n in file.nodes)
    if kept + len(normalized) != sum(n.op == "batch_norm" for n in network.nodes):
        return 0
    for node in normalized:
        biased = convolutions[node.inputs[0]].arguments["bias"] is not None
        gone += network.shape(node.outputs[0])[1] * (2 if biased else 1)
    return gone


def made(
    path: Path,
    nodes: Sequence[Any],
    inputs: Mapping[str, Sequence[int | str]],
    outputs: Sequence[str],
    tensors: Mapping[str, Any] | None = None,
    **more: Any,
) -> Path:
    """Write a file of nodes; `more` is what `onnx.helper.make_model` takes beside."""
    from onnx import TensorProto, helper, numpy_helper

    graph = helper.make_graph(
        list(nodes),
        "graph",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)) for name, shape in inputs.items()],
        [helper.make_value_info(name, helper.make_tensor_type_proto(TensorProto.FLOAT, None)) for name in outputs],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in (tensors or {}).items()],
    )
    more.setdefault("opset_imports", [helper.make_opsetid("", SETS)])
    path.write_bytes(helper.make_model(graph, **more).SerializeToString())
    return path
