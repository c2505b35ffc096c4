"""List every image file below a folder once; hidden names are skipped, and circular links are not followed."""

from __future__ import annotations

import os
import stat
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from convscope.data.listing import ListedFile
from convscope.data.records import Problem
from convscope.files.regular import explain_os_error, kind_of_file

# Read by content, whatever the name says; these endings (and none at all) make a file a candidate.
_READ = "jpg jpeg jpe jfif png webp gif bmp dib tif tiff ppm pgm pbm pnm mpo"
# Images that can't be read are listed with the reason, rather than passed over.
_NOT_READ = "heic heif avif jxl jp2 j2k svg eps psd tga ico dcm dng cr2 nef arw exr hdr raw"
IMAGE_ENDINGS = frozenset(_READ.split()) | frozenset(_NOT_READ.split())
# Names without an ending that are not images.
_TEXTS = "readme license licence copying authors changelog notes makefile dockerfile md5sums sha256sums"
TEXT_NAMES = frozenset(_TEXTS.split())
SYSTEM_NAMES = frozenset(
    {"__macosx", "@eadir", "lost+found", "$recycle.bin", "system volume information"}
    | {"thumbs.db", "ehthumbs.db", "desktop.ini", "_ds_store", "icon\r"}
)


@dataclass
class Walk:
    """The files found in one split, shared by its classes, so that a file counts once in a split."""

    problems: list[Problem] = field(default_factory=list)
    # Files that are no images by their endings, counted by ending.
    passed_over: Counter[str] = field(default_factory=Counter)
    # What is reached by a link and counted already: files and folders of the same class, and either of another one.
    linked_again: list[str] = field(default_factory=list)
    folders_again: list[str] = field(default_factory=list)
    linked_elsewhere: list[str] = field(default_factory=list)
    # Folders that links may not lead to, for the class folders lie in them; and the links that do.
    around: frozenset[tuple[int, int]] = frozenset()
    circles: list[str] = field(default_factory=list)
    # The files of which class a folder's are among, and each file is, by its identity.
    _folders: dict[tuple[int, int], list[ListedFile]] = field(default_factory=dict)
    _files: dict[tuple[int, int], list[ListedFile]] = field(default_factory=dict)
    _links: list[tuple[str, list[ListedFile]]] = field(default_factory=list)
    # Files that links led to: where another link leads to their folder, they are not counted again.
    _linked: set[tuple[int, int]] = field(default_factory=set)

    def collect(self, *folders: str) -> list[ListedFile]:
        """Return the image files below some folders; `follow_links` later extends the list by linked files."""
        found: list[ListedFile] = []
        for folder in folders:
            self._descend(folder, found)
        return found

    def follow_links(self) -> None:
        """Add the targets of symbolic links that have not been counted yet.

        In the order of their paths: which of two links to one file counts is the same on any machine.
        """
        while self._links:
            links, self._links = sorted(self._links, key=lambda link: link[0]), []
            for path, found in links:
                self._follow(path, found)

    def _follow(self, path: str, found: list[ListedFile]) -> None:
        try:
            status = Path(path).stat()
        except OSError as error:
            reason = "a link to nothing" if isinstance(error, FileNotFoundError) else explain_os_error(error)
            self.problems.append(Problem(path, reason))
            return
        key = (status.st_dev, status.st_ino)
        if stat.S_ISDIR(status.st_mode):
            if key in self.around:
                self.circles.append(path)
            else:
                self._descend(path, found)
        elif key in self._files:
            self._meet_again(path, key, found)
        else:
            self._linked.add(key)
            self._add(path, status, found)

    def _meet_again(self, path: str, key: tuple[int, int], found: list[ListedFile]) -> None:
        (self.linked_again if self._files[key] is found else self.linked_elsewhere).append(path)

    def _descend(self, folder: str, found: list[ListedFile]) -> None:
        pending = [folder]
        while pending:
            folder = pending.pop()
            try:
                status = Path(folder).stat()
                key = (status.st_dev, status.st_ino)
                if (counted := self._folders.get(key)) is not None:
                    (self.folders_again if counted is found else self.linked_elsewhere).append(folder)
                    continue
                self._folders[key] = found
                with os.scandir(folder) as entries:
                    for entry in entries:
                        self._meet(entry, pending, found)
            except OSError as error:
                self.problems.append(Problem(folder, explain_os_error(error)))

    def _meet(self, entry: os.DirEntry[str], pending: list[str], found: list[ListedFile]) -> None:
        name = entry.name
        if is_hidden(name):
            return
        if entry.is_symlink():
            if self._leads_to_folder(entry) or self._is_candidate(name):
                self._links.append((entry.path, found))
        elif entry.is_dir(follow_symlinks=False):
            pending.append(entry.path)
        elif self._is_candidate(name):
            try:
                status = entry.stat(follow_symlinks=False)
            except OSError as error:  # removed since the folder was listed: the others of the folder are still there
                self.problems.append(Problem(entry.path, explain_os_error(error)))
                return
            if (key := (status.st_dev, status.st_ino)) in self._linked:
                self._meet_again(entry.path, key, found)
            else:
                self._add(entry.path, status, found)

    @staticmethod
    def _leads_to_folder(link: os.DirEntry[str]) -> bool:
        try:
            return link.is_dir()
        except OSError:  # a link that leads to itself
            return False

    def _is_candidate(self, name: str) -> bool:
        if could_be_image(name):
            return True
        _, dot, ending = name.rpartition(".")
        self.passed_over[dot + ending.lower() if dot else name] += 1
        return False

    def _add(self, path: str, status: os.stat_result, found: list[ListedFile]) -> None:
        if not stat.S_ISREG(status.st_mode):
            self.problems.append(Problem(path, f"not a regular file but {kind_of_file(status.st_mode)}"))
            return
        self._files[status.st_dev, status.st_ino] = found
        found.append(ListedFile(path, status.st_size, status.st_mtime_ns))


def folders_around(path: str) -> frozenset[tuple[int, int]]:
    """Return the identities (device, inode) of a folder and its parents, by its path and by its resolved path."""
    found = set()
    try:
        here = (Path(path).absolute(), Path(path).resolve())
    except (OSError, RuntimeError):  # a link that leads to itself
        return frozenset()
    for folder in {above for start in here for above in (start, *start.parents)}:
        try:
            status = folder.stat()
        except OSError:
            continue
        found.add((status.st_dev, status.st_ino))
    return frozenset(found)


def could_be_image(name: str) -> bool:
    """Return whether a file of this name may be an image: it has the suffix of one, or none.

    >>> could_be_image("0001.JPG"), could_be_image("0001"), could_be_image("README"), could_be_image("labels.csv")
    (True, True, False, False)
    """
    _, dot, ending = name.rpartition(".")
    return ending.lower() in IMAGE_ENDINGS if dot else name.casefold() not in TEXT_NAMES


def is_hidden(name: str) -> bool:
    """Return whether a name is skipped without a note: hidden, or the system's own.

    >>> is_hidden(".DS_Store"), is_hidden("Thumbs.db"), is_hidden("rose.jpg")
    (True, True, False)
    """
    return name[0] == "." or name.casefold() in SYSTEM_NAMES
