"""Names of run directories, new ones and those that are taken, and of images in them."""

from __future__ import annotations

import re
from itertools import count, takewhile
from pathlib import Path, PurePath

from convscope.data.listing import is_in_memory
from convscope.data.records import Dataset
from convscope.data.shards.shards import KIND as SHARDS
from convscope.data.sources.digits import ALWAYS_DIGITS
from convscope.data.sources.table import KIND, is_table
from convscope.errors import RunError
from convscope.nets.own_code import without_folders
from convscope.report.usage import setting_name
from convscope.runs.run_directory import Run

# The signs of a pattern of archives.
_PATTERN = re.compile(r"[*?\[{]")


def require_name(name: str | None) -> None:
    """Raise RunError if a run can't have this name; None lets the run be named for its data and network."""
    if name is not None and (not name.strip() or name != Path(name).name or name == ".." or not name.isprintable()):
        where = setting_name("runs_directory")
        raise RunError(f"{name!r} can't be the name of a run: give the name of one folder; {where} says where it goes")


def create_run(parent: Path, name: str) -> Run:
    """Make `parent/name`, or the next free name (`name-2`, `name-3`, ...); raises RunError where none can be made."""
    try:
        parent.mkdir(parents=True, exist_ok=True)
        for number in count(1):
            path = parent / (name if number == 1 else f"{name}-{number}")
            try:
                path.mkdir()  # fails where it exists: two runs that start together get two names
            except FileExistsError:
                continue
            return Run(path)
    except OSError as error:
        raise RunError(f"no run directory can be made in {parent}: {error.strerror or error}") from error
    raise AssertionError("unreachable: count() does not end")


def run_name(data: str, model: str) -> str:
    """Return a folder name from the data's and the network's.

    >>> run_name("/data/My photos!/", "resnet18"), run_name("labels.csv", "lenet5")
    ('My-photos-resnet18', 'labels-lenet5')
    >>> run_name("digits", "nets/net.py:make"), run_name("built-in:digits", "lenet5")
    ('digits-net-make', 'digits-lenet5')
    """
    path = Path("memory" if is_in_memory(data) else "digits" if data == ALWAYS_DIGITS else data)
    stem = re.sub(r"[^\w.]+", "-", (path.stem if is_table(path) else path.name) or "data").strip("-.") or "data"
    return f"{stem[:60]}-{re.sub('([.]py)?:', '-', without_folders(model))}"


def short_name(name: str, dataset: Dataset) -> str:
    """Return an image's name below its source or its table's folder, the same however the source is named."""
    folder, path = dataset.source, PurePath(dataset.source)
    if dataset.kind == KIND:
        folder = str(path.parent)
    elif dataset.kind == SHARDS and _PATTERN.search(folder):
        # The folder in which all archives of the pattern lie; they are named as it is typed, "./" included.
        folder = str(PurePath(*takewhile(lambda part: not _PATTERN.search(part), path.parts)))
        name = str(PurePath(name))
    # A name below the current folder begins with "./", or with no folder at all.
    return name.removeprefix("./" if folder == "." else folder).lstrip("/")
