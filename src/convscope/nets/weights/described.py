"""The content of a pickle of weights: storages, tensors, plain values, and calls, which are recorded but not made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from convscope.errors import CaptureError
from convscope.nets.weights.stored import MOST_AXES, RepeatedError, Stored

LARGEST_KEY = 2**31  # whole numbers beyond it could be chosen so that a table of them takes hours to fill
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
    # Of quantized tensors, which are not read: what an element takes.
    "QInt8Storage": torch.int8,
    "QUInt8Storage": torch.uint8,
    "QInt32Storage": torch.int32,
}
TABLES = {"collections.OrderedDict", "collections.defaultdict", "collections.Counter", "builtins.dict"}
_LISTS = {"builtins.list", "builtins.set", "builtins.frozenset", "torch.Size"}
# Nothing is imported or called, so a record of any other object does no harm. A file that names what runs programs,
# changes files or opens connections is refused all the same: its user should know.
# Pickles of protocol 2, which torch writes, have Python 2's names: commands for subprocess, httplib for http.
_PROGRAMS_AND_FILES = (
    "os posix nt commands subprocess _posixsubprocess sys shutil socket _socket ctypes _ctypes importlib "
    "_frozen_importlib imp runpy pty webbrowser pickle _pickle cPickle marshal codeop urllib urllib2 http httplib "
    "ftplib smtplib requests pip pdb bdb"
)
_HARMFUL_MODULES = frozenset(_PROGRAMS_AND_FILES.split())
_HARMFUL = {
    "builtins": "eval exec execfile compile open __import__ input breakpoint",
    "io": "open open_code FileIO",
    "_io": "open open_code FileIO",
    "torch": "load",
    "torch.hub": "load load_state_dict_from_url",
    "torch.jit": "load",
    "torch.serialization": "load",
    "torch.storage": "_load_from_bytes",
    "numpy": "load",
    "joblib": "load",
    "pandas": "read_pickle",
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
    "torch.nested._internal.nested_tensor._rebuild_njt": "nested",
    "torch._utils._rebuild_qtensor": "quantized",
    "torch._utils._rebuild_meta_tensor_no_storage": "meta",
}


@dataclass(frozen=True, slots=True)
class Global:
    """A function or class that a pickle names; it is never looked up."""

    name: str


@dataclass(slots=True)
class Inert:
    """An object that was not created: its type, its arguments, and the items of a dict-like one."""

    name: str
    values: object = None
    items: dict[Any, Any] | None = None


@dataclass(frozen=True, slots=True)
class NotPlain:
    """A tensor that is not read: sparse, nested, quantized, repeated (expanded), or without numbers (meta)."""

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

    Raises:
        CaptureError: it runs programs, changes files or reaches a network.

    >>> named("__builtin__ set").name
    'builtins.set'
    """
    module, _, name = str(text).partition(" ")
    module = "builtins" if module == "__builtin__" else module
    full = f"{module}.{name}"
    # A dotted name reaches what a harmless module imports: "logging os.system".
    modules = (module.partition(".")[0], *name.split(".")[:-1])
    if name in _HARMFUL.get(module, "").split() or not _HARMFUL_MODULES.isdisjoint(modules):
        raise CaptureError(f"it holds code beside weights ({full[:60]}), and convscope runs no code from files")
    return Global(full)


def called(function: object, arguments: Any) -> object:
    """Return the result that a call describes: a tensor, a table or a list; for any other function an `Inert` record.

    Raises:
        CaptureError: the pickle is damaged.
    """
    if not isinstance(function, Global | Inert) or not isinstance(arguments, tuple):
        raise CaptureError("its pickle is damaged (a call without a function or arguments)")
    name = function.name
    if isinstance(function, Inert):  # what a bound method or a partial would return
        return Inert(name, arguments)
    if name in _TENSORS:
        return _tensor(*arguments[:4], *arguments[6:7] if name.endswith("_v3") else ())
    if name in ("torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state"):
        return arguments[0]
    if name in ("torch._tensor._rebuild_from_type", "torch._tensor._rebuild_from_type_v2"):
        return called(arguments[0], arguments[2])
    if name in _NOT_PLAIN:
        return NotPlain(_NOT_PLAIN[name])
    if name in TABLES:
        return _table(arguments)
    if name in _LISTS:
        return arguments[0] if arguments and isinstance(arguments[0], list | tuple) else []
    return Inert(name, arguments)


def put_items(table: dict[Any, Any], pairs: Iterable[Sequence[Any]]) -> None:
    """Put values into a table under those of their keys that can be names."""
    for key, value in pairs:
        if isinstance(key, str) or (type(key) is int and abs(key) <= LARGEST_KEY):
            table[key] = value


def _table(arguments: tuple[Any, ...]) -> dict[Any, Any]:
    """Return the table that a call makes: of a list of pairs, as Python 2 wrote an OrderedDict; else an empty one."""
    table: dict[Any, Any] = {}
    pairs = arguments[0] if len(arguments) == 1 else None
    if isinstance(pairs, list):
        put_items(table, (pair for pair in pairs if isinstance(pair, list | tuple) and len(pair) == 2))
        pairs.clear()  # a file that calls with one list again and again would be followed for hours
    return table


def _tensor(
    held: tuple[Storage, memoryview], offset: int, shape: Any, strides: Any, kind: Any = None
) -> Stored | NotPlain:
    storage, content = held
    dtype: Any = storage.dtype
    if max(len(shape), len(strides)) > MOST_AXES:
        raise CaptureError(f"it holds a tensor of more than {MOST_AXES} axes")
    if kind is not None:
        dtype = getattr(torch, kind.name.removeprefix("torch."), None)
        if not kind.name.startswith("torch.") or not isinstance(dtype, torch.dtype):
            raise CaptureError(f"it holds numbers of the type {kind.name[:40]!r}, which this torch does not have")
    try:
        return Stored(content, dtype, tuple(shape), tuple(strides), offset)
    except RepeatedError:
        return NotPlain("repeated")
