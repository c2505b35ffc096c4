"""Stories of `convscope studio --worksheet`: one page for paper, without a server."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from commands import run_command


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_worksheet_is_written_and_named(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("studio", "--worksheet", "3,4, 6", "--seed", "42", "--copies", "3", "--answers")
    assert run_command(capsys, *words) == (0, "wrote worksheet.html: 12 exercises, 3 copies, seed 42\n", "")
    page = Path("worksheet.html").read_text(encoding="utf-8")
    assert page.count("<article") == 6 and "Answers to Worksheet 3, 4, 6: copy 3 of 3" in page


def test_a_page_that_is_there_is_replaced_only_where_it_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    Path("worksheet.html").write_text("mine", encoding="utf-8")
    code, out, err = run_command(capsys, "studio", "--worksheet", "3a")
    assert (code, out) == (2, "") and "worksheet.html is there already: name the page with --html" in err
    assert Path("worksheet.html").read_text(encoding="utf-8") == "mine"
    code, out, _ = run_command(capsys, "studio", "--worksheet", "3a", "--html", "worksheet.html")
    assert code == 0 and "1 exercise, 1 copy, seed " in out and "mine" not in Path("worksheet.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--worksheet", "3aa"], "there is no chapter or exercise '3aa'. Did you mean 3a"),
        (["--worksheet", "chapter"], "There are 1, 2, 3, 4, 5, 6, 7, 8, results, quiz, slip, and exercises such as 3a"),
        (["--worksheet", " , "], "there is no chapter and no exercise"),
        (["--worksheet", "3", "--seed", "x"], "'x' is not a valid integer"),
        (["--worksheet", "3", "--seed", "-1"], "seed is -1"),
        (["--worksheet", "3", "--copies", "0"], "0 is not in the range"),
        (["--worksheet", "3", "--html", "none/sheet.html"], "there is no folder none"),
        (["--worksheet", "3", "--html", "."], "'.' is a directory"),
        (["lenet5", "--worksheet", "3"], "--worksheet starts no server: leave MODEL out"),
        (["--worksheet", "3", "--port", "80"], "--worksheet starts no server: leave --port out"),
        (["--copies", "3"], "--copies is about a worksheet: add --worksheet"),
        (["lenet5", "--answers"], "--answers is about a worksheet: add --worksheet"),
    ],
)
def test_a_mistake_is_one_line(capsys: pytest.CaptureFixture[str], words: list[str], said: str) -> None:
    code, out, err = run_command(capsys, "studio", *words)
    assert (code, out) == (2, "") and said in err and err.count("\n") == 1
    assert not list(Path().iterdir())


def test_no_torch_and_no_server_is_imported() -> None:
    code = (
        "import sys; from convscope.cli.main import cli; "
        "cli(['studio', '--worksheet', '3,4,quiz,slip', '--copies', '2', '--answers'], standalone_mode=False); "
        "print(*{'torch', 'starlette', 'uvicorn'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300)
    assert done.stdout.splitlines()[0].startswith("wrote worksheet.html") and done.stdout.splitlines()[1:] == [""]
