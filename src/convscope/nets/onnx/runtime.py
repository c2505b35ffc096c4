"""What onnxruntime makes of the same file, where it is installed."""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from typing import Any

import torch

from convscope.arrays import Array
from convscope.errors import CaptureError


def runtime_outputs(path: str | os.PathLike[str], inputs: Sequence[torch.Tensor]) -> tuple[str, list[Array]]:
    """Return onnxruntime's version, and the outputs that it computes on one thread of the CPU.

    Raises:
        CaptureError: it is not installed, or does not run the file.
    """
    try:
        runtime: Any = importlib.import_module("onnxruntime")
    except ImportError as error:
        raise CaptureError(
            "onnxruntime is not installed, so its outputs are not compared: pip install 'convscope[onnx]'"
        ) from error
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = runtime.InferenceSession(os.fspath(path), options, providers=["CPUExecutionProvider"])
        names = [value.name for value in session.get_inputs()]
        given = {name: tensor.detach().cpu().contiguous().numpy() for name, tensor in zip(names, inputs, strict=True)}
        return str(runtime.__version__), list(session.run(None, given))
    except Exception as error:  # its own errors have no common class
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise CaptureError(f"onnxruntime does not run this file: {reason}") from error
