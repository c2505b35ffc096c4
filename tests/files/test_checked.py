"""JSON and TOML from strangers: a value comes back exactly, or one reason says why it can't."""

from __future__ import annotations

import gzip
import json
import os
import re
import resource
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st

from clocks import in_loops
from convscope.files.checked import DEEPEST, LARGEST_INTEGER, TOML_LIMIT, parse_json, parse_toml, read_json
from convscope.files.fields import Fields
from convscope.files.regular import UnreadableError, append_bytes, read_bytes, read_gzip, read_part, write_text

PLAIN = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-LARGEST_INTEGER, LARGEST_INTEGER),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
)
JSON = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=8,
)
TOML = st.recursive(
    PLAIN.filter(lambda value: value is not None and not (type(value) is int and abs(value) >= 2**63)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def refusal(parse: Callable[[Any], object], content: str | bytes) -> str:
    """Why a text is refused."""
    with pytest.raises(UnreadableError) as caught:
        parse(content)
    return str(caught.value)


@settings(max_examples=30, deadline=None)
@given(JSON)
def test_what_can_be_held_is_read_exactly(value: object) -> None:
    assert parse_json(json.dumps(value)) == value
    assert parse_json(json.dumps(value, ensure_ascii=False).encode()) == value


@settings(max_examples=30, deadline=None)
@given(st.dictionaries(st.text(), TOML, max_size=4))
def test_toml_that_is_whole_is_read_exactly(values: dict[str, object]) -> None:
    text = tomli_w.dumps(values)
    assert parse_toml(text) == tomllib.loads(text)


@given(st.text(st.sampled_from("ab.=\"'[]{},\n# 1\\")))
def test_any_text_is_toml_or_has_a_reason(text: str) -> None:
    try:
        expected = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        with pytest.raises(UnreadableError, match=r"not TOML|nested"):
            parse_toml(text)
    else:
        assert parse_toml(text) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("{", "not JSON: .* (line 1, column 2)".replace("(", r"\(").replace(")", r"\)")),
        ('{"a": NaN}', "holds NaN: needed is a finite number"),
        ("[-Infinity]", "holds -Infinity"),
        ("[1e999]", "holds the number 1e999"),
        ("1" + 400 * "0", "whole numbers of at most 64 bits"),
        (1_000_000 * "9", "whole numbers of at most 64 bits"),
        ('{"a": 1, "b": 2, "a": 3}', "has 'a' twice"),
        (100_000 * "[", "nested more than"),
        (5_000 * '{"a":' + "1" + 5_000 * "}", "nested more than"),
        ((DEEPEST + 1) * "[" + (DEEPEST + 1) * "]", "nested more than"),
        ('"\\ud800"', "half of a surrogate pair"),
        ('{"\\udfff": 1}', "half of a surrogate pair"),
        ('"\x00"', "bytes that are zero"),
        (b'"\xff"', "not UTF-8: line 1 holds the byte 0xff"),
        (b'\xff\xfe"\x00', "not UTF-16|not JSON"),
    ],
)
def test_what_can_not_be_held_is_refused_at_once(text: str | bytes, reason: str) -> None:
    content = text if isinstance(text, bytes) else text.encode()
    said, loops = in_loops(lambda: refusal(parse_json, content))
    assert re.search(reason, said) and loops < 100


def test_a_mark_at_the_start_is_no_part_of_the_text() -> None:
    assert parse_json(b'\xef\xbb\xbf{"a": 1}') == parse_json('{"a": 1}'.encode("utf-16")) == {"a": 1}


@pytest.mark.parametrize(
    "text",
    [
        "x = " + 5_000 * "[",
        "x = " + 5_000 * "{a = ",
        "a" + 40_000 * ".a" + " = 1",
        "x = {a" + 40_000 * ".a" + " = 1}",
        'x = {a = """\n""""", b' + 40_000 * ".b" + ' = 1, c = ""}',
        '"a"' + 30_000 * ' . "a"' + " = 1",
        "[" + ".".join(20_000 * ["a"]) + "]",
        "x = 0x" + 5_000 * "f",
        "x = " + 5_000 * "1",
        "x" * (TOML_LIMIT + 1),
    ],
)
def test_toml_that_would_take_long_is_refused_at_once(text: str) -> None:
    said, loops = in_loops(lambda: refusal(parse_toml, text))
    assert re.search(r"nested more than|64 bits|the limit is", said) and loops < 100


def test_dots_in_texts_and_comments_nest_nothing() -> None:
    dots = 100 * "a."
    assert parse_toml(f'# {dots}\nx = "{dots}"\ny = \'{dots}\'  # {dots}\nz = """{dots}"""') == dict.fromkeys(
        "xyz", dots
    )


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda fields: fields.integer("n", at_least=2, at_most=9), "n is 1: it must be a whole number from 2 to 9"),
        (lambda fields: fields.integer("f"), "f is 0.5: it must be a whole number"),
        (lambda fields: fields.integer("yes"), "yes is true: it must be a whole number"),
        (lambda fields: fields.number("word"), "word is 'rose': it must be a finite number"),
        (lambda fields: fields.flag("n"), "n is 1: it must be true or false"),
        (lambda fields: fields.text("many"), "many is a list of 2: it must be a text"),
        (lambda fields: fields.text("word", one_of=("nose",)), "it must be one of nose. Did you mean nose?"),
        (lambda fields: fields.object("many"), "many is a list of 2: it must be an object"),
        (lambda fields: fields.texts("many"), r"many\[0\] is 1: it must be a text"),
        (lambda fields: fields.pairs("many", at_least=0, at_most=9), r"many\[0\] is 1: it must be a list of two"),
        (lambda fields: fields.object("inner").text("none"), "it has no inner.none"),
        (lambda fields: fields.require_only("n", "word"), "it has a field 'f'"),
    ],
)
def test_a_field_that_does_not_fit_is_named_with_what_is_needed(ask: object, message: str) -> None:
    fields = Fields({"n": 1, "f": 0.5, "yes": True, "word": "rose", "many": [1, 2], "inner": {}})
    with pytest.raises(UnreadableError, match=message):
        ask(fields)  # type: ignore[operator]


def test_a_gzip_file_is_read_no_further_than_asked(tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(b"one") + gzip.compress(b"two"))
    assert [read_gzip(path, count) for count in (2, 4, 6, 99)] == [b"on", b"onet", b"onetwo", b"onetwo"]
    with path.open("ab") as file:
        file.truncate(10 * 2**30)  # Python's gzip reads zeros at the end one by one, which takes an hour here
    assert read_gzip(path, 99) == b"onetwo"
    path.write_bytes(gzip.compress(bytes(50_000_000)))
    assert read_gzip(path, 10) == bytes(10)
    for damaged in (gzip.compress(b"three")[:-9], gzip.compress(b"three")[:-8] + bytes(8), b"\x1f\x8b" + bytes(90)):
        path.write_bytes(damaged)
        with pytest.raises(UnreadableError, match="compressed data"):
            read_gzip(path, 99)


def test_what_a_full_disk_takes_a_part_of_is_not_added(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    append_bytes(path, b"one\n")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
        with pytest.raises(UnreadableError, match="too large"):
            append_bytes(path, b"a line of more bytes\n")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    append_bytes(path, b"two\n")
    assert path.read_bytes() == b"one\ntwo\n"


def test_parts_and_ends_of_files(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    append_bytes(path, b"abc")
    append_bytes(path, b"def")
    assert read_bytes(path) == b"abcdef" and read_part(path, 2, 3) == b"cde"
    with pytest.raises(UnreadableError, match="ends before byte 9"):
        read_part(path, 2, 7)
    with pytest.raises(UnreadableError, match="6 bytes; the limit is 5 bytes"):
        read_bytes(path, limit=5)
    write_text(path, "é\udcff")
    assert path.read_text(encoding="utf-8") == "é\\udcff"
    with pytest.raises(UnreadableError, match="no file can have this name"):
        read_json("\0")
    os.mkfifo(tmp_path / "pipe")
    reading = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    write_text(tmp_path / "pipe", "to a reader")
    assert os.read(reading, 99) == b"to a reader"
    os.close(reading)
