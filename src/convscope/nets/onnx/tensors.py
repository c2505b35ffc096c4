"""Tensors of an ONNX file: as long as the file says they are, and read from no other folder than its own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch

from convscope.arrays import Array
from convscope.files.regular import UnreadableError, open_regular

# TensorProto's element types, by number.
TORCH_TYPES: Mapping[int | str | None, torch.dtype] = {
    1: torch.float32, 2: torch.uint8, 3: torch.int8, 4: torch.uint16, 5: torch.int16, 6: torch.int32, 7: torch.int64,
    9: torch.bool, 10: torch.float16, 11: torch.float64, 12: torch.uint32, 13: torch.uint64, 14: torch.complex64,
    15: torch.complex128, 16: torch.bfloat16,
    # Operator sets before 6 write the name.
    "FLOAT": torch.float32, "DOUBLE": torch.float64, "FLOAT16": torch.float16, "INT64": torch.int64,
    "INT32": torch.int32, "BOOL": torch.bool, "UINT8": torch.uint8, "INT8": torch.int8,
}  # fmt: skip
# Whole numbers of 4 bits, two in a byte, become int8 and uint8.
_HALF_BYTES: Mapping[int, torch.dtype] = {21: torch.uint8, 22: torch.int8}
# Fields of TensorProto that hold numbers of each element type, where they are not raw bytes.
_FIELDS: Mapping[int, str] = {
    1: "float_data", 14: "float_data", 7: "int64_data", 11: "double_data", 15: "double_data", 12: "uint64_data",
    13: "uint64_data",
}  # fmt: skip
_LARGEST_RANK = 64


def check(proto: Any) -> tuple[int, ...]:
    """Return the shape of a tensor of the file.

    Raises:
        UnreadableError: it has no numbers, or another count of them than its shape.
    """
    name = f"tensor {proto.name!r}"
    shape = tuple(proto.dims)
    if len(shape) > _LARGEST_RANK or any(size < 0 for size in shape):
        raise UnreadableError(f"{name} says its shape is {list(shape[:8])}")
    if proto.data_type not in TORCH_TYPES and proto.data_type not in _HALF_BYTES:
        raise UnreadableError(f"{name} has elements of type {proto.data_type}, which is no type of numbers here")
    if proto.data_location == 1:
        return shape
    needed, half = prod(shape), proto.data_type in _HALF_BYTES
    if proto.HasField("raw_data"):
        size = 1 if half else TORCH_TYPES[proto.data_type].itemsize
        found, wanted, unit = len(proto.raw_data), (needed + 1) // 2 if half else needed * size, "bytes"
    else:
        pairs = 2 if proto.data_type in (14, 15) else 1
        found, unit = len(getattr(proto, _FIELDS.get(proto.data_type, "int32_data"))), "numbers"
        wanted = (needed + 1) // 2 if half else needed * pairs
    if found != wanted:
        raise UnreadableError(f"{name} of shape {list(shape)} needs {wanted:,} {unit}, and the file has {found:,}")
    return shape


def torch_tensor(proto: Any, folder: Path) -> torch.Tensor:
    """Return a checked tensor of the file; numbers beside it stay on the disk until they are read.

    Raises:
        UnreadableError: its numbers are in a file that is missing, too short, or outside the folder.
    """
    shape = tuple(proto.dims)
    kind = TORCH_TYPES.get(proto.data_type)
    if kind is None or not (proto.HasField("raw_data") or proto.data_location == 1):
        from onnx import numpy_helper

        if proto.data_location == 1:
            raise UnreadableError(f"tensor {proto.name!r} has elements of 4 bits in another file")
        unpacked = numpy_helper.to_array(proto)
        if kind is None:
            return torch.from_numpy(unpacked.astype(np.int8 if proto.data_type == 22 else np.uint8))
        wide = unpacked.astype(np.float32) if kind is torch.bfloat16 else np.array(unpacked)
        return torch.from_numpy(wide).to(kind).reshape(shape)
    if not prod(shape):
        return torch.empty(shape, dtype=kind)
    if proto.data_location == 1:
        return _beside(proto, folder, prod(shape) * kind.itemsize).view(kind).reshape(shape)
    return torch.frombuffer(bytearray(proto.raw_data), dtype=kind).reshape(shape)


def numbers(proto: Any, folder: Path) -> Array:
    """Return a checked tensor of the file as an array; bfloat16 becomes float32."""
    found = torch_tensor(proto, folder)
    result: Array = (found.float() if found.dtype is torch.bfloat16 else found).numpy()
    return result


def _beside(proto: Any, folder: Path, size: int) -> torch.Tensor:
    """Return the bytes of a tensor that is kept in another file of the same folder."""
    where = {entry.key: entry.value for entry in proto.external_data}
    name = f"tensor {proto.name!r}"
    location = where.get("location", "")
    path = _inside(folder, location, name)
    try:
        offset, length = int(where.get("offset", "0")), int(where.get("length", str(size)))
    except ValueError:
        raise UnreadableError(f"{name} says no number for its place in {location!r}") from None
    if offset < 0 or length != size:
        raise UnreadableError(f"{name} needs {size:,} bytes, and {location!r} has {length:,} for it")
    try:
        with open_regular(path, limit=None) as file:
            if os.fstat(file.fileno()).st_size < offset + size:
                raise UnreadableError(f"{location!r} ends before {name}")
            # Copy on write: torch wants memory that can be written, and the file stays as it is.
            return torch.from_numpy(np.memmap(file, np.uint8, "c", offset, (size,)))
    except UnreadableError as reason:
        raise UnreadableError(f"{name} is kept in {location!r}: {reason}") from None


def _inside(folder: Path, location: str, name: str) -> Path:
    """Return the path of a file in the model's own folder; raises UnreadableError where it leads out of it."""
    if not location or "\0" in location or len(location) > 4096:
        raise UnreadableError(f"{name} is kept in another file, and nothing says in which")
    home = Path(os.path.realpath(folder))
    path = Path(os.path.realpath(home / location))
    if Path(location).is_absolute() or ".." in Path(location).parts or not path.is_relative_to(home):
        raise UnreadableError(f"{name} is kept in {location!r}, outside the model's folder: it is not read")
    return path
