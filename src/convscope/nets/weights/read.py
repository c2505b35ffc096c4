"""Read the weights of a file or of a run directory: all tensors by name, however they were wrapped.

No code in a file is run, and no library unpickles it: see `pickled`. A file is mapped into memory, and a tensor copied
when it is asked for.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from convscope.errors import CaptureError
from convscope.files.regular import UnreadableError, open_regular
from convscope.nets.weights.described import Inert, NotPlain
from convscope.nets.weights.digest import require_intact
from convscope.nets.weights.safetensors_file import begins_as_safetensors, parse_safetensors
from convscope.nets.weights.stored import Stored
from convscope.nets.weights.torch_file import read_archive, read_older
from convscope.nets.weights.zip_records import TorchScriptError
from convscope.report.file_kinds import HEAD, kind_by_start
from convscope.report.usage import call_text

WEIGHTS = "weights.safetensors"
PICKLED = b"\x80"  # begins every pickle since protocol 2, which torch has always written
DEEPEST = 32  # tables within tables
LONGEST_NAME = 300
MOST_ENTRIES = 200_000
# What a saved module, as opposed to its state_dict, has its tensors and its parts in.
_OF_MODULES = ("_parameters", "_buffers", "_modules")
_ARRAYS = ("numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct")
NEEDED = "name a .safetensors, .pth or .pt file, or a run directory"


@dataclass(frozen=True)
class WeightsFile:
    """All tensors of a file.

    Args:
        where: the file, for errors.
        tensors: by their full names: "state_dict.conv1.weight" for one in a table within the file's table.
        tables: for those in a table within the file's: its name, such as "state_dict".
        not_plain: the kinds of tensors that are not read, by full name: sparse, nested, quantized, repeated or meta.
    """

    where: str
    tensors: Mapping[str, Stored | Tensor]
    tables: Mapping[str, str] = field(default_factory=dict)
    not_plain: Mapping[str, str] = field(default_factory=dict)


def read_weights(path: str | Path, *, sealed: bool = False) -> WeightsFile:
    """Return the tensors of a `.safetensors`, `.pth` or `.pt` file, or of a run directory's weights.

    Args:
        path: the file or the directory.
        sealed: whether the file must have a digest, as model.json requires of a run's weights.

    Raises:
        CaptureError: no such file, a damaged one, one that holds code, or one without tensors.
    """
    path = Path(path)
    if path.is_dir():
        members = sorted(path.glob(f"*/{WEIGHTS}"))
        path = path / WEIGHTS
        if members and not path.is_file():
            raise CaptureError(f"{path.parent} holds several networks' weights: name one, such as {members[0].parent}")
    content = _mapped(path)
    start = bytes(content[:HEAD])
    if begins_as_safetensors(start):
        try:
            found = parse_safetensors(content)
            require_intact(content, found.metadata, required=sealed)
        except CaptureError as error:
            raise CaptureError(f"{path} is damaged ({error}): {_remedy(path)}") from error
        file = WeightsFile(where=str(path), tensors=found.tensors)
    elif start.startswith((b"PK\x03\x04", PICKLED)) and not sealed:
        try:
            value = read_archive(content) if start.startswith(b"PK") else read_older(content)
        except TorchScriptError as error:
            raise CaptureError(
                f"{path} is {error}: save its weights by "
                f"torch.save(torch.jit.load({str(path)!r}).state_dict(), 'weights.pth')"
            ) from error
        except CaptureError as error:
            raise CaptureError(f"{path} can't be read as weights: {error}: {_SAVE}") from error
        file = _flattened(path, value)
    else:
        kind = kind_by_start(start) or "of no format that is known"
        raise CaptureError(f"{path} is no file of weights: it is {kind}; {NEEDED}")
    if file.not_plain and not file.tensors:
        name, kind = next(iter(file.not_plain.items()))
        raise CaptureError(f"{path} holds no plain tensors, only such as {name} ({kind}): {_PLAIN}")
    if not file.tensors:
        raise CaptureError(f"{path} holds no tensors by name: save network.state_dict()")
    return file


_PLAIN = "save plain ones, by to_dense(), dequantize() or clone()"
_SAVE = "save network.state_dict() alone, or download it again"


def _remedy(path: Path) -> str:
    if (path.parent / "checkpoint").is_dir():
        return f"{call_text('train', resume=path.parent)} writes it anew from its checkpoint"
    return "download it again, or take a copy"


def as_tensor(tensor: Stored | Tensor) -> Tensor:
    """Return a tensor of a file in memory."""
    return tensor.tensor() if isinstance(tensor, Stored) else tensor


def _mapped(path: Path) -> memoryview:
    """Map a regular file into memory, and return its bytes."""
    try:
        with open_regular(path, limit=None) as file:
            if not os.fstat(file.fileno()).st_size:
                raise CaptureError(f"{path} is no file of weights: it is empty; {NEEDED}")
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
    except (UnreadableError, OSError, ValueError) as error:
        raise CaptureError(f"weights can't be read from {path}: {error}; {NEEDED}") from None


def _flattened(path: Path, value: Any) -> WeightsFile:
    """Return every tensor below a value by its full name, and the table that holds it.

    Tables that hold themselves are followed once.
    """
    if not isinstance(value, dict | Inert):
        single = isinstance(value, Stored | NotPlain)
        what = "single tensor" if single else type(value).__name__
        raise CaptureError(f"{path} holds a {what}, not tensors by name: save network.state_dict()")
    tensors: dict[str, Stored] = {}
    tables: dict[str, str] = {}
    not_plain: dict[str, str] = {}
    arrays: list[str] = []
    entries = 0
    above: set[int] = set()

    def follow(value: Any, table: str, name: str) -> None:
        """Collect the tensors of a table's value, under its full name."""
        nonlocal entries
        if id(value) in above or len(above) > DEEPEST or len(name) > LONGEST_NAME:
            return
        is_module, pairs = _entries(value)
        entries += len(pairs)
        if entries > MOST_ENTRIES:
            raise CaptureError(f"{path} holds more than {MOST_ENTRIES:,} values: save network.state_dict() alone")
        above.add(id(value))
        for key, inner in pairs:
            full = f"{name}.{key}" if name else str(key)
            if isinstance(inner, NotPlain):
                not_plain[full] = inner.kind
            elif isinstance(inner, Inert) and inner.name in _ARRAYS:
                arrays.append(full)
            elif isinstance(inner, Stored):
                tensors[full] = inner
                if table:
                    tables[full] = table
            else:
                follow(inner, table if is_module else full, full)
        above.remove(id(value))

    follow({"array": value} if isinstance(value, Inert) and value.name in _ARRAYS else value, "", "")
    if arrays and not tensors and not not_plain:
        raise CaptureError(
            f"{path} holds NumPy arrays, such as {arrays[0]}, and no tensors: save a dict of names and "
            "torch.from_numpy(array) with torch.save"
        )
    return WeightsFile(where=str(path), tensors=tensors, tables=tables, not_plain=not_plain)


def _entries(value: Any) -> tuple[bool, list[tuple[Any, Any]]]:
    """Return whether a value is a saved module, and its entries by name: for a module, its tensors and its parts."""
    if isinstance(value, Inert) and value.items:
        return False, list(value.items.items())
    if isinstance(value, Inert) and isinstance(value.values, dict):
        parts = (value.values.get(name) for name in _OF_MODULES)
        return True, [pair for part in parts if isinstance(part, dict) for pair in part.items()]
    return False, list(value.items()) if isinstance(value, dict) else []
