"""The user's own code: `file.py:factory` or `package.module:factory`, imported because the user named it.

Whoever calls `found` runs the code. So only a name that the user gives comes here, or that of a run's copy which the
user trusts; a name that is read from a file is data (`is_own` and `without_folders` tell it apart, and run nothing).
No torch is imported here, unless the code does.
"""

from __future__ import annotations

import ast
import inspect
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from convscope.errors import CaptureError, did_you_mean
from convscope.files.regular import UnreadableError, refused_as
from convscope.files.text import read_text
from convscope.nets.entry import TIMM
from convscope.nets.own_imports import code_of, imported, is_file
from convscope.nets.source_file import LARGEST_SOURCE, LONGEST_NAME, SourceFile
from convscope.report.usage import are_options, setting_name

_CALL = re.compile(r"(.*:[^\W\d]\w*)\((.*)\)", re.DOTALL)
_NAME = re.compile(r"[^\x00-\x1f\x7f:]+:[^\W\d]\w*")


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
    return f"{os.path.realpath(place)}:{factory}" if is_own(name) and is_file(place) else name


def or_trust() -> str:
    """Return what may be given in place of the code's name on the command line; "" in Python, which opens a `Run`."""
    return f", or {setting_name('trust_code')}" if are_options() else ""


def identity(name: str) -> str:
    """Return what a network is known by in a cache: of own code its factory and the hashes of its files."""
    if not is_own(name):
        return name
    return f"{name.rpartition(':')[2]} of {' '.join(one.sha256 for one in source_of(name).files)}"


def found(name: str) -> Any:
    """Import the code that a name means, and return what it names: a factory, a class, a module.

    Raises:
        CaptureError: it does not import, or has nothing of this name; in one line.
    """
    place, attribute = _parted(name)
    module = imported(place)
    if not hasattr(module, attribute):
        there = [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]
        own = [name for name in there if getattr(vars(module)[name], "__module__", None) == module.__name__]
        known = own or there
        hint = did_you_mean(attribute, known) or (f" It has {', '.join(known[:8])}." if known else "")
        raise CaptureError(f"{place} has no {attribute!r}.{hint}")
    return getattr(module, attribute)


def source_of(name: str) -> SourceFile:
    """Return the files of own code as they were imported: the named one, and those of the user's that it imported.

    Of an installed package it is the file alone that defines the factory. The code is imported, and run.

    Raises:
        CaptureError: there is no Python file.
    """
    place, _ = _parted(name)
    factory = found(name)
    if (source := code_of(place).source()) is not None:
        return source
    with suppress(TypeError):
        defined = inspect.unwrap(factory)
        if (path := inspect.getsourcefile(defined)) is not None:
            file = f"{defined.__module__.replace('.', '/')}.py" if hasattr(defined, "__module__") else Path(path).name
            with refused_as(CaptureError, path):
                return SourceFile.read(path, file=file)
    raise CaptureError(f"{name} has no Python file that a run could keep: write one that calls it")


def changed_since(name: str, source: SourceFile) -> str:
    """Return which of the files that a run keeps is not as it was where this name is found; "" where all are.

    Nothing is executed. Of a module that is not of the current folder nothing is known.
    """
    code = code_of(_parted(name)[0])
    for one in source.files:
        named = [code.path] if one is source and code.path is not None else []
        paths = named or [Path(root, one.file) for root in code.roots]
        found = any(path.is_file() for path in paths)
        if not any(_is_as_kept(path, one) for path in paths) and (found or one is not source):
            return one.file
    return ""


def _is_as_kept(path: Path, kept: SourceFile) -> bool:
    try:
        return SourceFile.read(os.fspath(path), file=kept.file).sha256 == kept.sha256
    except UnreadableError:
        return False


@contextmanager
def neighbours_importable(name: str) -> Iterator[None]:
    """Let own code import the files beside it while inside, as where it is run; a module those of this folder."""
    if not is_own(name):
        yield
        return
    with code_of(_parted(name)[0]).importable():
        yield


def with_arguments(text: str) -> tuple[str, dict[str, object]]:
    """Return the name in "net.py:Net(num_classes=10)", and the arguments, which are literals by name.

    >>> with_arguments("net.py:Net(num_classes=10, act='gelu')"), with_arguments("net.py:Net")
    (('net.py:Net', {'num_classes': 10, 'act': 'gelu'}), ('net.py:Net', {}))

    Raises:
        CaptureError: they are not.
    """
    parted = _CALL.fullmatch(text)
    if parted is None:
        return text, {}
    name, inside = parted.groups()
    try:
        call = ast.parse(f"f({inside})", mode="eval").body
        if isinstance(call, ast.Call) and not call.args and all(one.arg for one in call.keywords):
            return name, {str(one.arg): ast.literal_eval(one.value) for one in call.keywords}
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        pass
    raise CaptureError(f"{text}: what is between the parentheses must be values by name, as {name}(num_classes=10)")


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


def _parted(name: str) -> tuple[str, str]:
    if _CALL.fullmatch(name):
        raise CaptureError(
            f"{name}: training gives num_classes itself, and the rest by {setting_name('model_options')}"
        )
    place, _, attribute = name.rpartition(":")
    if not place or not attribute:
        raise CaptureError(f"{name!r} is no network of your own: name it file.py:factory or package.module:factory")
    return place, attribute
