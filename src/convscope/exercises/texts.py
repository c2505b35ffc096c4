"""The table of texts: every word of every exercise stands in one file, which can be translated by itself."""

from __future__ import annotations

import string
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

from convscope.report.units import power_of_ten

TABLE = "english.toml"


@cache
def table() -> Mapping[str, Any]:
    """Return the texts: `words` of all exercises, `chapters`, and a table for each exercise by its name."""
    return tomllib.loads(resources.files("convscope.exercises").joinpath(TABLE).read_text("utf-8"))


class _Filler(string.Formatter):
    """Fills in numbers: thousands set apart, a minus sign, shapes with × where the text asks by `:x`."""

    def format_field(self, value: Any, format_spec: str) -> str:
        if isinstance(value, tuple):
            texts = (self.format_field(item, "") for item in value)
            return "×".join(texts) if format_spec == "x" else ", ".join(texts)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return str(value)
        if not format_spec:
            format_spec = "," if isinstance(value, int) else ",.5g"
        text = power_of_ten(format(abs(value), format_spec))
        return f"−{text}" if value < 0 else text


_FILLER = _Filler()


def filled(text: str, numbers: Mapping[str, object]) -> str:
    """Return a text with numbers in the place of their names.

    >>> filled("{shape:x} has {count} values", {"shape": (3, 224, 224), "count": 150528})
    '3×224×224 has 150,528 values'
    >>> filled("{small}, {negative}", {"small": 0.25**8, "negative": -0.5})
    '1.5259 × 10⁻⁵, −0.5'
    """
    return _FILLER.vformat(text, (), numbers)


def word(name: str, /, **numbers: object) -> str:
    """Return a text that all exercises share, filled in."""
    return filled(table()["words"][name], numbers)


def steps_filled(steps: Sequence[Any], numbers: Mapping[str, Any]) -> Iterator[str]:
    """Give the worked steps; one of the form {each, text} is given once for each row of numbers of that name.

    >>> list(steps_filled(["begin with {a}", {"each": "rows", "text": "add {b}"}], {"a": 1, "rows": [{"b": 2}]}))
    ['begin with 1', 'add 2']
    """
    for step in steps:
        if isinstance(step, str):
            yield filled(step, numbers)
        else:
            yield from (filled(step["text"], {**numbers, **row}) for row in numbers[step["each"]])


def rows_text(rows: Sequence[Sequence[object]]) -> str:
    """Return rows of numbers or names in columns, names flush left.

    >>> print(rows_text([(8, -7), (5, 19)]))
    8  -7
    5  19
    """
    cells = [[item if isinstance(item, str) else f"{item:,}" for item in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    names = [isinstance(item, str) and index == 0 for index, item in enumerate(rows[0])]
    lines = (
        "  ".join(c.ljust(w) if name else c.rjust(w) for c, w, name in zip(row, widths, names, strict=True))
        for row in cells
    )
    return "\n".join(line.rstrip() for line in lines)


def answer_text(value: object) -> str:
    """Return an answer as it would be typed: several numbers with commas, or with ; if one has thousands; rows with ;.

    >>> answer_text(15052900), answer_text((4, 1)), answer_text(((8, 7), (5, 9))), answer_text(-30)
    ('15,052,900', '4, 1', '8 7; 5 9', '−30')
    >>> answer_text((307300, 608))
    '307,300; 608'
    """
    if isinstance(value, tuple) and value and isinstance(value[0], tuple):
        return "; ".join(" ".join(_plain(item) for item in row) for row in value)
    if isinstance(value, tuple) and isinstance(value[0], str):
        return " ".join(value)
    if isinstance(value, tuple):
        texts = [_plain(item) for item in value]
        return ("; " if any("," in text for text in texts) else ", ").join(texts)
    return _plain(value)


def _plain(value: object) -> str:
    if isinstance(value, float) and not value.is_integer():
        return power_of_ten(f"{value:.4g}").replace("-", "−")
    return f"{int(value):,}".replace("-", "−") if isinstance(value, int | float) else str(value)
