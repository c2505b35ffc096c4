"""Whether a file or a folder can be written, found before the work whose result it takes."""

from __future__ import annotations

import os
from pathlib import Path

from convscope.errors import ConvscopeError


def require_writable(path: Path, *, folder: bool = False) -> None:
    """Raise ConvscopeError where a file, or with `folder` a folder, can't be written.

    Folders that are not there are no reason: they are made later.
    """
    above = next(place for place in (path.absolute(), *path.absolute().parents) if os.path.lexists(place))
    if above.is_dir() and not folder and path.is_dir():
        why = "it is a folder"
    elif not above.is_dir() and (folder or above != path.absolute()):
        why = f"{above if above != path.absolute() else 'it'} is a file"
    elif above.exists() and not os.access(above, os.W_OK):  # a link may lead to a file that is not there yet
        why = f"no permission to write {above if above != path.absolute() else 'it'}"
    else:
        return
    raise ConvscopeError(f"{path} can't be written: {why}")


def require_folder_of(path: Path | None) -> None:
    """Raise ConvscopeError where a file can't be written, also for want of a folder; None is written nowhere."""
    if path is None:
        return
    if not path.is_dir() and not path.absolute().parent.is_dir():
        raise ConvscopeError(f"{path} can't be written: there is no folder {path.parent}")
    require_writable(path)
