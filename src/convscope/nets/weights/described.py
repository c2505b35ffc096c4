"""What a pickle of weights may describe: storages, tensors, plain values, and calls that are followed and not made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from convscope.errors import CaptureError
from convscope.nets.weights.stored import MOST_AXES, Stored

STORAGES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "ComplexDoubleStorage": torch.complex128,
    "ComplexFloatStorage": torch.complex64,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "UntypedStorage": torch.uint8,
}
EMPTY_TABLES = {"collections.OrderedDict", "collections.defaultdict", "collections.Counter", "builtins.dict"}
_LISTS = {"builtins.list", "builtins.set", "builtins.frozenset", "torch.Size"}
# Calls that make plain values which lie beside weights in checkpoints; they are kept as records and not followed.
_VALUES = {
    "_codecs.encode",
    "argparse.Namespace",
    "builtins.bytearray",
    "builtins.complex",
    "builtins.slice",
    "copyreg._reconstructor",
    "datetime.date",
    "datetime.datetime",
    "datetime.timedelta",
    "datetime.timezone",
    "decimal.Decimal",
    "fractions.Fraction",
    "numpy.core.multiarray._reconstruct",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray._reconstruct",
    "numpy._core.multiarray.scalar",
    "numpy.dtype",
    "numpy.ndarray",
    "pathlib.Path",
    "pathlib.PosixPath",
    "pathlib.PurePosixPath",
    "pathlib.WindowsPath",
    "torch.device",
    "torch._utils._rebuild_meta_tensor_no_storage",
    "uuid.UUID",
}
_TENSORS = {
    "torch._utils._rebuild_tensor",
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_tensor_v3",
}
_NOT_PLAIN = {
    "torch._utils._rebuild_sparse_tensor": "sparse",
    "torch._utils._rebuild_sparse_csr_tensor": "sparse",
    "torch._utils._rebuild_nested_tensor": "nested",
    "torch._utils._rebuild_qtensor": "quantized",
}


@dataclass(frozen=True, slots=True)
class Global:
    """A function or class that a pickle names; it is never looked up."""

    name: str


@dataclass(slots=True)
class Inert:
    """An object that was not made: what it would be, and the values that it would get."""

    name: str
    values: object = None


@dataclass(frozen=True, slots=True)
class NotPlain:
    """A tensor that is not read: sparse, nested or quantized."""

    kind: str


@dataclass(frozen=True, slots=True)
class Storage:
    """A storage that a pickle names: how to find its bytes, and the type of its elements."""

    key: str
    dtype: torch.dtype
    count: int


FindBytes = Callable[[Storage], memoryview]


def named(text: object) -> Global:
    """Return the global "module name", under the module's name of today.

    >>> named("__builtin__ set").name
    'builtins.set'
    """
    module, _, name = str(text).partition(" ")
    return Global(f"{'builtins' if module == '__builtin__' else module}.{name}")


def called(function: object, arguments: Any) -> object:
    """Return what a call of a known function describes.

    Raises:
        CaptureError: the function is not one that weights need.
    """
    name = function.name if isinstance(function, Global | Inert) else type(function).__name__
    if not isinstance(arguments, tuple):
        raise CaptureError("its pickle is damaged (a call without arguments)")
    if name in _TENSORS:
        return _tensor(*arguments[:4], *arguments[6:7] if name.endswith("_v3") else ())
    if name in ("torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state"):
        return arguments[0]
    if name == "torch._tensor._rebuild_from_type_v2":
        return called(arguments[0], arguments[2])
    if name in _NOT_PLAIN:
        return NotPlain(_NOT_PLAIN[name])
    if name in EMPTY_TABLES:
        return {}
    if name in _LISTS:
        return arguments[0] if arguments and isinstance(arguments[0], list | tuple) else []
    if name in _VALUES:
        return Inert(name, arguments)
    raise CaptureError(
        f"it holds code or objects beside weights (it would call {name[:60]}), and convscope runs no code from files"
    )


def _tensor(held: tuple[Storage, memoryview], offset: int, shape: Any, strides: Any, kind: Any = None) -> Stored:
    storage, content = held
    dtype: Any = storage.dtype
    if max(len(shape), len(strides)) > MOST_AXES:
        raise CaptureError(f"it holds a tensor of more than {MOST_AXES} axes")
    if kind is not None:
        dtype = getattr(torch, kind.name.removeprefix("torch."), None)
        if not kind.name.startswith("torch.") or not isinstance(dtype, torch.dtype):
            raise CaptureError(f"it holds numbers of the type {kind.name[:40]!r}, which this torch does not have")
    return Stored(content, dtype, tuple(shape), tuple(strides), offset)
