"""Ink: the only place where numbers become text. Records hold `118_013_952`; here it becomes "118.0 M".

Prefixes are decimal throughout (1 MB is 1,000,000 bytes). A multiply-add is one MAC, and nothing is called a FLOP.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction

from convscope.errors import ConvscopeError
from convscope.files.fields import in_short

UNKNOWN = "?"  # what a table shows where a number is not known; never 0

_PREFIXES = ("", "k", "M", "G", "T", "P", "E")
_RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def exact(number: int | None) -> str:
    """Return a whole number with thousands set apart.

    >>> exact(118_013_952), exact(None)
    ('118,013,952', '?')
    """
    return UNKNOWN if number is None else f"{number:,}"


def count(number: int | None) -> str:
    """Return a whole number in four digits with its prefix; small ones as they are.

    >>> [count(n) for n in (0, 760, 9_999, 60_840, 999_960, 11_689_512, 118_013_952, 1_814_073_344, None)]
    ['0', '760', '9,999', '60.84 k', '1.000 M', '11.69 M', '118.0 M', '1.814 G', '?']
    """
    if number is None:
        return UNKNOWN
    if abs(number) < 10_000:
        return exact(number)
    digits, prefix = _scaled(number)
    return f"{digits} {prefix}"


def macs(number: int | None) -> str:
    """Multiply-adds with their unit.

    >>> macs(768_000), macs(1_814_073_344)
    ('768.0 k MACs', '1.814 G MACs')
    """
    return f"{count(number)} MAC{'' if number == 1 else 's'}"


def byte_size(number: int | None) -> str:
    """Return the bytes with a decimal prefix.

    >>> [byte_size(n) for n in (0, 512, 3_211_264, 574_671_192)]
    ['0 B', '512 B', '3.211 MB', '574.7 MB']
    """
    if number is None:
        return UNKNOWN
    if abs(number) < 1000:
        return f"{number} B"
    digits, prefix = _scaled(number)
    return f"{digits} {prefix}B"


def parse_byte_size(text: str) -> int:
    """Return the bytes from text such as "8GB", "512 MB" or "8GiB".

    Raises:
        ConvscopeError: not a number with a unit of bytes.

    >>> parse_byte_size("8GB"), parse_byte_size("1.5 GiB")
    (8000000000, 1610612736)
    """
    found = re.fullmatch(r"\s*(\d{1,18}(?:\.\d{1,18})?)\s*(?:([kKMGTPE])(i?)[bB]?|[bB])\s*", text)
    if not found:
        raise ConvscopeError(f"{in_short(text)} is not a size in bytes: write it like 8GB, 512MB or 16GiB")
    digits, prefix, binary = found.groups()
    if prefix is None:
        return int(Fraction(digits))
    power = _PREFIXES.index("k" if prefix == "K" else prefix)
    return int(Fraction(digits) * (1024 if binary else 1000) ** power)


def seconds(duration: float | None) -> str:
    """Return a duration in the unit that a reader would choose.

    >>> [seconds(t) for t in (0.0000042, 0.0123, 3.21, 59.96, 125, 3725, 90061)]
    ['4.2 µs', '12.3 ms', '3.2 s', '1 min 00 s', '2 min 05 s', '1 h 02 min', '25 h 01 min']
    """
    if duration is None:
        return UNKNOWN
    for scale, unit in ((1e6, "µs"), (1e3, "ms"), (1.0, "s")):
        limit = 60 if unit == "s" else 1000
        if round(duration * scale, 1) < limit:
            return f"{duration * scale:.1f} {unit}"
    whole = round(duration)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def whole_tenths(duration: float) -> str:
    """Return a duration that is an estimate: no finer than a tenth of a second.

    >>> [whole_tenths(t) for t in (0.0042, 0.6067, 59.96, 125)]
    ['0.0 s', '0.6 s', '1 min 00 s', '2 min 05 s']
    """
    return f"{duration:.1f} s" if round(duration, 1) < 60 else seconds(duration)


def loss(value: float) -> str:
    """Return a loss in four decimals, and by its power of ten where that would be more than ten characters.

    >>> loss(0.25), loss(99_999.5), loss(1.26129e26), loss(float("nan"))
    ('0.2500', '99999.5000', '1.2613e+26', 'nan')
    """
    text = f"{value:.4f}"
    return text if len(text) <= 10 else f"{value:.4e}"


def percent(fraction: float | None, *, decimals: int = 1) -> str:
    """Return a share of 1 as a percentage.

    >>> percent(0.9342), percent(1, decimals=0)
    ('93.4 %', '100 %')
    """
    return UNKNOWN if fraction is None else f"{fraction * 100:.{decimals}f} %"


def interval(ends: tuple[float, float] | None, *, name: str = "95 % interval ") -> str:
    """Return an interval of shares of 1 in percent, after its name.

    >>> interval((0.9264, 0.985)), interval(None)
    ('95 % interval 92.6 to 98.5 %', '95 % interval unknown')
    """
    return f"{name}unknown" if ends is None else f"{name}{ends[0] * 100:.1f} to {percent(ends[1])}"


def times(ratio: float) -> str:
    """Return how many times one thing is another.

    >>> times(5376.04), times(2.5), times(0.125)
    ('5,376×', '2.5×', '0.125×')
    """
    if ratio >= 100:
        return f"{ratio:,.0f}×"
    return f"{ratio:.3g}×"


def raised(power: int) -> str:
    """Return a power in raised digits.

    >>> raised(8), raised(-12)
    ('⁸', '⁻¹²')
    """
    return str(power).translate(_RAISED)


def power_of_ten(text: str) -> str:
    """Return a number's text with its exponent, if it has one, as a power of ten.

    >>> power_of_ten("1.5e-05"), power_of_ten("0.25")
    ('1.5 × 10⁻⁵', '0.25')
    """
    number, mark, power = text.partition("e")
    return f"{number} × 10{raised(int(power))}" if mark else text


def shape(sizes: Sequence[int]) -> str:
    """Return a shape as the field writes it.

    >>> shape((3, 224, 224)), shape(())
    ('3×224×224', 'scalar')
    """
    return "×".join(str(size) for size in sizes) if sizes else "scalar"


def per_axis(sizes: Sequence[int | None]) -> str:
    """Return one number when all axes agree, else one per axis.

    >>> per_axis((7, 7)), per_axis((1, 7)), per_axis((None, None))
    ('7', '1×7', '?')
    """
    texts = [UNKNOWN if size is None else str(size) for size in sizes]
    return texts[0] if len(set(texts)) == 1 else "×".join(texts)


def plural(number: int, noun: str, several: str | None = None) -> str:
    """Return a count with its noun.

    >>> plural(1, "layer"), plural(16, "layer"), plural(2, "branch", "branches")
    ('1 layer', '16 layers', '2 branches')
    """
    return f"{number:,} {noun if number == 1 else several or noun + 's'}"


def _scaled(number: int) -> tuple[str, str]:
    """Four significant digits and a prefix, rounded half to even on the exact integer."""
    power = 0
    size = abs(number)
    while power + 1 < len(_PREFIXES) and size >= 1000 ** (power + 1):
        power += 1
    decimals = max(0, 4 - len(str(size // 1000**power)))
    rounded = round(Fraction(size, 1000**power), decimals)
    if rounded >= 1000 and power + 1 < len(_PREFIXES):
        power, decimals, rounded = power + 1, 3, Fraction(rounded, 1000)
    sign = "-" if number < 0 else ""
    return f"{sign}{float(rounded):,.{decimals}f}", _PREFIXES[power]
