"""Names from outside, as they can be shown, and commands with such names, as they can be typed.

A file or class may have any name, escape sequences included.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

# Control and formatting characters, surrogates, line and paragraph separators.
UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# Formatting characters that belong to how words and emoji are spelled, and change nothing around them.
JOINERS = "\u200c\u200d"
# Control and formatting characters that Python escapes as \x85 or \xad.
_BEYOND_ASCII = re.compile("[\x80-\x9f\xad]")


def printable(name: str) -> str:
    r"""Return a name or path as it can be shown and written anywhere: control and undecodable characters are escaped.

    >>> printable("a\nb/\udcff.jpg")
    'a\\nb/\\xff.jpg'
    """
    if name.isprintable():
        return name
    shown = []
    for character in name:
        if "\udc80" <= character <= "\udcff":
            shown.append(f"\\x{ord(character) - 0xDC00:02x}")
        elif is_unprintable(character):
            shown.append(character.encode("unicode_escape").decode("ascii"))
        else:
            shown.append(character)
    return "".join(shown)


def printable_lines(text: str) -> str:
    r"""Return a text of several lines as it can be shown: only its line breaks stay.

    >>> printable_lines("one\x1b[2J\ntwo")
    'one\\x1b[2J\ntwo'
    """
    return text if text.isprintable() else "\n".join(map(printable, text.split("\n")))


def is_unprintable(character: str) -> bool:
    """Return whether a character steers what shows it, or shows nothing.

    >>> is_unprintable("\x1b"), is_unprintable("\u202e"), is_unprintable("é")
    (True, True, False)
    """
    return character not in JOINERS and unicodedata.category(character) in UNPRINTABLE


def quoted_where_blank(name: str) -> str:
    """Return a name as it is listed among others: in quotes where a blank at an end would not be seen.

    >>> quoted_where_blank("cat"), quoted_where_blank("cat ")
    ('cat', "'cat '")
    """
    return name if name == name.strip() else repr(name)


def few(names: Iterable[str], most: int = 5) -> str:
    """Return up to `most` names with commas between, and how many more there are.

    >>> few("abcdefg")
    'a, b, c, d, e and 2 more'
    """
    names = list(names)
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most:,} more" if len(names) > most else shown


def first_and_last(names: Iterable[str], *, first: int = 10, last: int = 3) -> str:
    """Return names with commas between; of more than `first` + `last`, the first and the last ones.

    >>> first_and_last(map(str, range(100)), first=3, last=2)
    '0, 1, 2, ..., 98, 99'
    """
    shown = list(names)
    if len(shown) > first + last:
        shown[first:-last] = ["..."]
    return ", ".join(shown)


def from_here(path: str | os.PathLike[str]) -> str:
    """Return a path as it is typed from the current directory: relative where it is inside, else as it is.

    >>> from_here(os.path.abspath("runs/first")), from_here("/elsewhere/runs")
    ('runs/first', '/elsewhere/runs')
    """
    try:
        return os.fspath(Path(path).relative_to(Path.cwd()))
    except (ValueError, OSError):  # it lies elsewhere, or the current directory is gone
        return os.fspath(path)


def shell_quote(*words: object) -> str:
    r"""Return the words of a command as they are typed into a POSIX shell.

    What can't be shown, such as a line break in a path, is written as the shell's $'...' has it.

    >>> shell_quote("convscope", "evaluate", "my runs/one")
    "convscope evaluate 'my runs/one'"
    >>> shell_quote("convscope", "train", "a\nb")
    "convscope train $'a\\nb'"
    """
    return " ".join(_word(str(word)) for word in words)


def _word(word: str) -> str:
    if printable(word) == word:
        import shlex

        return shlex.quote(word)
    escaped = word.replace("\\", "\\\\").replace("'", "\\'")
    # To a shell \xad is a byte: what is a character beyond ASCII is written by its number, as \u00ad.
    return "$'" + printable(_BEYOND_ASCII.sub(lambda found: f"\\u{ord(found[0]):04x}", escaped)) + "'"
