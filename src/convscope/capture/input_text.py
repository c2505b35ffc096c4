"""An input as the command line writes it: [NAME=]SHAPE[:TYPE[:LOWEST-HIGHEST]], read and written."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, NoReturn

import torch

from convscope.arrays import Shape
from convscope.capture.inputs import LARGEST, SampleSpec
from convscope.errors import CaptureError, did_you_mean
from convscope.files.fields import in_short
from convscope.graph.records import BYTES_PER_ELEMENT

_SIZE = re.compile(r"[1-9][0-9]{0,18}")
_RANGE = re.compile(r"(-?[0-9]{1,30})-(-?[0-9]{1,30})")
_SCALAR = "scalar"
_USUAL = ("float32", "float16", "bfloat16", "complex64", "int64", "int32", "uint8", "bool")


@dataclass(frozen=True, slots=True)
class TypedInput:
    """One input with more than a shape; `str()` writes it as `parse_input` reads it.

    Args:
        name: of the argument; "" where inputs go by position.
        shapes: of one sample; of each image in a list.
        listed: whether it is a list of images, which have no batch axis.
        dtype: element type.
        numbers: the range of its numbers, both ends included, as whole numbers that a model looks up; None for any.
    """

    name: str
    shapes: tuple[Shape, ...]
    listed: bool = False
    dtype: str = "float32"
    numbers: tuple[int, int] | None = None

    @property
    def given(self) -> Any:
        """What `capture` takes: a sample, or a list of images as they are."""
        samples = [SampleSpec(shape, self.dtype, self.numbers, self.listed) for shape in self.shapes]
        return samples if self.listed else samples[0]

    def __str__(self) -> str:
        shapes = ",".join("x".join(map(str, shape)) or _SCALAR for shape in self.shapes)
        numbers = "" if self.numbers is None else f":{self.numbers[0]}-{self.numbers[1]}"
        name = f"{self.name}=" if self.name else ""
        return f"{name}{f'[{shapes}]' if self.listed else shapes}:{self.dtype}{numbers}"


def parse_input(text: str) -> Shape | TypedInput:
    """Return an input as the command line writes it, of which all but the shape may lack.

    "scalar" is the shape of one number per sample, [3x224x224,3x300x200] a list of images.

    Raises:
        CaptureError: it is no shape, its type is unknown, or its range is empty or beyond its type.

    >>> parse_input("3x224x224")
    (3, 224, 224)
    >>> parse_input("label=scalar:int64:0-9")
    TypedInput(name='label', shapes=((),), listed=False, dtype='int64', numbers=(0, 9))
    >>> parse_input("[3x8x8,3x8x6]").shapes
    ((3, 8, 8), (3, 8, 6))
    >>> str(parse_input("40:long"))
    '40:int64'
    """
    name, equals, rest = text.rpartition("=")
    if equals and not name.isidentifier():
        _refuse(text, f"{in_short(name)} is no name of an argument: write it as in img=3x224x224")
    body, *more = rest.split(":")
    listed = "[" in body or "]" in body
    shapes = _listed(text, body) if listed else (_sample(text, body),)
    if len(more) > 2:
        _refuse(text, "it has too many colons: write shape, type and range, as in 40:int64:0-99")
    if not (name or more or listed) and shapes[0]:
        return shapes[0]
    dtype = _type(text, more[0]) if more else "float32"
    return TypedInput(name, shapes, listed, dtype, _numbers(text, dtype, more[1]) if len(more) > 1 else None)


def parse_shape(text: str) -> Shape:
    """Return the whole numbers of a shape such as "3x224x224".

    Raises:
        CaptureError: it is none, or a tensor of it fits no memory.

    >>> parse_shape("3x224x224"), parse_shape("1,32000")
    ((3, 224, 224), (1, 32000))
    """
    return _shape(text, text)


def _shape(text: str, body: str) -> Shape:
    parts = re.split("[x×,]", body)
    if not all(_SIZE.fullmatch(part) for part in parts):
        if any(re.fullmatch(r"-[0-9]+|0+", part) for part in parts):
            _refuse(text, "sizes must be at least 1")
        if not all(re.fullmatch("[0-9]+", part, re.ASCII) for part in parts):
            _refuse(text, "it is not a shape: write channels, height and width, like 3x224x224")
        _refuse(text, "sizes begin with no 0" if any(part[0] == "0" for part in parts) else _NO_MEMORY)
    shape = tuple(map(int, parts))
    if math.prod(shape) >= LARGEST:
        _refuse(text, _NO_MEMORY)
    return shape


_NO_MEMORY = "no memory holds a tensor of this shape: lower it"


def _sample(text: str, body: str) -> Shape:
    return () if body == _SCALAR else _shape(text, body)


def _listed(text: str, body: str) -> tuple[Shape, ...]:
    inner = body[1:-1]
    if not (body.startswith("[") and body.endswith("]")) or len(body) < 2:
        what = "the list has no end" if body.startswith("[") else "its brackets do not match"
        _refuse(text, f"{what}: write it as [3x224x224,3x300x200]")
    if "[" in inner or "]" in inner:
        _refuse(text, "a list holds shapes alone: give nested lists in Python")
    if not inner:
        _refuse(text, "the list is empty: give a shape for each image, as in [3x224x224,3x300x200]")
    return tuple(_sample(text, part) for part in inner.split(","))


def _type(text: str, name: str) -> str:
    """Return torch's name of an element type; its short names (long, half) are known too."""
    found = getattr(torch, name, None) if name.isidentifier() else None
    dtype = str(found).removeprefix("torch.") if isinstance(found, torch.dtype) else name
    if dtype not in BYTES_PER_ELEMENT:
        near = did_you_mean(name, BYTES_PER_ELEMENT) or f" It is one of {', '.join(_USUAL)} or another of torch."
        _refuse(text, f"there is no type {in_short(name)} for an input.{near}")
    return dtype


def _numbers(text: str, dtype: str, written: str) -> tuple[int, int]:
    found = _RANGE.fullmatch(written)
    if found is None:
        _refuse(text, f"{in_short(written)} is no range: write the lowest and the highest number, as in 0-99")
    lowest, highest = map(int, found.groups())
    if lowest > highest:
        _refuse(text, f"the range {written} is empty: write the lower number first")
    least, most = limits(dtype)
    if lowest < least or highest > most:
        _refuse(text, f"{dtype} holds whole numbers from {least} to {most}: give a range within them")
    return lowest, highest


def limits(dtype: str) -> tuple[int, int]:
    """Return the lowest and the highest whole number that a range of this type may have.

    >>> limits("uint8"), limits("bool")
    ((0, 255), (0, 1))
    """
    kind: torch.dtype = getattr(torch, dtype)
    if kind is torch.bool:
        return 0, 1
    if not (kind.is_floating_point or kind.is_complex):
        whole = torch.iinfo(kind)
        return whole.min, whole.max
    # Beyond these a floating-point type has gaps between whole numbers.
    real = torch.finfo(kind)
    most = min(round(2 / real.eps), int(real.max))
    return -most if real.min < 0 else 0, most


def _refuse(text: str, why: str) -> NoReturn:
    raise CaptureError(f"input {in_short(text)}: {why}")
