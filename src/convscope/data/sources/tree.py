"""The tree of folders below a source, listed lazily."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from convscope.data.sources.walk import could_be_image, folders_around, is_hidden
from convscope.report.short_repr import named_folder


class Branch:
    """A folder and, listed lazily, those in it; one that can't be read counts as holding images.

    `name` is its own name, `path` its path. Hidden and system folders are left out, links are followed.
    """

    def __init__(self, path: str, *, above: Branch | None = None) -> None:
        self.path = path
        self.name = Path(path).name
        self._key = _identity(path)
        self._above: frozenset[tuple[int, int]] = frozenset() if above is None else above._above | {above._key}
        # The folder that was named and all that it lies in: a link to one of them would read what lies beside it.
        self._around: frozenset[tuple[int, int]] = folders_around(path) if above is None else above._around
        # Whether a folder holds images, by its identity: through links it may be met several times.
        self._known: dict[tuple[int, int], bool] = {} if above is None else above._known

    @cached_property
    def shown(self) -> str:
        """The path for a message: of "." and ".." the folder's own name."""
        return named_folder(self.path)

    @cached_property
    def _entries(self) -> tuple[int, tuple[Branch, ...], tuple[str, ...]]:
        """The number of images in the folder itself, the folders in it sorted by name, and circular links."""
        images, folders, circles = 0, [], []
        try:
            with os.scandir(self.path) as entries:
                for entry in entries:
                    if _is_folder(entry):
                        if is_hidden(entry.name):
                            continue
                        branch = Branch(entry.path, above=self)
                        if entry.is_symlink() and branch._key in self._around:
                            circles.append(entry.path)
                        else:
                            folders.append(branch)
                    elif could_be_image(entry.name) and not is_hidden(entry.name):
                        images += 1
        except OSError:
            images += 1
        return images, tuple(sorted(folders, key=lambda branch: branch.name)), tuple(sorted(circles))

    @property
    def images(self) -> int:
        """The number of images in the folder itself."""
        return self._entries[0]

    @property
    def folders(self) -> tuple[Branch, ...]:
        """The folders in it, sorted by name."""
        return self._entries[1]

    @property
    def circles(self) -> tuple[str, ...]:
        """The links in it to a parent folder, which are not followed."""
        return self._entries[2]

    @cached_property
    def holds_images(self) -> bool:
        """Whether it contains an image at any depth."""
        if self._key in self._above:  # a link to a folder that it lies in
            return False
        if self._key not in self._known:
            self._known[self._key] = self.images > 0 or any(folder.holds_images for folder in self.folders)
        return self._known[self._key]

    @cached_property
    def below(self) -> tuple[Branch, ...]:
        """The folders in it that contain images at any depth."""
        return tuple(folder for folder in self.folders if folder.holds_images)

    @cached_property
    def empty(self) -> tuple[Branch, ...]:
        """The folders in it that contain no image."""
        return tuple(folder for folder in self.folders if not folder.holds_images)

    @property
    def names_below(self) -> frozenset[str]:
        """The names of the folders in it that contain images."""
        return frozenset(folder.name for folder in self.below)

    @property
    def has_classes(self) -> bool:
        """Whether it has folders with images, and no image beside them."""
        return not self.images and bool(self.below)

    def files(self) -> Iterator[str]:
        """Return the names of all files in it at any depth, hidden ones left out."""
        for _, folders, names in os.walk(self.path):
            folders[:] = [name for name in folders if not is_hidden(name)]
            yield from (name for name in names if not is_hidden(name))


def _identity(path: str) -> tuple[int, int]:
    try:
        status = Path(path).stat()
    except OSError:
        return (0, 0)
    return (status.st_dev, status.st_ino)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False
