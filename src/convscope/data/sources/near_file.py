"""A file that may be meant where a table names one that is not there."""

from __future__ import annotations

import itertools
import os
import unicodedata
from pathlib import Path
from urllib.parse import unquote

from convscope.data.sources.image_finder import folders_beside, folders_in, has_image_ending, joined
from convscope.report.printable import printable
from convscope.report.usage import settings_text

# Folders below the table's that are looked into.
MOST_LOOKED_INTO = 2_000


def near_file(table: str, lost: str) -> str:
    """Return a clause on a file that may be meant by a path where none is; "" if there is none.

    It lies in the same folder, beside the table or three folders below it, and is called alike but for case, ending,
    accents, zeros in front, or the signs that web addresses have in place of others.
    """
    folder, _, name = lost.rpartition(os.sep)
    here = Path(table).parent
    wanted = _in_short(name)
    for place in (folder, str(here), *folders_beside(here)):
        try:
            there = sorted(each for each in os.listdir(place) if has_image_ending(each) and _in_short(each) == wanted)  # noqa: PTH208
        except OSError:
            continue
        if there:
            shown = os.path.relpath(str(Path(place, there[0])), here)
            option = f": {settings_text(image_folder=os.path.relpath(place, here))}" if there[0] == name else ""
            return f", but {printable(shown)} is there{option}"
    if Path(folder) != here:
        return ""
    thirds = (
        third for first in folders_in(here) for second in folders_in(Path(first)) for third in folders_in(Path(second))
    )
    for place in itertools.islice(thirds, MOST_LOOKED_INTO):
        if os.path.lexists(joined(place, name)):
            around = os.path.relpath(Path(place).parent, here)
            shown = os.path.relpath(str(Path(place, name)), here)
            return f", but {printable(shown)} is there: {settings_text(image_folder=around)}"
    return ""


def _in_short(name: str) -> str:
    name = unicodedata.normalize("NFC", unquote(name)).casefold()
    return (name.rpartition(".")[0] if has_image_ending(name) else name).lstrip("0")
