"""Modules of a package that are imported when they are first named."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from types import ModuleType


def submodule(package: str, paths: Iterable[str], name: str, *, known: Iterable[str] = ()) -> ModuleType:
    """Import `package.name`, for the package's `__getattr__`.

    Raises:
        AttributeError: there is no such module; with the nearest among its modules and the names that are known.
    """
    import pkgutil  # here, as most programs need neither

    from convscope.errors import did_you_mean

    modules = {found.name for found in pkgutil.iter_modules(list(paths)) if not found.name.startswith("_")}
    if name in modules:
        return importlib.import_module(f"{package}.{name}")
    near = "" if name.startswith("_") else did_you_mean(name, sorted({*modules, *known}))
    raise AttributeError(f"module {package!r} has no attribute {name!r}{'.' if near else ''}{near}")
