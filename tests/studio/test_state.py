"""Links of the page: what is written is read back, what is wrong is left out or moved, and JavaScript agrees."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import convscope.studio
from convscope.studio.intervention_text import parse_interventions, read_intervention
from convscope.studio.link_text import number_text
from convscope.studio.state import LINK_LIMIT, ORDERS, SCALES, PageState, clamped, format_state, parse_state

NODE = shutil.which("node")
TWIN = Path(convscope.studio.__file__).with_name("static") / "state.js"

texts = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=20)
channels = st.integers(0, 65_535)
numbers = st.floats(-1e6, 1e6, allow_nan=False).map(lambda number: float(number_text(number)))
boxes = st.tuples(st.integers(0, 99), st.integers(0, 99), st.integers(1, 99), st.integers(1, 99)).map(
    lambda box: [box[0], box[1], box[0] + box[2], box[1] + box[3]]
)
kernels = st.integers(1, 5).flatmap(
    lambda width: st.lists(st.lists(numbers, min_size=width, max_size=width), min_size=1, max_size=5)
)
changes = st.one_of(
    st.builds(lambda dy, dx: {"op": "shift", "dy": dy, "dx": dx}, st.integers(-4096, 4096), st.integers(-4096, 4096)),
    st.builds(lambda degrees: {"op": "rotate", "degrees": degrees}, numbers.filter(lambda number: abs(number) <= 360)),
    st.builds(lambda sigma: {"op": "blur", "sigma": sigma}, numbers.filter(lambda number: 0 <= number <= 32)),
    st.builds(lambda op, box: {"op": op, "box": box}, st.sampled_from(["crop", "occlude"]), boxes),
    st.builds(lambda value, channel: {"op": "channel_off", "value": value, "channel": channel}, texts, channels),
    st.builds(
        lambda name, out, into, weights: {"op": "kernel", "module": name, "out": out, "in": into, "weights": weights},
        texts, channels, channels, kernels,
    ),
)  # fmt: skip
lessons = st.sampled_from([("explore", ""), ("train", ""), ("learn", ""), ("learn", "3"), ("learn", "quiz-flip")])
states = st.builds(
    lambda lesson, **given: PageState(room=lesson[0], lesson=lesson[1], **given),
    lesson=lessons,
    seed=st.none() | st.integers(0, 10**9 - 1),
    model=texts, image=texts, value=texts, other=texts, run=texts,
    channel=st.none() | channels, step=st.none() | channels, target=st.none() | channels, page=channels,
    at=st.none() | st.tuples(channels, channels),
    order=st.sampled_from(ORDERS), scale=st.sampled_from(SCALES),
    colours=st.sampled_from(["", "viridis", "grey"]), attribution=st.sampled_from(["", "grad-cam"]),
    interventions=st.lists(changes, max_size=4).map(tuple),
    new=st.booleans(), compare=st.lists(texts, max_size=3).map(tuple),
)  # fmt: skip


# What a link of each room carries.
CARRIED = {
    "explore": {
        "model", "image", "value", "channel", "at", "order", "scale", "colours", "page", "step", "interventions",
        "attribution", "target", "other",
    },
    "train": {"run", "new", "compare"},
    "learn": {"lesson", "step", "seed"},
}  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(states)
def test_what_is_written_is_read_back(state: PageState) -> None:
    """Of the room's own fields; those of other rooms are not in the link."""
    carried = {name: getattr(state, name) for name in CARRIED[state.room]}
    assert parse_state(format_state(state)) == (PageState(room=state.room, **carried), ())


def test_a_link_of_one_room_says_nothing_of_another() -> None:
    """A channel that a map's page brought while Learn was open was once in the links of its chapters."""
    explored = PageState(room="learn", lesson="3", seed=7, model="resnet18", channel=0, page=2, run="digits")
    assert format_state(explored) == "#/learn/3?v=1&seed=7"
    assert parse_state("#/learn/3?v=1&c=0&m=lenet5&seed=7")[0] == PageState(room="learn", lesson="3", seed=7)
    assert parse_state("#/train?v=1&run=digits&l=conv1")[0] == PageState(room="train", run="digits")
    assert parse_state("#/explore?v=1&m=lenet5&run=digits&seed=4") == (PageState(model="lenet5"), ())


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=60), st.sampled_from(["", "#/explore?", "#/train?v=1&", "#/explore?x=", "#/explore?at="]))
def test_any_link_is_read(link: str, before: str) -> None:
    state, _ = parse_state(before + link)
    assert parse_state(format_state(state))[0] == state


WRONG = {
    "c=-1": ("channel", 0, "c=-1 is out of range: 0 is shown"),
    "c=99999999": ("channel", 65_535, "c=99999999 is out of range: 65535 is shown"),
    "c=1e3": ("channel", None, "c is left out: a whole number is needed"),
    "c=٣": ("channel", None, "c is left out: a whole number is needed"),
    "at=3": ("at", None, "at is left out: a row and a column are needed, as 14,14"),
    "at=3,-9": ("at", (3, 0), "at=3,-9 is out of range: 3,0 is shown"),
    "order=best": ("order", "index", "order is left out: one of index, energy, contribution, gradient is needed"),
    "map=<b>": ("colours", "", "map is left out: a name of lower-case letters is needed"),
    "m=%zz": ("model", "", "m is left out: a % must be followed by two hexadecimal digits"),
    "m=%ff": ("model", "", "m is left out: its bytes are not UTF-8"),
    "x=explode:3": ("interventions", (), "x is left out: it names a change that is not known"),
    "x=crop:3,3,3,9": ("interventions", (), "x is left out: crop needs Y0,X0,Y1,X1 with Y0 < Y1 and X0 < X1"),
    "x=blur:nan": ("interventions", (), "x is left out: a number in decimals is needed"),
    "x=kernel:a:0:0:1,2/3": (
        "interventions", (), "x is left out: kernel needs rows of the same length, at most 225 weights in all"
    ),
    "seed=-1": ("seed", 0, "seed=-1 is out of range: 0 is shown"),
    "seed=1e3": ("seed", None, "seed is left out: a whole number is needed"),
    "v=7": ("model", "", "the link is of another version than 1: what is understood of it is shown"),
}  # fmt: skip


@pytest.mark.parametrize("part", WRONG)
def test_what_is_wrong_is_said(part: str) -> None:
    name, shown, note = WRONG[part]
    room = "learn" if name == "seed" else "explore"
    state, notes = parse_state(f"#/{room}?{part}&later=1&l=conv1&step=3")
    assert getattr(state, name) == shown
    assert notes == (note,)
    assert (state.value, state.step) == ("conv1" if room == "explore" else "", 3)


def test_the_first_of_two_counts_and_a_link_has_a_limit() -> None:
    assert parse_state("#/explore?c=1&c=2")[0].channel == 1
    _, notes = parse_state(f"#/explore?m={'a' * LINK_LIMIT}")
    assert "characters" in notes[0]
    for link in ("#/course", "#/explore/3", "#/train/3a", "#/learn/3/4", "#/learn/<b>", "#/learn/" + "a" * 65):
        state, notes = parse_state(link)
        assert (state.room, state.lesson) == ("explore", "")
        assert notes == ("the link names no part of this page: Explore is shown",)
    assert len(parse_state("#/explore?x=" + ";".join(["shift:1,1"] * 40))[0].interventions) == 16


@pytest.mark.parametrize(
    "value", [3, None, {}, {"op": "shift"}, {"op": "shift", "dy": "a", "dx": 1}, {"op": "off"}, {"op": ["a"]}]
)
def test_a_change_of_a_request_is_checked(value: Any) -> None:
    with pytest.raises(ValueError, match=r"needed|object|known"):
        read_intervention(value)


def test_changes_of_a_request_are_moved_into_range() -> None:
    assert read_intervention({"op": "blur", "sigma": 1e9}) == {"op": "blur", "sigma": 32.0}
    assert parse_interventions("shift:1,2;blur:2")[0][1] == {"op": "blur", "sigma": 2.0}
    assert parse_interventions("shift:1")[1] == ("x is left out: 2 whole numbers are needed",)


def test_a_state_is_moved_into_its_layer() -> None:
    state, notes = clamped(PageState(channel=9, at=(2, 2), target=1000), (10,), 1000)
    assert (state.channel, state.at, state.target) == (9, (0, 0), 999)
    assert len(notes) == 2


@pytest.mark.skipif(NODE is None, reason="node is not installed")
def test_javascript_reads_and_writes_the_same() -> None:
    drawn = _some_states(300)
    links = [format_state(state) for state in drawn]
    links += [_broken(link, random.Random(number)) for number, link in enumerate(links)]
    links += [f"#/{room}?{part}" for part in WRONG for room in CARRIED]
    links += ["#/learn/3a?seed=42", "#/learn/3/4", "#/learn/", "#/learn//3", "#/explore/3", "#learn/3", "#/learn/Ü"]
    asked = json.dumps({"links": links, "states": [asdict(state) for state in drawn]})
    done = subprocess.run(
        [str(NODE), str(Path(__file__).with_name("state_twin.mjs")), TWIN.as_uri()],
        input=asked, capture_output=True, text=True, encoding="utf-8", timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    theirs = json.loads(done.stdout)
    assert theirs["formatted"] == links[: len(drawn)]
    for link, parsed, within in zip(links, theirs["parsed"], theirs["within"], strict=True):
        state, notes = parse_state(link)
        assert parsed == {"state": _plain(state), "notes": list(notes)}, link
        moved, notes = clamped(state, (3, 5, 7), 10)
        assert within == {"state": _plain(moved), "notes": list(notes)}, link


def _plain(state: PageState) -> Any:
    return json.loads(json.dumps(asdict(state)))


def _some_states(count: int) -> list[PageState]:
    found: list[PageState] = []

    @settings(max_examples=count, deadline=None, database=None, derandomize=True)
    @given(states)
    def keep(state: PageState) -> None:
        found.append(state)

    keep()
    return found


def _broken(link: str, draw: random.Random) -> str:
    """A link with some characters replaced, dropped or doubled."""
    characters = list(link)
    for _ in range(draw.randint(1, 4)):
        place = draw.randrange(9, len(characters))
        characters[place] = draw.choice(["", "%", "&", "=", ";", ":", ",", "-", "9", ".", "é", characters[place] * 2])
    return "".join(characters)
