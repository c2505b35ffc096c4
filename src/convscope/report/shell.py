"""Commands to type: quoted, so that a shell takes them whatever the paths in them contain."""

from __future__ import annotations

import shlex

from convscope.report.printable import printable


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
        return shlex.quote(word)
    return "$'" + printable(word.replace("\\", "\\\\").replace("'", "\\'")) + "'"
