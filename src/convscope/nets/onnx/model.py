"""An ONNX file as a model: its network, its inputs, and what its exporter left out."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from convscope.errors import CaptureError
from convscope.files.regular import refused_as
from convscope.nets.onnx.file import read_plan
from convscope.nets.onnx.inputs import DeclaredInput, declared_inputs
from convscope.nets.onnx.network import OnnxNetwork


@dataclass(frozen=True, eq=False)
class OnnxModel:
    """A file that was read.

    Args:
        name: of the file, without its ending.
        network: runs it; its weights are the file's.
        inputs: what the file says that it takes.
    """

    name: str
    network: OnnxNetwork
    inputs: tuple[DeclaredInput, ...]


def read_model(path: str | os.PathLike[str]) -> OnnxModel:
    """Return the network of an ONNX file; nothing in it is executed.

    Raises:
        CaptureError: onnx is not installed, or the file is none, damaged, or of an operator set that is not known.
    """
    plan = read_plan(path)
    with refused_as(CaptureError, os.fspath(path)):
        network = OnnxNetwork(plan)
    return OnnxModel(Path(path).stem, network, declared_inputs(plan.inputs, network.channels_last))
