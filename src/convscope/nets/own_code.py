"""The user's own code: `file.py:factory` or `package.module:factory`, imported because the user named it.

Whoever calls `found` runs the code. So only a name that the user gives comes here, or that of a run's copy which the
user trusts; a name that is read from a file is data (`is_own` and `without_folders` tell it apart, and run nothing).
No torch is imported here, unless the code does.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import inspect
import os
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

from convscope.errors import CaptureError, did_you_mean
from convscope.files.fields import Fields, in_short
from convscope.files.regular import UnreadableError, read_bytes, refused_as
from convscope.files.text import read_text
from convscope.nets.entry import TIMM
from convscope.report.printable import from_here

LARGEST_SOURCE = 2**24  # bytes of Python
LONGEST_NAME = 200
_DIGEST = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[^\x00-\x1f\x7f:]+:[^\W\d]\w*")


@dataclass(frozen=True, kw_only=True)
class SourceFile:
    """The file that makes a network: its name without folders, and the hash of its bytes.

    `text` are the bytes, where the file was read; of a model.json they are empty.
    """

    file: str
    sha256: str
    text: bytes = field(default=b"", compare=False, repr=False)

    def to_dict(self) -> dict[str, str]:
        """Return the name and the hash as JSON can hold them."""
        return {"file": self.file, "sha256": self.sha256}

    @classmethod
    def of(cls, fields: Fields) -> SourceFile:
        """Return what the fields of a model.json say; raises UnreadableError where they are no name and no hash."""
        file, digest = fields.text("file"), fields.text("sha256")
        if file != Path(file).name or not file.isprintable() or not 0 < len(file) <= LONGEST_NAME:
            raise UnreadableError(f"network.source.file is {in_short(file)}: it must be the name of a file")
        if not _DIGEST.fullmatch(digest):
            raise UnreadableError(f"network.source.sha256 is {in_short(digest)}: it must be 64 hexadecimal digits")
        return cls(file=file, sha256=digest)


def is_own(name: str) -> bool:
    """Return whether a network's name is that of the user's own code.

    >>> is_own("net.py:make"), is_own("models.small:Net"), is_own("resnet18"), is_own("timm/resnet18")
    (True, True, False, False)
    """
    return ":" in name and not name.startswith(TIMM)


def is_kept_name(name: str) -> bool:
    """Return whether a name can be that of own code in a model.json: FILE.py:FACTORY or MODULE:FACTORY, no folders."""
    return is_own(name) and bool(_NAME.fullmatch(name)) and len(name) <= LONGEST_NAME and name == without_folders(name)


def without_folders(name: str) -> str:
    """Return a name of own code without the folders of its file; any other name unchanged.

    >>> without_folders("/home/ada/nets/net.py:make"), without_folders("models.small:Net")
    ('net.py:make', 'models.small:Net')
    """
    place, _, factory = name.rpartition(":")
    return f"{Path(place).name}:{factory}" if is_own(name) else name


def lasting_name(name: str) -> str:
    """Return the name as it can be found again from another folder; a module's name stays as it is."""
    place, _, factory = name.rpartition(":")
    return f"{os.path.realpath(place)}:{factory}" if is_own(name) and _is_file(place) else name


def identity(name: str) -> str:
    """Return what a network is known by in a cache: of own code its factory and the hash of its file."""
    return f"{name.rpartition(':')[2]} of {source_of(name).sha256}" if is_own(name) else name


def found(name: str) -> Any:
    """Import the code that a name means, and return what it names: a factory, a class, a module.

    Raises:
        CaptureError: it does not import, or has nothing of this name; in one line.
    """
    place, attribute = _parted(name)
    with neighbours_importable(name):
        module = _of_file(place) if _is_file(place) else _of_module(place)
    if not hasattr(module, attribute):
        known = [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]
        hint = did_you_mean(attribute, known) or (f" It has {', '.join(known[:8])}." if known else "")
        raise CaptureError(f"{place} has no {attribute!r}.{hint}")
    return getattr(module, attribute)


def source_of(name: str) -> SourceFile:
    """Return the file of own code, read now: the named one, or that which defines a module's factory.

    Raises:
        CaptureError: there is no Python file, or it can't be read.
    """
    place, _ = _parted(name)
    path = place if _is_file(place) else _file_of_factory(name)
    with refused_as(CaptureError, path):
        text = read_bytes(path, limit=LARGEST_SOURCE)
    return SourceFile(file=Path(path).name, sha256=hashlib.sha256(text).hexdigest(), text=text)


def _file_of_factory(name: str) -> str:
    with suppress(TypeError):
        if (path := inspect.getsourcefile(inspect.unwrap(found(name)))) is not None:
            return path
    raise CaptureError(f"{name} has no Python file that a run could keep: write one that calls it")


@contextmanager
def neighbours_importable(name: str) -> Iterator[None]:
    """Let own code import the files beside it while inside, as where it is run; a module those of this folder."""
    if not is_own(name):
        yield
        return
    place = name.rpartition(":")[0]
    entry = str(Path(os.path.realpath(place)).parent) if _is_file(place) else str(Path.cwd())
    sys.path.insert(0, entry)
    try:
        yield
    finally:
        if entry in sys.path:
            sys.path.remove(entry)


def suggested_factories(path: Path) -> str:
    """Return the names in a file that may build a network, from its text; nothing is executed."""
    try:
        statements = ast.parse(read_text(path, limit=LARGEST_SOURCE)).body
    except (UnreadableError, ValueError, SyntaxError, RecursionError, MemoryError):
        return f"such as {path}:make_model"
    makers = [
        s.name
        for s in statements
        if (isinstance(s, ast.ClassDef) and any("Module" in ast.unparse(base) for base in s.bases))
        or (isinstance(s, ast.FunctionDef) and len(s.args.args) == len(s.args.defaults) and not s.name.startswith("_"))
    ]
    if not makers:
        return f"such as {path}:make_model; it has no class of nn.Module and no function that takes nothing"
    return " or ".join(f"{path}:{name}" for name in makers[:4])


def in_one_line(error: BaseException) -> str:
    """Return the kind of an exception of own code and the first line of its message."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{type(error).__name__}: {error.msg} ({Path(error.filename).name}, line {error.lineno})"
    lines = "".join(traceback.format_exception_only(error)).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__


def _parted(name: str) -> tuple[str, str]:
    place, _, attribute = name.rpartition(":")
    if not place or not attribute:
        raise CaptureError(f"{name!r} is no network of your own: name it file.py:factory or package.module:factory")
    return place, attribute


def _is_file(place: str) -> bool:
    return place.endswith(".py")


def _of_file(place: str) -> ModuleType:
    with refused_as(CaptureError, place):
        text = read_bytes(place, limit=LARGEST_SOURCE)
    return _executed(os.path.realpath(place), text)


@lru_cache(maxsize=32)  # a training builds its network several times: the file is executed once, until it changes
def _executed(path: str, text: bytes) -> ModuleType:
    """Execute the bytes of a file as a module. Not its import: that would run what lies in `__pycache__` instead."""
    module = ModuleType(f"_convscope_user_{Path(path).stem}_{hashlib.sha256(text).hexdigest()[:8]}")
    module.__file__ = path
    sys.modules[module.__name__] = module  # dataclasses and pickling look there while the file runs
    try:
        exec(compile(text, path, "exec", dont_inherit=True), vars(module))
    except Exception as error:
        raise CaptureError(f"{from_here(path)} does not import: {in_one_line(error)}") from error
    except SystemExit as ended:
        raise CaptureError(
            f"{from_here(path)} ends the program when it is imported (exit {ended.code}): "
            'put what it runs under `if __name__ == "__main__":`'
        ) from ended
    return module


def _of_module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except Exception as error:
        raise CaptureError(f"{name} does not import: {in_one_line(error)}") from error
    except SystemExit as ended:
        raise CaptureError(f"{name} ends the program when it is imported (exit {ended.code})") from ended
