"""Answers as people write them, read as the kind of value that an exercise asks for."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from convscope.exercises.draw import AnswerKind, AnswerValue
from convscope.exercises.number_text import cleaned, plain_text, read_number, shown, unreadable
from convscope.exercises.texts import table, word

_BETWEEN = re.compile(r"\s*(?:;|(?<=[\d)\s])[xX](?=[\s(]*[+-]?\d)|\*(?!\*)|\||&|\band\b)\s*")
_SIZES = ((2, 2), (3, 3), (1, 1))  # of matrices, where an exercise names no others
MOST_NUMBERS = 64


def parse_answer(
    text: str,
    kind: AnswerKind,
    *,
    lengths: Sequence[int] = (),
    sizes: Sequence[tuple[int, int]] = _SIZES,
    options: Mapping[str, str] | None = None,
    words: Mapping[str, Sequence[str]] | None = None,
    digits: Collection[int] | None = None,
) -> AnswerValue:
    """Return the value that an answer stands for.

    Args:
        text: what was typed.
        kind: what is asked for.
        lengths: how many numbers an answer may have, the right length first.
        sizes: rows and columns that a matrix may have, the right ones first.
        options: the text of each option by its letter, of a choice.
        words: answers in words: the spellings of each, by its name.
        digits: how many digits the whole numbers that may be meant have, as `read_number` takes it.

    Raises:
        AnswerError: empty, no such value, or a comma that may be either a decimal comma or a thousands separator.

    >>> parse_answer("32x64x64", "shape", lengths=[3]), parse_answer("(32, 64, 64)", "shape", lengths=[3])
    ((32, 64, 64), (32, 64, 64))
    >>> parse_answer("15,052,900", "whole"), parse_answer("[[8,7],[5,9]]", "matrix"), parse_answer("2 / 5", "matrix")
    (15052900, ((8, 7), (5, 9)), ((2,), (5,)))
    >>> parse_answer("0,25", "float")
    Traceback (most recent call last):
    ...
    convscope.exercises.number_text.AnswerError: '0,25' has a comma: for a decimal comma write 0.25
    """
    plain = cleaned(text)
    for name, spellings in (words or {}).items():
        if plain.casefold().strip(" .!") in spellings:
            return name
    if kind == "choice":
        return _option(text, plain, options or {})
    if kind == "layers":
        return _layers(plain)
    if kind == "matrix":
        return _matrix(plain, sizes)
    if kind in ("numbers", "shape"):
        return _numbers(plain, lengths, digits)
    found = read_number(_without_unit(plain.strip("()[] ")), whole=kind == "whole", digits=digits)
    if found is None:
        raise unreadable(word(f"no-{kind}", given=shown(text)))
    return found


def _without_unit(text: str) -> str:
    """Return a text without the unit behind the number: "112 px" is 112."""
    found = re.fullmatch(r"(?P<number>.*[\d%.])\s*(?P<unit>[^\W\d_]+)\.?", text)
    return found["number"] if found and found["unit"].casefold() in table()["words"]["units"] else text


def _option(text: str, plain: str, options: Mapping[str, str]) -> str:
    """Return the letter of an option: by the letter, its place from 1, or its text, in which "=" is no equation's."""
    by_text = {_alike(option): letter for letter, option in options.items()}
    for given in (text, plain):
        if (letter := by_text.get(_alike(given))) is not None:
            return letter
    key = plain.casefold().strip(" ().:]")
    if key in options:
        return key
    letters = list(options)
    if key.isdecimal() and len(key) < 4 and 1 <= int(key) <= len(letters):
        return letters[int(key) - 1]
    raise unreadable(word("no-choice", given=shown(plain), letters=", ".join(letters)))


def _alike(text: str) -> str:
    """Return an option's text as it is compared: without case, with plain signs and single spaces."""
    return " ".join(plain_text(text).casefold().split()).strip(" .")


def _numbers(text: str, lengths: Sequence[int], digits: Collection[int] | None) -> tuple[int, ...]:
    """Return several whole numbers, in one of the lengths that are possible where the text allows it."""
    inner = re.sub(r"[()\[\]{}]", " ", text).strip(" ,")
    strong = [part.strip(" ,") for part in _BETWEEN.split(inner)]
    ways = [strong] if len(strong) > 1 else []
    ways.append([part for one in strong for part in re.split(r",\s+|\s+", one) if part])
    for length in lengths or (len(ways[-1]),):
        for parts in ways:
            found = _exactly(parts, length, digits)
            if len(found) == 1:
                return found[0]
            if len(found) > 1:
                raise unreadable(word("ambiguous", given=shown(text), count=length))
    parts = [piece for part in ways[-1] for piece in part.split(",") if piece]
    values = [read_number(_without_unit(part), whole=True, digits=digits) for part in parts]
    if not values or any(value is None for value in values) or len(values) > MOST_NUMBERS:
        raise unreadable(word("no-numbers", given=shown(text), count=lengths[0] if lengths else 2))
    raise unreadable(word("count", count=lengths[0] if lengths else 2, got=len(values)))


def _exactly(parts: Sequence[str], length: int, digits: Collection[int] | None) -> list[tuple[int, ...]]:
    """Return the ways in which the parts are `length` numbers: one with commas can be several, or one in thousands."""
    if len(parts) > length or len(parts) > MOST_NUMBERS:
        return []
    ways: list[tuple[int, ...]] = [()]
    for part in parts:
        read = [each for each in _readings(part, digits) if len(each) <= length]
        ways = [(*way, *each) for way in ways for each in read if len(way) + len(each) <= length]
    return list(dict.fromkeys(way for way in ways if len(way) == length))


def _readings(part: str, digits: Collection[int] | None) -> Iterator[tuple[int, ...]]:
    """Give the whole numbers that a part can stand for: "1,792,640" is one, or 1 and 792,640, or three."""
    pieces = part.split(",")
    if len(pieces) > 12:
        return
    for cuts in range(2 ** (len(pieces) - 1)):
        groups = [pieces[0]]
        for index, piece in enumerate(pieces[1:]):
            if cuts >> index & 1:
                groups.append(piece)
            else:
                groups[-1] += f",{piece}"
        values = []
        for group in groups:
            if "," in group and not re.fullmatch(r"[+-]?[1-9]\d{0,2}(,\d{3})+", group):
                break
            value = read_number(_without_unit(group), whole=True, digits=digits)
            if value is None:
                break
            values.append(value)
        else:
            yield tuple(values)  # type: ignore[arg-type]


def _matrix(text: str, sizes: Sequence[tuple[int, int]]) -> AnswerValue:
    """Return rows of numbers, of one of the sizes that are possible where the text allows it."""
    readings = [found for rows in _row_texts(text) if (found := _rows(rows)) is not None]
    shapes = [(len(found), len(found[0])) for found in readings]
    for size in sizes:
        if size in shapes:
            return readings[shapes.index(size)]
        for found in readings:
            flat = found[0] if len(found) == 1 else ()
            if len(flat) == size[0] * size[1]:
                return tuple(flat[row * size[1] : (row + 1) * size[1]] for row in range(size[0]))
    pointed = re.sub(r"(\d),(?=\d)", r"\1.", text)
    if pointed != text and any(
        found is not None and (len(found), len(found[0])) in sizes for found in map(_rows, _row_texts(pointed))
    ):
        raise unreadable(word("decimal-comma", given=shown(text), decimal=pointed), pointed)
    if not readings:
        raise unreadable(word("no-matrix", given=shown(text)))
    return readings[0]


def _row_texts(text: str) -> Iterator[list[str]]:
    """Give the ways in which a text can be rows: brackets, semicolons, slashes or lines, else spaces around commas."""
    opened = re.sub(r"[\])]\s*,?\s*[\[(]", ";", text.replace("\n", ";"))
    plain = re.sub(r"[()\[\]{}]", " ", opened)
    rows = [row for row in re.split(r"[;/|]", plain) if row.strip()]
    yield rows
    if len(rows) == 1 and "," in plain:
        yield plain.split()


def _rows(rows: Sequence[str]) -> tuple[tuple[float, ...], ...] | None:
    """Return rows of numbers, or None where they are none or differ in length."""
    found = []
    for row in rows:
        values = [read_number(part, whole=False) for part in re.split(r"[,\s]+", row.strip(" ,")) if part]
        if not values or len(values) > MOST_NUMBERS:
            return None
        found.append(tuple(value for value in values if value is not None))
        if len(found[-1]) != len(values):
            return None
    return tuple(found) if found and len({len(row) for row in found}) == 1 else None


def _layers(text: str) -> tuple[str, ...]:
    """Return the layers of a stack: "3" a 3x3 convolution, "3/2" one of stride 2, "p" a 2x2 pooling of stride 2.

    >>> _layers("3 3 p, conv3/2 pool")
    ('3', '3', 'p', '3/2', 'p')
    """
    found: list[str] = []
    for part in re.split(r"[,;\s>-]+", text.casefold().strip(" ,;>-")):
        plain = re.sub(r"^(?:conv(?:olution)?|k|c)?(\d{1,2})(?:x\1)?(?:/(\d))?$", r"\1/\2", part).removesuffix("/")
        if re.fullmatch(r"p|p2|pool|pool2|maxpool|2x2pool", part):
            plain = "p"
        if plain != "p" and not re.fullmatch(r"[1-9]\d?(?:/[1-9])?", plain):
            raise unreadable(word("no-layers", given=shown(part)))
        found.append(plain.removesuffix("/1"))
    if len(found) > MOST_NUMBERS:
        raise unreadable(word("too-many-layers", got=len(found), most=MOST_NUMBERS))
    return tuple(found)
