"""What a link of the page says: read, written and kept within range. No torch; `static/state.js` does the same.

    #/explore?v=1&m=resnet18&i=sample:3&l=layer2.0.conv2&c=17&at=14,14&x=shift:3,-2;off:layer1.0.relu:5
    #/train?v=1&run=NAME
    #/learn/3a?seed=42

Keys that are not known are ignored; a value that can't be read is left out, one out of range is moved to the nearest
end, and a note says so. Text is percent-encoded as JavaScript's encodeURIComponent does it, but `: , ; / @` stay.

Interventions are joined by ";". Their forms, where a value or a module (V, M) has its own % and ; encoded once more:

    shift:DY,DX   rotate:DEGREES   blur:SIGMA   crop:Y0,X0,Y1,X1   occlude:Y0,X0,Y1,X1
    off:V:CHANNEL   kernel:M:OUT:IN:W,W,W/W,W,W/W,W,W

A number is written in decimals with the fewest digits that give it back, without an exponent, and no ".0".
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from typing import Any, Literal
from urllib.parse import quote, unquote

VERSION = 1
LINK_LIMIT = 16_384  # characters that are read
MOST_INTERVENTIONS = 16
MOST_WEIGHTS = 15 * 15
LARGEST_LINK_SEED = 10**9
LARGEST = 65_535  # channel, cell, page or step that a link may name
LARGEST_NUMBER, SMALLEST_NUMBER = 1e6, 1e-6  # smaller is 0
MOST_DEGREES, LARGEST_SHIFT, LARGEST_SIGMA = 360.0, 4096, 32.0

Room = Literal["explore", "train", "learn"]
ORDERS = ("index", "energy", "contribution", "gradient")
SCALES = ("map", "layer", "network")
Intervention = dict[str, Any]

_PLAIN = "-_.!~*'():,;/@"
_WHOLE = re.compile(r"-?\d{1,9}")
_NUMBER = re.compile(r"-?\d{1,18}(\.\d{1,30})?")
_LESSON = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_WORD = re.compile(r"[a-z][a-z0-9-]{0,31}")
_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True, kw_only=True)
class PageState:
    """What the page shows; each field's key in a link stands beside it.

    Args:
        room: explore, train or learn.
        model: `m`, a model key.
        image: `i`, an image key.
        value: `l`, the name of a value.
        channel: `c`.
        at: `at`, the cell (row, column).
        order: `order`, of the feature maps.
        scale: `scale`, over what the colours of one map are shared.
        colours: `map`, the name of a colour map.
        page: `page` of the feature maps.
        step: `step` of the worked arithmetic.
        interventions: `x`, in order; objects as the protocol has them.
        attribution: `a`, the name of a method.
        target: `class`, which class is explained.
        other: `m2`, a second model beside the first.
        run: `run` that is watched.
        new: `new`, whether the form of a new training is open.
        compare: `compare`, names of runs.
        lesson: of Learn, a chapter or an exercise, behind the room's name.
        seed: `seed` of the exercises' numbers.
    """

    room: Room = "explore"
    model: str = ""
    image: str = ""
    value: str = ""
    channel: int | None = None
    at: tuple[int, int] | None = None
    order: str = "index"
    scale: str = "layer"
    colours: str = ""
    page: int = 0
    step: int | None = None
    interventions: tuple[Intervention, ...] = ()
    attribution: str = ""
    target: int | None = None
    other: str = ""
    run: str = ""
    new: bool = False
    compare: tuple[str, ...] = ()
    lesson: str = ""
    seed: int | None = None


class _Unreadable(Exception):  # noqa: N818  a reason, not an error
    """What is needed instead of what a link says."""


Note = Callable[[str], None]


def parse_state(link: str) -> tuple[PageState, tuple[str, ...]]:
    """Return what a link's fragment says, and a note for each part that is left out or moved into range.

    >>> state, notes = parse_state("#/explore?v=1&m=resnet18&l=layer1.0:relu%232&c=-4&at=14,14&later=1")
    >>> state.value, state.channel, state.at, notes
    ('layer1.0:relu#2', 0, (14, 14), ('c=-4 is out of range: 0 is shown',))
    >>> parse_state("#/learn/3a?seed=42")[0].lesson
    '3a'
    """
    notes: list[str] = []
    if len(link) > LINK_LIMIT:
        notes.append(f"the link has {len(link)} characters: the first {LINK_LIMIT} are read")
        link = link[:LINK_LIMIT]
    path, _, query = link.removeprefix("#").partition("?")
    named, _, lesson = path.strip("/").partition("/")
    if named == "learn":
        known = not lesson or (_LESSON.fullmatch(lesson) is not None and lesson.isascii())
    else:
        known = named in ("explore", "train") and not lesson
    if not known and (named or lesson):
        notes.append("the link names no part of this page: Explore is shown")
    given: dict[str, str] = {}
    for pair in query.split("&"):
        key, _, text = pair.partition("=")
        if key in given or (key not in _READ and key != "v"):
            continue
        try:
            given[key] = _decoded(text)
        except _Unreadable as reason:
            notes.append(f"{key} is left out: {reason}")
    if given.pop("v", str(VERSION)) != str(VERSION):
        notes.append(f"the link is of another version than {VERSION}: what is understood of it is shown")
    values: dict[str, Any] = {"room": named, "lesson": lesson} if known else {}
    for key, text in given.items():
        name, read = _READ[key]
        try:
            values[name] = read(text, lambda shown, key=key, text=text: notes.append(_moved(key, text, shown)))  # type: ignore[misc]
        except _Unreadable as reason:
            notes.append(f"{key} is left out: {reason}")
    return PageState(**values), tuple(notes)


def format_state(state: PageState) -> str:
    """Return the fragment of a link that says this; what is as it is without a link is left out.

    >>> format_state(PageState(model="resnet18", interventions=({"op": "shift", "dy": 3, "dx": -2},)))
    '#/explore?v=1&m=resnet18&x=shift:3,-2'
    """
    pairs = [f"v={VERSION}"]
    for key, (name, _) in _READ.items():
        value = getattr(state, name)
        if value != _DEFAULTS[name]:
            pairs.append(f"{key}={_encoded(_WRITTEN.get(name, str)(value))}")
    lesson = f"/{state.lesson}" if state.room == "learn" and state.lesson else ""
    return f"#/{state.room}{lesson}?{'&'.join(pairs)}"


def clamped(
    state: PageState, shape: tuple[int, ...] | None, classes: int | None = None
) -> tuple[PageState, tuple[str, ...]]:
    """Return the state within the shape (C, H, W) of its value and the number of classes, and notes of what moved.

    >>> clamped(PageState(channel=70, at=(3, 9)), (64, 7, 7))[1]
    ('c=70 is out of range: 63 is shown', 'at=3,9 is out of range: 3,6 is shown')
    """
    notes: list[str] = []
    changes: dict[str, Any] = {}
    if shape is not None:
        channels, height, width = (*shape, 1, 1)[:3]
        if state.channel is not None and state.channel >= channels:
            changes["channel"] = channels - 1
            notes.append(_moved("c", str(state.channel), str(channels - 1)))
        if state.at is not None and (state.at[0] >= height or state.at[1] >= width):
            changes["at"] = (min(state.at[0], height - 1), min(state.at[1], width - 1))
            notes.append(_moved("at", "{},{}".format(*state.at), "{},{}".format(*changes["at"])))
    if classes and state.target is not None and state.target >= classes:
        changes["target"] = classes - 1
        notes.append(_moved("class", str(state.target), str(classes - 1)))
    return replace(state, **changes), tuple(notes)


def _moved(key: str, text: str, shown: str) -> str:
    return f"{key}={text[:40]} is out of range: {shown} is shown"


def _decoded(text: str) -> str:
    if _ESCAPE.search(text):
        raise _Unreadable("a % must be followed by two hexadecimal digits")
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise _Unreadable("its bytes are not UTF-8") from None


def _encoded(text: str) -> str:
    return quote(text.encode("utf-8", "replace"), safe=_PLAIN)


# How each value is read.


def _text(text: str, note: Note) -> str:
    return text


def _word(text: str, note: Note) -> str:
    if not _WORD.fullmatch(text):
        raise _Unreadable("a name of lower-case letters is needed")
    return text


def _one_of(known: tuple[str, ...]) -> Callable[[str, Note], str]:
    def read(text: str, note: Note) -> str:
        if text not in known:
            raise _Unreadable(f"one of {', '.join(known)} is needed")
        return text

    return read


def _flag(text: str, note: Note) -> bool:
    return text == "1"


def _whole(text: str, note: Note, low: int = 0, high: int = LARGEST) -> int:
    if not _WHOLE.fullmatch(text) or not text.isascii():
        raise _Unreadable("a whole number is needed")
    found = min(max(int(text), low), high)
    if found != int(text):
        note(str(found))
    return found


def _seed(text: str, note: Note) -> int:
    return _whole(text, note, 0, LARGEST_LINK_SEED)


def _number(text: str, low: float = -LARGEST_NUMBER, high: float = LARGEST_NUMBER) -> float:
    if not _NUMBER.fullmatch(text) or not text.isascii():
        raise _Unreadable("a number in decimals is needed")
    found = min(max(float(text), low), high)
    return found if abs(found) >= SMALLEST_NUMBER else 0.0


def _cell(text: str, note: Note) -> tuple[int, int]:
    parts = text.split(",")
    if len(parts) != 2:
        raise _Unreadable("a row and a column are needed, as 14,14")
    moved: list[str] = []
    row, column = (_whole(part, moved.append) for part in parts)
    if moved:
        note(f"{row},{column}")
    return row, column


def _names(text: str, note: Note) -> tuple[str, ...]:
    return tuple(_inner_decoded(name) for name in text.split(",") if name)[:8]


def _interventions(text: str, note: Note) -> tuple[Intervention, ...]:
    found = [_intervention(part) for part in text.split(";") if part]
    if len(found) > MOST_INTERVENTIONS:
        note(f"the first {MOST_INTERVENTIONS}")
    return tuple(found[:MOST_INTERVENTIONS])


def _intervention(text: str) -> Intervention:
    """Return one intervention; raises _Unreadable where its form or a number in it can't be used."""
    op, _, rest = text.partition(":")
    match op:
        case "shift":
            dy, dx = _wholes(rest, 2, -LARGEST_SHIFT, LARGEST_SHIFT)
            return {"op": op, "dy": dy, "dx": dx}
        case "rotate":
            return {"op": op, "degrees": _number(rest, -MOST_DEGREES, MOST_DEGREES)}
        case "blur":
            return {"op": op, "sigma": _number(rest, 0.0, LARGEST_SIGMA)}
        case "crop" | "occlude":
            box = _wholes(rest, 4, 0, LARGEST)
            if box[0] >= box[2] or box[1] >= box[3]:
                raise _Unreadable(f"{op} needs Y0,X0,Y1,X1 with Y0 < Y1 and X0 < X1")
            return {"op": op, "box": box}
        case "off":
            value, _, channel = rest.rpartition(":")
            return {"op": "channel_off", "value": _named(value), "channel": _wholes(channel, 1, 0, LARGEST)[0]}
        case "kernel":
            parts = rest.rsplit(":", 3)
            if len(parts) != 4:
                raise _Unreadable("kernel needs a module, two channels and weights")
            rows = [[_number(weight) for weight in row.split(",")] for row in parts[3].split("/")]
            if len({len(row) for row in rows}) > 1 or sum(map(len, rows)) > MOST_WEIGHTS:
                raise _Unreadable(f"kernel needs rows of the same length, at most {MOST_WEIGHTS} weights in all")
            out, into = (_wholes(part, 1, 0, LARGEST)[0] for part in parts[1:3])
            return {"op": op, "module": _named(parts[0]), "out": out, "in": into, "weights": rows}
    raise _Unreadable("it names a change that is not known")


def _wholes(text: str, count: int, low: int, high: int) -> list[int]:
    parts = text.split(",")
    if len(parts) != count:
        raise _Unreadable(f"{count} whole numbers are needed")
    return [_whole(part, lambda _: None, low, high) for part in parts]


def _named(text: str) -> str:
    name = _inner_decoded(text)
    if not name:
        raise _Unreadable("the name of a layer is needed")
    return name


def _inner_decoded(text: str) -> str:
    return text.replace("%3B", ";").replace("%2C", ",").replace("%25", "%")


# How each value is written.


def number_text(number: float) -> str:
    """Return a number in decimals with the fewest digits that give it back.

    >>> number_text(3.0), number_text(0.00002), number_text(-1.5), number_text(1e-9)
    ('3', '0.00002', '-1.5', '0')
    """
    number = min(max(float(number), -LARGEST_NUMBER), LARGEST_NUMBER)
    if not math.isfinite(number) or abs(number) < SMALLEST_NUMBER:
        return "0"
    return format(Decimal(repr(number)), "f").removesuffix(".0")


def _inner_encoded(name: str) -> str:
    return name.replace("%", "%25").replace(";", "%3B").replace(",", "%2C")


def _intervention_text(change: Intervention) -> str:
    match change["op"]:
        case "shift":
            return f"shift:{change['dy']},{change['dx']}"
        case "rotate":
            return f"rotate:{number_text(change['degrees'])}"
        case "blur":
            return f"blur:{number_text(change['sigma'])}"
        case "channel_off":
            return f"off:{_inner_encoded(change['value'])}:{change['channel']}"
        case "kernel":
            rows = "/".join(",".join(map(number_text, row)) for row in change["weights"])
            return f"kernel:{_inner_encoded(change['module'])}:{change['out']}:{change['in']}:{rows}"
    return f"{change['op']}:{_joined(change['box'])}"


def _joined(numbers: Iterable[int]) -> str:
    return ",".join(map(str, numbers))


_READ: dict[str, tuple[str, Callable[[str, Note], Any]]] = {
    "m": ("model", _text),
    "i": ("image", _text),
    "l": ("value", _text),
    "c": ("channel", _whole),
    "at": ("at", _cell),
    "order": ("order", _one_of(ORDERS)),
    "scale": ("scale", _one_of(SCALES)),
    "map": ("colours", _word),
    "page": ("page", _whole),
    "step": ("step", _whole),
    "x": ("interventions", _interventions),
    "a": ("attribution", _word),
    "class": ("target", _whole),
    "m2": ("other", _text),
    "run": ("run", _text),
    "new": ("new", _flag),
    "seed": ("seed", _seed),
    "compare": ("compare", _names),
}
_WRITTEN: dict[str, Callable[[Any], str]] = {
    "at": _joined,
    "interventions": lambda changes: ";".join(map(_intervention_text, changes)),
    "new": lambda new: "1" if new else "0",
    "compare": lambda names: ",".join(map(_inner_encoded, names)),
}
_DEFAULTS = {field.name: field.default for field in fields(PageState)}


def parse_interventions(text: str) -> tuple[tuple[Intervention, ...], tuple[str, ...]]:
    """Return the interventions of a link's `x`, decoded, and a note where they can't be read, or are too many."""
    notes: list[str] = []
    try:
        return _interventions(text, lambda shown: notes.append(_moved("x", text, shown))), tuple(notes)
    except _Unreadable as reason:
        return (), (f"x is left out: {reason}",)


def read_intervention(value: Any) -> Intervention:
    """Return an intervention of a request as a link would carry it: its fields checked and within range.

    Raises:
        ValueError: it is none, with what is needed.
    """
    try:
        return _intervention(_intervention_text(value))
    except _Unreadable as reason:
        raise ValueError(str(reason)) from None
    except (KeyError, TypeError, AttributeError):
        raise ValueError('an intervention is an object, as {"op": "shift", "dy": 3, "dx": -2}') from None
