"""What a link of the page says: read, written and kept within range. No torch; `static/state.js` does the same.

    #/explore?v=1&m=resnet18&i=sample:3&l=layer2.0.conv2&c=17&at=14,14&x=shift:3,-2;off:layer1.0.relu:5
    #/train?v=1&run=NAME
    #/learn/3a?seed=42

Each room has keys of its own. Other keys are ignored; a value that can't be read is left out, one out of range is moved
to the nearest end, and a note says so. Text is percent-encoded as JavaScript's encodeURIComponent does it, but
`: , ; / @` stay. How interventions are written is in `intervention_text`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from convscope.studio.intervention_text import Intervention, interventions_of, interventions_text
from convscope.studio.link_text import Note, Unreadable, decoded, encoded, inner_decoded, inner_encoded, moved, whole

VERSION = 1
LINK_LIMIT = 16_384  # characters that are read
LARGEST_LINK_SEED = 10**9

Room = Literal["explore", "train", "learn"]
ORDERS = ("index", "energy", "contribution", "gradient")
SCALES = ("map", "layer", "network")

_LESSON = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_WORD = re.compile(r"[a-z][a-z0-9-]{0,31}")


@dataclass(frozen=True, kw_only=True)
class PageState:
    """What the page shows; each field's key in a link stands beside it. A link has those of its room.

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
        step: `step` of the worked arithmetic, and in Learn of a chapter.
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
    room: Room = named if known else "explore"  # type: ignore[assignment]
    fields_of = _FIELDS[room]
    given: dict[str, str] = {}
    for pair in query.split("&"):
        key, _, text = pair.partition("=")
        if key in given or (key not in fields_of and key != "v"):
            continue
        try:
            given[key] = decoded(text)
        except Unreadable as reason:
            notes.append(f"{key} is left out: {reason}")
    if given.pop("v", str(VERSION)) != str(VERSION):
        notes.append(f"the link is of another version than {VERSION}: what is understood of it is shown")
    values: dict[str, Any] = {"room": room, "lesson": lesson if known else ""}
    for key, text in given.items():
        one = fields_of[key]
        try:
            values[one.name] = one.read(text, lambda shown, key=key, text=text: notes.append(moved(key, text, shown)))  # type: ignore[misc]
        except Unreadable as reason:
            notes.append(f"{key} is left out: {reason}")
    return PageState(**values), tuple(notes)


def format_state(state: PageState) -> str:
    """Return the fragment of a link that says this, of its room's fields; what is as without a link is left out.

    >>> format_state(PageState(model="resnet18", interventions=({"op": "shift", "dy": 3, "dx": -2},)))
    '#/explore?v=1&m=resnet18&x=shift:3,-2'
    >>> format_state(PageState(room="learn", lesson="3a", seed=42, model="resnet18"))
    '#/learn/3a?v=1&seed=42'
    """
    pairs = [f"v={VERSION}"]
    for key, one in _FIELDS[state.room].items():
        value = getattr(state, one.name)
        if value != _DEFAULTS[one.name]:
            pairs.append(f"{key}={encoded(one.write(value))}")
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
            notes.append(moved("c", str(state.channel), str(channels - 1)))
        if state.at is not None and (state.at[0] >= height or state.at[1] >= width):
            changes["at"] = (min(state.at[0], height - 1), min(state.at[1], width - 1))
            notes.append(moved("at", "{},{}".format(*state.at), "{},{}".format(*changes["at"])))
    if classes and state.target is not None and state.target >= classes:
        changes["target"] = classes - 1
        notes.append(moved("class", str(state.target), str(classes - 1)))
    return replace(state, **changes), tuple(notes)


# How each field is read and written.


@dataclass(frozen=True, slots=True)
class _LinkField:
    """A field of PageState in a link: its name, and how its text is read and written."""

    name: str
    read: Callable[[str, Note], Any]
    write: Callable[[Any], str] = str


def _text(text: str, note: Note) -> str:
    return text


def _word(text: str, note: Note) -> str:
    if not _WORD.fullmatch(text):
        raise Unreadable("a name of lower-case letters is needed")
    return text


def _one_of(known: tuple[str, ...]) -> Callable[[str, Note], str]:
    def read(text: str, note: Note) -> str:
        if text not in known:
            raise Unreadable(f"one of {', '.join(known)} is needed")
        return text

    return read


def _flag(text: str, note: Note) -> bool:
    return text == "1"


def _seed(text: str, note: Note) -> int:
    return whole(text, note, 0, LARGEST_LINK_SEED)


def _cell(text: str, note: Note) -> tuple[int, int]:
    parts = text.split(",")
    if len(parts) != 2:
        raise Unreadable("a row and a column are needed, as 14,14")
    changed: list[str] = []
    row, column = (whole(part, changed.append) for part in parts)
    if changed:
        note(f"{row},{column}")
    return row, column


def _names(text: str, note: Note) -> tuple[str, ...]:
    return tuple(inner_decoded(name) for name in text.split(",") if name)[:8]


_STEP = _LinkField("step", whole)
# By room and key, in the order in which a link has them.
_FIELDS: Mapping[Room, Mapping[str, _LinkField]] = {
    "explore": {
        "m": _LinkField("model", _text),
        "i": _LinkField("image", _text),
        "l": _LinkField("value", _text),
        "c": _LinkField("channel", whole),
        "at": _LinkField("at", _cell, lambda at: ",".join(map(str, at))),
        "order": _LinkField("order", _one_of(ORDERS)),
        "scale": _LinkField("scale", _one_of(SCALES)),
        "map": _LinkField("colours", _word),
        "page": _LinkField("page", whole),
        "step": _STEP,
        "x": _LinkField("interventions", interventions_of, interventions_text),
        "a": _LinkField("attribution", _word),
        "class": _LinkField("target", whole),
        "m2": _LinkField("other", _text),
    },
    "train": {
        "run": _LinkField("run", _text),
        "new": _LinkField("new", _flag, lambda new: "1" if new else "0"),
        "compare": _LinkField("compare", _names, lambda names: ",".join(map(inner_encoded, names))),
    },
    "learn": {"step": _STEP, "seed": _LinkField("seed", _seed)},
}
_DEFAULTS = {field.name: field.default for field in fields(PageState)}
