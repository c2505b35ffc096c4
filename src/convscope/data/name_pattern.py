"""A pattern of file names with one part marked: `{group}_*`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

from convscope.errors import DataError

MARK = "{group}"
_PIECES = re.compile(r"(\{group\}|\*)")


@dataclass(frozen=True, kw_only=True)
class NamePattern:
    """Where a group stands in the names of files: `{group}` is the group, `*` any text, the rest stands for itself.

    Names are compared without their ending, and without their folder unless the pattern holds a slash: then with the
    path below the source. Both marks match as little as they can. It is no regular expression: a recipe may come from
    anywhere, and this one can't take longer than a name is long.

    >>> pattern = NamePattern.parse("{group}_*")
    >>> pattern.group_of("scans/p07_left_2.png"), pattern.group_of("scans/overview.png")
    ('p07', None)
    >>> NamePattern.parse("*/{group}/*").group_of("scans/p07/2.png"), NamePattern.parse("*-{group}").group_of("a-b.png")
    ('p07', 'b')
    """

    text: str
    pieces: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> NamePattern:
        """Parse the value of the setting `group_by`; raise DataError if it does not mark one part."""
        if text.count(MARK) != 1:
            raise DataError(
                f"group_by is {text!r}: mark the part of a file's name with {{group}}, like {{group}}_* (up to the "
                "first _), *_{group} or {group}/* (a folder)"
            )
        pieces = tuple(piece for piece in _PIECES.split(text) if piece)
        if any({first, second} <= {MARK, "*"} for first, second in pairwise(pieces)):
            raise DataError(f"group_by is {text!r}: there must be a sign between {{group}} and *, like {{group}}_*")
        if len(pieces) == 1:
            raise DataError(
                f"group_by is {text!r}: it makes every name a group of its own; write more, like {{group}}_*"
            )
        return cls(text=text, pieces=pieces)

    def group_of(self, path: str) -> str | None:
        """Return the group of a file by its path below the source; None if its name does not fit."""
        folder, slash, base = path.rpartition("/")
        base = base.rpartition(".")[0] or base
        name = f"{folder}{slash}{base}" if "/" in self.text else base
        place, found = 0, None
        for number, piece in enumerate(self.pieces):
            if piece in (MARK, "*"):
                # The text up to where the next piece stands; the last piece stands at the end.
                following = self.pieces[number + 1] if number + 1 < len(self.pieces) else ""
                least = place + (piece == MARK)
                last = number + 2 >= len(self.pieces)
                end = len(name) - len(following) if last else name.find(following, least)
                if end < least:
                    return None
                if piece == MARK:
                    found = name[place:end]
                place = end
            elif name.startswith(piece, place):
                place += len(piece)
            else:
                return None
        return found if place == len(name) and found and "/" not in found else None
