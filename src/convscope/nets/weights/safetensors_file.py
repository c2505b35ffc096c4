"""Read safetensors files: a JSON header of names, types and places, then the numbers.

The header's size, the number of tensors and every place are checked before anything is read by them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, BinaryIO

import torch

from convscope.errors import CaptureError
from convscope.files.checked import parse_json
from convscope.files.regular import UnreadableError
from convscope.nets.weights.stored import MOST_AXES, Stored

LARGEST_HEADER = 8_000_000  # bytes
MOST_TENSORS = 100_000
METADATA = "__metadata__"
LENGTH = 8  # bytes of the header's length, before it
DTYPES: Mapping[str, torch.dtype] = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "C64": torch.complex64,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U64": torch.uint64,
    "U32": torch.uint32,
    "U16": torch.uint16,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


@dataclass(frozen=True)
class SafetensorsFile:
    """The content of a safetensors file: its tensors by name, and its metadata."""

    tensors: dict[str, Stored]
    metadata: dict[str, str]


def begins_as_safetensors(start: bytes) -> bool:
    """Return whether a file may be a safetensors file by its first bytes: a length below 2^32, then a JSON object."""
    return start[LENGTH : LENGTH + 1] == b"{" and not any(start[4:LENGTH])


def parse_safetensors(content: memoryview) -> SafetensorsFile:
    """Return the tensors of a safetensors file; none is copied yet.

    Args:
        content: the whole file.

    Raises:
        CaptureError: it is not whole, or its header is too large or not as the format has it.

    >>> from safetensors.torch import save
    >>> found = parse_safetensors(memoryview(bytearray(save({"bias": torch.ones(2)}))))
    >>> found.tensors["bias"].tensor()
    tensor([1., 1.])
    """
    header = _header(content)
    metadata = header.pop(METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise CaptureError("its metadata is not text by name")
    if len(header) > MOST_TENSORS:
        raise CaptureError(f"it lists {len(header):,} tensors, more than {MOST_TENSORS:,}")
    numbers = content[LENGTH + int.from_bytes(content[:LENGTH], "little") :]
    places = sorted((_place(name, entry), name) for name, entry in header.items())
    end = 0
    for (begin, after), name in places:
        if begin != end or after < begin:
            raise CaptureError(f"{name} does not begin where the tensor before it ends")
        end = after
    if end != len(numbers):
        raise CaptureError(f"its tensors take {end:,} bytes, and it has {len(numbers):,}")
    tensors = {name: _stored(name, entry, numbers) for name, entry in header.items()}
    return SafetensorsFile(tensors=tensors, metadata=metadata)


def read_metadata(file: BinaryIO) -> dict[str, str]:
    """Return the metadata of an open file, whose tensors are not read.

    Raises:
        CaptureError: the header is damaged.
    """
    length = file.read(LENGTH)
    size = min(int.from_bytes(length, "little"), LARGEST_HEADER)
    metadata = _header(memoryview(length + file.read(size))).get(METADATA, {})
    return {name: str(value) for name, value in metadata.items()} if isinstance(metadata, dict) else {}


def _header(content: memoryview) -> dict[str, Any]:
    size = int.from_bytes(content[:LENGTH], "little")
    if size > LARGEST_HEADER:
        raise CaptureError(f"its header would be {size:,} bytes, more than {LARGEST_HEADER:,}")
    if len(content) < LENGTH + size:
        raise CaptureError(f"it ends in its header, which would be {size:,} bytes")
    try:
        header = parse_json(bytes(content[LENGTH : LENGTH + size]))
    except UnreadableError as reason:
        raise CaptureError(f"its header can't be read: {reason}") from None
    if not isinstance(header, dict):
        raise CaptureError("its header is not a table of tensors")
    return header


def _place(name: str, entry: object) -> tuple[int, int]:
    place = entry.get("data_offsets") if isinstance(entry, dict) else None
    if not isinstance(place, list) or len(place) != 2 or not all(type(number) is int for number in place):
        raise CaptureError(f"{name} has no place in it")
    return place[0], place[1]


def _stored(name: str, entry: Mapping[str, Any], numbers: memoryview) -> Stored:
    kind, shape = entry.get("dtype"), entry.get("shape")
    if not isinstance(kind, str) or kind not in DTYPES:
        raise CaptureError(f"{name} has numbers of the type {str(kind)[:20]!r}, which is not read here")
    if not isinstance(shape, list) or len(shape) > MOST_AXES or not all(type(size) is int for size in shape):
        raise CaptureError(f"{name} has no shape")
    begin, end = _place(name, entry)
    if prod(shape) * DTYPES[kind].itemsize != end - begin:
        raise CaptureError(f"{name} has {end - begin:,} bytes, which are not of its shape")
    return Stored(numbers[begin:end], DTYPES[kind], tuple(shape))
