"""Inputs as text: whatever is typed is read or refused in one line, and what is written is read again as it was."""

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convscope.capture.input_text import TypedInput, limits, parse_input
from convscope.errors import CaptureError
from convscope.graph.records import BYTES_PER_ELEMENT

SHAPES = st.lists(st.integers(1, 999), max_size=4).map(tuple)
NAMES = st.just("") | st.sampled_from(["img", "größe", "x_1"])
WORDS = st.sampled_from(
    [
        "x",
        "=",
        ":",
        ",",
        "[",
        "]",
        "-",
        "3",
        "0",
        "9" * 20,
        "scalar",
        "int64",
        "uint8",
        "bool",
        "img",
        "×",
        "٣",
        " ",
        "\0",
    ]
)


@st.composite
def typed_inputs(draw):
    dtype = draw(st.sampled_from(list(BYTES_PER_ELEMENT)))
    listed = draw(st.booleans())
    shapes = draw(st.lists(SHAPES, min_size=1, max_size=3 if listed else 1))
    numbers = st.lists(st.integers(*limits(dtype)), min_size=2, max_size=2).map(lambda pair: tuple(sorted(pair)))
    return TypedInput(draw(NAMES), tuple(shapes), listed, dtype, draw(st.none() | numbers))


@settings(max_examples=60, deadline=None)
@given(typed_inputs())
def test_what_is_written_is_read_again(one):
    assert parse_input(str(one)) == one


@settings(max_examples=100, deadline=None)
@given(st.lists(WORDS | st.text(max_size=2), max_size=9).map("".join))
def test_any_text_is_read_or_refused(text):
    found = None
    with suppress(CaptureError):
        found = parse_input(text)
    if found is not None:
        assert parse_input(str(found)) == found if isinstance(found, TypedInput) else min(found) > 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("40:int64:0-99999999999999999999999", "int64 holds whole numbers from -9223372036854775808"),
        ("3:uint8:0-999", "uint8 holds whole numbers from 0 to 255"),
        ("4:int64:9-1", "the range 9-1 is empty"),
        ("4:int64:9", "no range: write the lowest and the highest number, as in 0-99"),
        ("40:int7", "no type 'int7' for an input. Did you mean int8"),
        ("3:qint8", "no type 'qint8'"),
        ("[]", "the list is empty: give a shape for each image"),
        ("[3x4", "the list has no end: write it as"),
        ("[[3x4]]", "give nested lists in Python"),
        ("1a=3x4", "'1a' is no name of an argument"),
        ("-3x4", "sizes must be at least 1"),
        ("9" * 5000, "no memory holds a tensor"),
        ("a=b:int64", "not a shape: write channels"),
        ("3x4:int64:0-9:1", "too many colons"),
    ],
)
def test_what_is_wrong_is_said_with_what_to_do(text, message):
    with pytest.raises(CaptureError) as refused:
        parse_input(text)
    assert message in str(refused.value) and len(str(refused.value)) < 180 and "\n" not in str(refused.value)
