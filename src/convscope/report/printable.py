"""Names that others chose, as they can be shown: a file or class may be called anything, escape sequences included."""

from __future__ import annotations

import unicodedata

# Control and formatting characters, surrogates, line and paragraph separators.
UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def printable(name: str) -> str:
    r"""A name or path as it can be shown and written anywhere: control and undecodable characters are escaped.

    >>> printable("a\nb/\udcff.jpg")
    'a\\nb/\\xff.jpg'
    """
    if name.isprintable():
        return name
    shown = []
    for character in name:
        if "\udc80" <= character <= "\udcff":
            shown.append(f"\\x{ord(character) - 0xDC00:02x}")
        elif unicodedata.category(character) in UNPRINTABLE:
            shown.append(character.encode("unicode_escape").decode("ascii"))
        else:
            shown.append(character)
    return "".join(shown)
