"""An ONNX file as a model: its network, the shape of its input, and what its exporter left out."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from convscope.errors import CaptureError
from convscope.files.regular import refused_as
from convscope.nets.onnx.file import read_plan
from convscope.nets.onnx.network import OnnxNetwork
from convscope.nets.onnx.plan import Plan


@dataclass(frozen=True, eq=False)
class OnnxModel:
    """A file that was read.

    Args:
        name: of the file, without its ending.
        network: runs it; its weights are the file's.
        input_shape: of one sample, without the batch; None where the file leaves a size open, or takes several inputs.
    """

    name: str
    network: OnnxNetwork
    input_shape: tuple[int, ...] | None


def read_model(path: str | os.PathLike[str]) -> OnnxModel:
    """Return the network of an ONNX file; nothing in it is executed.

    Raises:
        CaptureError: onnx is not installed, or the file is none, damaged, or of an operator set that is not known.
    """
    plan = read_plan(path)
    with refused_as(CaptureError, os.fspath(path)):
        network = OnnxNetwork(plan)
    return OnnxModel(Path(path).stem, network, _sample_shape(plan))


def _sample_shape(plan: Plan) -> tuple[int, ...] | None:
    """Return the shape of one sample, where there is one input whose sizes are fixed."""
    declared = list(plan.inputs.values())
    if len(declared) != 1 or not declared[0].shape or len(declared[0].shape) < 2:
        return None
    sizes = tuple(size for size in declared[0].shape[1:] if isinstance(size, int))
    return sizes if len(sizes) == len(declared[0].shape) - 1 else None
