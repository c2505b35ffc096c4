"""One number as people write it: thousands set apart in any way, powers, fractions, percent; no decimal comma."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Collection
from fractions import Fraction

from convscope.errors import ConvscopeError
from convscope.exercises.texts import word

MOST_CHARACTERS = 500
MOST_DIGITS = 40

_SIGN = r"(?P<sign>[+-]?)"
_PLAIN = re.compile(_SIGN + r"(?P<digits>\d+)")
_THOUSANDS = re.compile(_SIGN + r"(?P<digits>[1-9]\d{0,2}(?P<mark>[, '_])\d{3}(?:(?P=mark)\d{3})*)(?P<rest>\.\d+)?")
_DOTTED = re.compile(_SIGN + r"(?P<digits>[1-9]\d{0,2}(?:\.\d{3}){2,})")
_DECIMAL = re.compile(_SIGN + r"(?P<number>\d*\.\d+|\d+\.|\d+(?=[eE]))(?:[eE](?P<power>[+-]?\d{1,3}))?")
_COMMA = re.compile(r"[+-]?(?:\d+|\d{1,3}(?:\.\d{3})+),\d+")
_POWER = re.compile(_SIGN + r"(?P<base>\d{1,6})\s*(?:\^|\*\*)\s*(?P<power>\d{1,2})")
_REAL_POWER = re.compile(_SIGN + r"(?P<base>\d{1,6}|\d{0,6}\.\d{1,6})\s*(?:\^|\*\*)\s*(?P<power>[+-]?\d{1,2})")
_OF_TEN = re.compile(_SIGN + r"(?P<number>\d+|\d*\.\d+)\s*[x*]\s*10\s*(?:\^|\*\*)\s*(?P<power>[+-]?\d{1,2})")
_RAISED = re.compile("[⁺⁻]?[⁰¹²³⁴-⁹]+")
_LOWERED = str.maketrans("⁺⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "+-0123456789")
_FRACTION = re.compile(r"(?P<top>[+-]?\d+)\s*/\s*(?P<below>\d+)")

# One for one: signs, commas and spaces that other keyboards write.
_ALIKE = str.maketrans({
    "−": "-", "–": "-", "‐": "-", "‑": "-", "＋": "+", "，": ",", "、": ",", "；": ";", "．": ".", "٬": ",", "٫": ".",
    "’": "'", "‘": "'", "×": "x", "✕": "x", "⨯": "x", "·": "x", "⋅": "x", "∗": "*", "＝": "=", "⁄": "/", "（": "(",
    "）": ")", "［": "[", "］": "]", "\u00a0": " ", "\u2007": " ", "\u2009": " ", "\u202f": " ", "\u3000": " ",
    "\t": " ",
})  # fmt: skip


class AnswerError(ConvscopeError):
    """An answer that can't be read; `suggestion` is what may have been meant, or ""."""

    suggestion = ""


def unreadable(message: str, suggestion: str = "") -> AnswerError:
    """Return the error of an answer that can't be read, with what may have been meant."""
    error = AnswerError(message)
    error.suggestion = suggestion
    return error


def cleaned(text: str) -> str:
    """Return an answer with plain digits, signs, commas and spaces; of an equation, what stands right of its last "=".

    Raises:
        AnswerError: it is empty or far too long.

    >>> cleaned(" 28 − 5 + 1 = ２４ "), cleaned("1.5 × 10⁻⁵")
    ('24', '1.5 x 10^-5')
    """
    if len(text) > MOST_CHARACTERS:
        raise unreadable(word("too-long", characters=len(text), most=MOST_CHARACTERS))
    found = plain_text(text).rpartition("=")[2].strip()
    if not found:
        raise unreadable(word("empty"))
    return found


def plain_text(text: str) -> str:
    """Return a text with plain digits, signs, commas and spaces.

    >>> plain_text("a 4×4 kernel, −1"), plain_text("10⁻⁵")
    ('a 4x4 kernel, -1', '10^-5')
    """
    written = _RAISED.sub(lambda found: f"^{found[0].translate(_LOWERED)}", text)
    return "".join(_digit(character) for character in written.translate(_ALIKE))


def _digit(character: str) -> str:
    value = unicodedata.decimal(character, None)
    return character if value is None else str(value)


def shown(text: str) -> str:
    """Return an answer as a message quotes it: short, without control characters.

    >>> shown("many words " * 9)
    "'many words many words many words many...'"
    """
    return repr(text) if len(text) <= 40 else repr(f"{text[:37]}...")


def read_number(text: str, *, whole: bool, digits: Collection[int] | None = None) -> int | float | None:
    """Return the number that a cleaned text is, or None where it is none.

    Args:
        text: without spaces at its ends.
        whole: whether a whole number is asked for: then dots and commas can set thousands apart.
        digits: how many digits a number of that size can have: "1.792" is asked about only if 4 is among them, and else
            is a decimal number; any unless given.

    Raises:
        AnswerError: a comma or a dot that may stand for either, with the two readings; far too many digits.

    >>> [read_number(text, whole=True) for text in ("15,052,900", "1 792", "2^20", "-5", "31.5", "many")]
    [15052900, 1792, 1048576, -5, 31.5, None]
    >>> [read_number(text, whole=False) for text in ("1/4", "6.6e-3", "25 %", ".5", "0.25^2", "2^-4", "1.5 x 10^-5")]
    [0.25, 0.0066, 0.25, 0.5, 0.0625, 0.0625, 1.5e-05]
    >>> read_number("1.875", whole=True, digits=[2, 3])
    1.875
    """
    if sum(map(str.isdigit, text)) > MOST_DIGITS:
        raise unreadable(word("too-many-digits", most=MOST_DIGITS))
    if not whole and text.endswith("%"):
        share = read_number(text[:-1].rstrip(), whole=False, digits=digits)
        return None if share is None else _as_number(Fraction(share) / 100)
    _ask_about_marks(text, whole=whole, digits=digits)
    if found := _PLAIN.fullmatch(text):
        return int(text)
    if found := _THOUSANDS.fullmatch(text):
        joined = re.sub(r"\D", "", found["digits"])
        return _as_number(Fraction(found["sign"] + joined + (found["rest"] or "")))
    if found := _DOTTED.fullmatch(text):
        return int(found["sign"] + found["digits"].replace(".", ""))
    if found := _DECIMAL.fullmatch(text):
        value = float(text)
        return _as_number(Fraction(text)) if math.isfinite(value) and abs(value) < 1e30 else None
    if found := _POWER.fullmatch(text):
        power: int = int(found["base"]) ** int(found["power"])
        if power >= 10**MOST_DIGITS:
            raise unreadable(word("too-many-digits", most=MOST_DIGITS))
        return -power if found["sign"] == "-" else power
    if not whole and (found := _REAL_POWER.fullmatch(text)):
        return _real_power(float(found["base"]), int(found["power"]), found["sign"])
    if not whole and (found := _OF_TEN.fullmatch(text)):
        return _as_number(Fraction(f"{found['sign']}{found['number']}e{found['power']}"))
    if (found := _FRACTION.fullmatch(text)) and int(found["below"]):
        return _as_number(Fraction(int(found["top"]), int(found["below"])))
    return None


def _real_power(base: float, power: int, sign: str) -> int | float | None:
    if not base and power < 0:
        return None
    if base and power * math.log10(base) >= MOST_DIGITS:
        raise unreadable(word("too-many-digits", most=MOST_DIGITS))
    size: float = base**power
    return _as_number(Fraction(-size if sign == "-" else size))


def _as_number(value: Fraction) -> int | float:
    """Return a number as an integer where it is whole, also once it is rounded, else as a float."""
    if value.denominator == 1:
        return int(value)
    rounded = float(value)
    return int(rounded) if rounded.is_integer() else rounded


def _ask_about_marks(text: str, *, whole: bool, digits: Collection[int] | None) -> None:
    """Raise AnswerError where a comma or a dot can be a decimal mark as well as one that sets thousands apart."""
    can_be_thousands = digits is None or sum(map(str.isdigit, text)) in digits
    if _COMMA.fullmatch(text):
        before, after = text.split(",")
        decimal = f"{before.replace('.', '')}.{after}"
        thousands = _THOUSANDS.fullmatch(text) and (whole or can_be_thousands)
        if not thousands:
            raise unreadable(word("decimal-comma", given=shown(text), decimal=decimal), decimal)
        if not whole:
            raise unreadable(word("either", given=shown(text), whole=before + after, decimal=decimal), decimal)
    elif whole and can_be_thousands and re.fullmatch(r"[+-]?[1-9]\d{0,2}\.\d{3}", text):
        joined = text.replace(".", "")
        raise unreadable(word("dot-thousands", given=shown(text), whole=joined), joined)
