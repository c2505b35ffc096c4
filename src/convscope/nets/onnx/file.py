"""Read an ONNX file: parsed, never executed, and refused in one line where it is not whole."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

from convscope.errors import CaptureError
from convscope.files.regular import UnreadableError, read_bytes, refused_as
from convscope.nets.onnx.plan import Plan, plan_of
from convscope.report.file_kinds import kind_by_start

# What protobuf itself can hold in one message.
LARGEST_FILE = 2**31 - 1
ENDING = ".onnx"


def import_onnx() -> Any:
    """Return the onnx package. Raises CaptureError with what to install where it can't be imported."""
    try:
        return importlib.import_module("onnx")
    except ModuleNotFoundError as error:
        if error.name in ("onnx", None):
            raise CaptureError("ONNX files are read by the onnx package: pip install 'convscope[onnx]'") from error
        raise CaptureError(
            f"onnx is installed, and {error.name}, which it imports, is not: pip install 'convscope[onnx]'"
        ) from error
    except Exception as error:  # a protobuf of another version raises anything
        cause = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
        raise CaptureError(f"onnx is installed, and fails when it is imported ({cause}): reinstall it") from error


def read_plan(path: str | os.PathLike[str]) -> Plan:
    """Return the plan of an ONNX file.

    Raises:
        CaptureError: onnx is not installed, or the file is none, damaged, or of an operator set that is not known.
    """
    onnx = import_onnx()
    with refused_as(CaptureError, os.fspath(path)):
        data = read_bytes(path, limit=LARGEST_FILE)
        model = _parsed(onnx, data)
        del data
        try:
            return plan_of(model, path=Path(path), newest=onnx.defs.onnx_opset_version())
        except (UnicodeDecodeError, RecursionError, OverflowError) as error:
            raise UnreadableError(f"not a whole ONNX file ({type(error).__name__})") from None


def _parsed(onnx: Any, data: bytes) -> Any:
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
        whole = model.ir_version > 0 and model.HasField("graph") and _has_text(model)
    except Exception:  # protobuf's DecodeError, and what its implementations raise beside it
        whole = False
    if not whole:
        kind = kind_by_start(data)
        raise UnreadableError(f"not an ONNX file but {kind}" if kind else "not a whole ONNX file: cut off, or another")
    return model


def _has_text(message: Any) -> bool:
    """Return whether every text in a message is UTF-8: those that are not come as bytes."""
    for field, value in message.ListFields():
        if field.type == field.TYPE_STRING:
            # One, or several.
            if any(isinstance(text, bytes) for text in ((value,) if isinstance(value, str | bytes) else value)):
                return False
        elif field.type == field.TYPE_MESSAGE and not all(
            map(_has_text, (value,) if hasattr(value, "ListFields") else value)
        ):
            return False
    return True
