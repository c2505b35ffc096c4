"""A CSV file of ours: exact when we read it, and harmless in a spreadsheet."""

from __future__ import annotations

import csv
import io
import unicodedata

from hypothesis import example, given, settings
from hypothesis import strategies as st

from convscope.report.csv_table import cell, csv_text, read_csv

TEXT = st.text(st.one_of(st.characters(), st.sampled_from("=+-@'\\\n\r\t\x1b\u202e,\"nx0")), max_size=12)


@settings(max_examples=60, deadline=None)
@given(st.lists(TEXT, min_size=1, max_size=4, unique=True), st.data())
@example(["image"], None)
def test_what_is_written_is_read_back(header: list[str], data: st.DataObject | None) -> None:
    rows = [["=1+1"], ["'"], ["\\x1b"], ["\x1b"], ["\udcff"], ["-2"], ["\\Uffffffff"], ["\\U0010ffff"]]
    if data is not None:
        row = st.lists(TEXT, min_size=len(header), max_size=len(header))
        rows = data.draw(st.lists(row, max_size=4))
    text = csv_text(header, rows)
    assert read_csv(text) == [dict(zip(header, row, strict=True)) for row in rows]
    for found in csv.reader(io.StringIO(text, newline=""), strict=True):
        for shown in found:
            assert not any(unicodedata.category(sign) in ("Cc", "Cs", "Zl", "Zp") for sign in shown)
            assert not shown.startswith(("=", "+", "@")) or _is_number(shown)


def test_an_escape_of_no_character_stays_as_it_is() -> None:
    assert read_csv("image\n\\Uffffffff\n\\U00110000\n") == [{"image": "\\Uffffffff"}, {"image": "\\U00110000"}]


@given(st.one_of(st.integers(), st.floats()))
def test_numbers_stay_as_they_are(number: float) -> None:
    assert cell(number) == str(number) == cell(str(number))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
