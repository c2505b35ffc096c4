"""Numbers become text in one place, and survive it."""

import io
import os
import re
import shlex
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convscope.errors import ConvscopeError
from convscope.report import table, units
from convscope.report.printable import printable, shell_quote


@given(st.integers(min_value=0, max_value=10**17))
def test_a_count_keeps_four_digits(number: int):
    shown = units.count(number)
    digits, _, prefix = shown.partition(" ")
    factor = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15}[prefix]
    assert abs(float(digits.replace(",", "")) * factor - number) <= number * 0.0005
    assert float(digits.replace(",", "")) < (10_000 if not prefix else 1000)


@given(st.integers(min_value=0, max_value=10**18))
def test_a_byte_size_reads_back(number: int):
    assert abs(units.parse_byte_size(units.byte_size(number)) - number) <= number * 0.0005


@pytest.mark.parametrize("text", ["", "lots", "8", "8 apples", "-1GB", "GB", "1e9", 5_000 * "9" + "GB"])
def test_memory_that_is_no_memory_is_refused(text: str):
    with pytest.raises(ConvscopeError, match="8GB"):
        units.parse_byte_size(text)


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), min_size=1, max_size=4))
def test_a_command_reads_back_as_the_shell_reads_it(words: list[str]):
    shown = shell_quote(*words)
    assert printable(shown) == shown
    if all(printable(word) == word for word in words):
        assert shlex.split(shown) == words


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_a_shell_gets_the_words_of_a_command():
    odd = ["soft\xadhyphen", "\x85 \\xad"]
    words = ["a b", "日 本", "it's", "$HOME", "a\nb", "back\\slash\t'", "\x1b[1m", "", "\udcffé\n", *odd]
    line, environment = "printf '%s\\0' " + shell_quote(*words), {**os.environ, "LC_ALL": "C.UTF-8"}
    found = subprocess.run(["bash", "-c", line], capture_output=True, check=True, env=environment)
    assert found.stdout.split(b"\0")[:-1] == [os.fsencode(word) for word in words]


@pytest.mark.parametrize(("number", "shown"), [(10**21, "1,000 E"), (-(10**22), "-10,000 E"), (10**25, "10,000,000 E")])
def test_beyond_the_last_prefix_digits_are_added(number: int, shown: str):
    assert units.count(number) == shown and units.byte_size(number) == f"{shown}B"


def test_unknown_is_never_zero():
    assert {units.count(None), units.byte_size(None), units.seconds(None), units.percent(None)} == {"?"}


SAMPLE = table.Table(
    (table.Column("layer"), table.Column("parameters", numeric=True), table.Column("画像", numeric=True)),
    (
        table.Row(("a.very.long.module.path.that.would.fold", "118,013,952", "1")),
        table.Row(("fc", "9", "2")),
        table.Row(("total", "118,013,961", "3"), "total"),
    ),
    "Layers",
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_numbers_line_up_at_the_right():
    lines = table.table_text(SAMPLE).splitlines()
    ends = [
        line.index(digits) + len(digits)
        for line in lines
        for digits in ("118,013,952", "118,013,961")
        if digits in line
    ]
    assert len(set(ends)) == 1 and len(ends) == 2


@pytest.mark.parametrize("columns", ["20", "40", "200"])
def test_no_number_is_cut_in_a_terminal_of_any_width(columns: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", columns)
    screen = Terminal()
    table.print_table(SAMPLE, file=screen)
    assert "118,013,952" in screen.getvalue() and "118,013,961" in screen.getvalue()
    assert "…" not in screen.getvalue()


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=9))
def test_no_number_of_many_columns_is_cut(numbers: list[int]):
    cells = [units.exact(number) for number in numbers]
    screen = Terminal()
    columns = [table.Column("layer"), *(table.Column("n", numeric=True) for _ in cells)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "30")
        table.print_table(table.Table.of(columns, [("conv of a long name", *cells)]), file=screen)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", screen.getvalue())
    assert [word for word in plain.split() if word[0].isdigit()] == cells


def test_a_cell_with_markup_is_printed_as_it_is():
    screen = Terminal()
    table.print_table(table.Table.of([table.Column("layer")], [("[red]x[/red]",)]), file=screen)
    assert "[red]x[/red]" in screen.getvalue()


def test_off_a_terminal_lines_are_plain():
    stream = io.StringIO()
    table.print_table(SAMPLE, file=stream)
    assert "\x1b" not in stream.getvalue() and "│" not in stream.getvalue()


def test_a_cell_is_one_line_and_steers_no_terminal() -> None:
    columns = [table.Column("class"), table.Column("images", numeric=True)]
    shown = table.table_text(table.Table.of(columns, [("\x1b[31mred\nrose", "3")]))
    assert shown.splitlines()[2:] == [r"\x1b[31mred\nrose       3"]
