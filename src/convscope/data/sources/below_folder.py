"""Images anywhere below a folder, by their names: for tables that give bare names."""

from __future__ import annotations

import os
import unicodedata

from convscope.data.sources.walk import IMAGE_ENDINGS, is_hidden
from convscope.errors import DataError

# More below one folder are not listed.
MOST_IMAGES, MOST_FOLDERS = 2_000_000, 100_000


def list_below(folder: str) -> dict[str, list[str]]:
    """Return the folders below one, by the names without ending, in NFC, of the images in them.

    Hidden folders and links to folders are left out.

    Raises:
        DataError: there are more than MOST_IMAGES images or MOST_FOLDERS folders.
    """
    found: dict[str, list[str]] = {}
    images = 0
    for folders, (place, below, names) in enumerate(os.walk(folder), start=1):
        below[:] = sorted(name for name in below if not is_hidden(name))
        for name in names:
            stem, dot, ending = name.rpartition(".")
            if dot and ending.lower() in IMAGE_ENDINGS and not is_hidden(name):
                images += 1
                places = found.setdefault(unicodedata.normalize("NFC", stem), [])
                if place not in places[-1:]:  # folders come one after another
                    places.append(place)
        if images > MOST_IMAGES or folders > MOST_FOLDERS:
            raise DataError(
                f"{folder} holds more than {MOST_IMAGES:,} images or {MOST_FOLDERS:,} folders: write paths into the "
                "table, in place of names alone"
            )
    return found
