"""Import a user's own code: the file that was named, and the files of the user's that it imports.

Each place has modules of its own, so that the `blocks.py` of one network is not that of another. What is imported is
the text of the files as they are, never what lies in `__pycache__`, and each of them is noted, for a run keeps them.
An installed package is imported as ever.
"""

from __future__ import annotations

import ast
import importlib
import os
import sys
import sysconfig
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from functools import lru_cache
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import spec_from_file_location
from pathlib import Path, PurePosixPath
from types import ModuleType

from convscope.errors import CaptureError
from convscope.files.regular import UnreadableError, read_bytes, refused_as
from convscope.nets.source_file import LARGEST_SOURCE, MOST_FILES, SourceFile
from convscope.report.printable import from_here

PACKAGE = "__init__"
_INSTALLED = tuple(
    os.path.realpath(sysconfig.get_path(name)) + os.sep for name in ("stdlib", "platstdlib", "purelib", "platlib")
)


class OwnCode:
    """The code of one place, a file or a module of a folder: its modules, and the files that were imported for them.

    Args:
        name: of the module, as imports name it; "" for a file that is in no package.
        path: of the file; None for a module, which may be an installed one.
        roots: folders that its imports are looked for in, before installed packages; the first is that of `name`.
    """

    def __init__(self, name: str, path: Path | None, roots: Sequence[Path]) -> None:
        self.name, self.path, self.root = name, path, roots[0]
        self.roots = [os.fspath(root) for root in dict.fromkeys(roots) if not _is_installed(os.fspath(root))]
        self.modules: dict[str, ModuleType] = {}
        self.files: dict[str, tuple[str, SourceFile]] = {}  # by the module's name: the path, and what was read there
        self.main: ModuleType | None = None

    def imported(self) -> ModuleType:
        """Return the module, imported anew where one of its files was changed; raises CaptureError in one line."""
        if self.main is None or not self._is_current():
            self._forget()
            what = self.name if self.path is None else from_here(self.path)
            with self.importable(), _failing_in_one_line(what), redirect_stdout(sys.stderr):
                try:
                    self.main = importlib.import_module(self.name) if self.name else self._alone()
                except BaseException:
                    self._forget()
                    raise
            self._require_own(what)
        return self.main

    def source(self) -> SourceFile | None:
        """Return the file and those that it imported, as a run keeps them; None of an installed package.

        Where they are more than a run keeps, it is the file alone.
        """
        if self._main_name not in self.files:
            return None
        files = {name: one for name, (_, one) in self.files.items()}
        main = files.pop(self._main_name)
        if len(files) >= MOST_FILES or sum(len(one.text) for one in (main, *files.values())) > LARGEST_SOURCE:
            return main
        beside = sorted(files.values(), key=lambda one: one.file)
        return SourceFile(file=main.file, sha256=main.sha256, text=main.text, beside=tuple(beside))

    @contextmanager
    def importable(self) -> Iterator[None]:
        """Let imports inside find the files of this place; afterwards, a user's own modules are as they were."""
        if _entered and _entered[-1] is self:
            yield
            return
        aside = self._set_aside()
        sys.modules.update(self.modules)
        finder = _Finder(self)
        sys.meta_path.insert(sys.meta_path.index(PathFinder) if PathFinder in sys.meta_path else 0, finder)
        sys.path[:0] = self.roots  # for namespace packages, and what is no Python text
        _entered.append(self)
        importlib.invalidate_caches()
        try:
            yield
        finally:
            _entered.pop()
            sys.meta_path.remove(finder)
            for root in self.roots:
                with suppress(ValueError):
                    sys.path.remove(root)
            # Ours stay, for a forward pass may import: those of the place that was entered last.
            sys.modules.update({name: one for name, one in aside.items() if _entered or not _is_ours(one)})

    def execute(self, module: ModuleType, path: str, *, file: str) -> None:
        """Execute a file's text as a module, and note both."""
        name = module.__name__
        source = SourceFile.read(path, file=file)
        self.files[name], self.modules[name] = (path, source), module
        _EXECUTED.add(path)
        try:
            exec(compile(source.text, path, "exec", dont_inherit=True), vars(module))
        except BaseException:
            del self.files[name], self.modules[name]
            raise

    @property
    def _main_name(self) -> str:
        return self.name or ("" if self.path is None else f"_convscope_user_{self.path.stem}_{id(self):x}")

    def _alone(self) -> ModuleType:
        """Import a file that is in no package, under a name that no other module has."""
        assert self.path is not None
        module = ModuleType(self._main_name)
        module.__file__ = os.fspath(self.path)
        sys.modules[module.__name__] = module  # dataclasses and pickling look there while the file runs
        self.execute(module, os.fspath(self.path), file=self.path.name)
        return module

    def _require_own(self, what: str) -> None:
        """Raise CaptureError where the name of a file in a package means another module."""
        assert self.main is not None
        found = getattr(self.main, "__file__", None)
        if self.path is not None and (found is None or os.path.realpath(found) != os.path.realpath(self.path)):
            self._forget()
            raise CaptureError(f"{what} is imported as {self.name}, and that is {found}: name it {self.name}:FACTORY")

    def _is_current(self) -> bool:
        """Return whether the files are as they were imported."""
        try:
            return all(
                read_bytes(path, limit=LARGEST_SOURCE) == source.text for path, source in list(self.files.values())
            )
        except UnreadableError:
            return False

    def _forget(self) -> None:
        for name, module in self.modules.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]
        self.modules, self.files, self.main = {}, {}, None

    def _set_aside(self) -> dict[str, ModuleType]:
        """Take out of sys.modules what has a name of this place's and is not of it; return what was taken."""
        loaded = tuple(sys.modules.items())  # another thread may import meanwhile
        others = {name for name, module in loaded if "." not in name and self._hides(name, module)}
        taken = [name for name, _ in loaded if name.partition(".")[0] in others]
        return {name: sys.modules.pop(name) for name in taken}

    def _hides(self, name: str, module: ModuleType) -> bool:
        if self.modules.get(name) is module or name in ("convscope", "__main__"):
            return False
        place = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", ())), None)
        if not isinstance(place, str) or _is_installed(place):
            return False
        return any(Path(root, name).is_dir() or Path(root, f"{name}.py").is_file() for root in self.roots)


_entered: list[OwnCode] = []
_EXECUTED: set[str] = set()  # the paths of files


def imported(place: str) -> ModuleType:
    """Import a file or a module, and return it; raises CaptureError in one line."""
    return code_of(place).imported()


def is_file(place: str) -> bool:
    """Return whether a place is the path of a file, and no module's name."""
    return place.endswith(".py")


def code_of(place: str) -> OwnCode:
    """Return the code of a place, which need not be imported yet; raises CaptureError where its file can't be read."""
    if is_file(place):
        with refused_as(CaptureError, place):
            return _of_file(os.path.realpath(place), read_bytes(place, limit=LARGEST_SOURCE), os.fspath(Path.cwd()))
    return _of_module(place, os.fspath(Path.cwd()))


@lru_cache(maxsize=32)  # a training builds its network several times: the file is executed once, until it changes
def _of_file(path: str, text: bytes, here: str) -> OwnCode:
    file = Path(path)
    packages: list[str] = []
    folder = file.parent
    levels = _levels_of_relative_imports(text)
    while folder.name.isidentifier() and (len(packages) < levels or (folder / f"{PACKAGE}.py").is_file()):
        packages.insert(0, folder.name)
        folder = folder.parent
    if not packages or not (file.stem.isidentifier()):
        return OwnCode("", file, [file.parent, Path(here), file.parent.parent])
    name = ".".join(packages if file.stem == PACKAGE else (*packages, file.stem))
    return OwnCode(name, file, [folder, Path(here), file.parent])


@lru_cache(maxsize=32)
def _of_module(name: str, here: str) -> OwnCode:
    return OwnCode(name, None, [Path(here)])


def _levels_of_relative_imports(text: bytes) -> int:
    """Return in how many packages a file must be for its relative imports; 0 where it has none."""
    try:
        nodes = ast.walk(ast.parse(text))
        return max((node.level for node in nodes if isinstance(node, ast.ImportFrom)), default=0)
    except (ValueError, SyntaxError, RecursionError, MemoryError):  # its import says so
        return 0


class _Finder(MetaPathFinder):
    """Finds the Python files of one place."""

    def __init__(self, code: OwnCode) -> None:
        self._code = code

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        parent, _, last = fullname.rpartition(".")
        if fullname.partition(".")[0] == "convscope":
            return None
        for place in self._code.roots if not parent else (path or ()):
            if parent and (_is_installed(place) or not any(_is_below(place, root) for root in self._code.roots)):
                continue
            for inner in (f"{last}/{PACKAGE}.py", f"{last}.py"):
                if (found := Path(place, inner)).is_file():
                    file = str(PurePosixPath(*parent.split("."), inner) if parent else inner)
                    return spec_from_file_location(fullname, found, loader=_Loader(self._code, found, file))
        return None


class _Loader(Loader):
    """Executes the text of one file."""

    def __init__(self, code: OwnCode, path: Path, file: str) -> None:
        self._code, self._path, self._file = code, path, file

    def is_package(self, fullname: str) -> bool:
        return self._path.stem == PACKAGE

    def exec_module(self, module: ModuleType) -> None:
        self._code.execute(module, os.fspath(self._path), file=self._file)


@contextmanager
def _failing_in_one_line(what: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise CaptureError(f"{what} does not import: {in_one_line(error)}") from error
    except SystemExit as ended:
        raise CaptureError(
            f"{what} ends the program when it is imported (exit {ended.code}): "
            'put what it runs under `if __name__ == "__main__":`'
        ) from ended


def in_one_line(error: BaseException) -> str:
    """Return the kind of an exception of own code and the first line of its message."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{type(error).__name__}: {error.msg} ({Path(error.filename).name}, line {error.lineno})"
    lines = "".join(traceback.format_exception_only(error)).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__


def failure_in_own_code(error: BaseException) -> str:
    """Return where a user's own code raised an exception, and what, in one line; "" where it is not of own code."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not _is_installed(frame.filename)]
    if not frames or frames[-1].filename not in _EXECUTED:
        return ""
    return f"{from_here(Path(frames[-1].filename))}, line {frames[-1].lineno}: {in_one_line(error)}"


def _is_ours(module: ModuleType) -> bool:
    return isinstance(getattr(module, "__loader__", None), _Loader)


@lru_cache(maxsize=4096)
def _is_installed(path: str) -> bool:
    inside = f"{os.path.realpath(path)}{os.sep}"
    return inside.startswith(_INSTALLED) or "/site-packages/" in inside or "/dist-packages/" in inside


def _is_below(path: str, root: str) -> bool:
    return f"{os.path.realpath(path)}{os.sep}".startswith(f"{os.path.realpath(root)}{os.sep}")
