"""Stories of `convscope exercise`, on the real command line: asked, answered, shown, listed, misused."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

import convscope
from commands import run_command
from convscope.cli.exercise_mastery import MasteryFile
from convscope.exercises.registry import names
from convscope.exercises.texts import answer_text
from convscope.runs.atomic_files import WriteError

HOSTILE = ("", "  ", "nonsense", "nan", "1e999", "9" * 500, "\x1b[31m", "\u202e12", "0,5", "{answer}", "%s", "--",
           "1/0", "((((", "x" * 400, "9^99", "12;;;;", "☃", "[[1,2],[3]]", "1" + ",2" * 20)  # fmt: skip


def test_without_a_terminal_the_question_is_printed_with_what_to_type(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run_command(capsys, "exercise", "3a", "--seed", "42")
    assert (code, err) == (0, "") and out.startswith("3a: Output size of a convolution (seed 42)\n")
    assert "An axis of 227 pixels, kernel 11, stride 4, padding 0 on each side." in out
    assert out.endswith("convscope exercise 3a --seed 42 --answer TEXT\nconvscope exercise 3a --seed 42 --show\n")
    assert "55" not in out


def test_an_answer_is_marked_and_the_exit_code_says_how(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(capsys, "exercise", "3a", "--seed", "42", "--answer", " 55 cells") == (0, "Right: 55.\n", "")
    code, out, err = run_command(capsys, "exercise", "3a", "--seed", "42", "--answer", "54")
    assert (code, err) == (1, "") and out.splitlines() == [
        "54 counts the moves. There is one position more than there are moves: add 1.",
        "The arithmetic: ⌊(227 + 2·0 − 11) / 4⌋ + 1",
    ]
    code, out, err = run_command(capsys, "exercise", "3a", "--seed", "42", "--answer", "1000")
    assert code == 1 and out.splitlines() == [
        "1,000 is not the answer.",
        "Check the first step: Padding on both sides: 227 + 2·0 = 227",
    ]
    code, out, err = run_command(capsys, "exercise", "3a", "--seed", "42", "--answer", "54,5")
    assert (code, out) == (2, "") and err == "convscope: '54,5' has a comma: for a decimal comma write 54.5\n"


def test_the_steps_are_shown_with_the_answer(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run_command(capsys, "exercise", "3a", "--seed", "42", "--show")
    assert code == 0 and "Moves by the stride, rounded down: ⌊216 / 4⌋ = 54" in out and "The answer is 55." in out


def test_the_json_has_no_answer_but_with_show_and_marks_an_answer(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run_command(capsys, "exercise", "4a", "--seed", "7", "--json")
    asked = json.loads(out)
    assert asked["version"] == 1 and asked["exercise"] == "4a" and not {"answer", "steps", "formula"} & set(asked)
    _, out, _ = run_command(capsys, "exercise", "4a", "--seed", "7", "--json", "--show")
    shown = json.loads(out)
    assert len(shown["misconceptions"]) >= 3 and shown["steps"] and {**shown, **asked} == shown
    code, out, _ = run_command(capsys, "exercise", "4a", "--seed", "7", "--json", "--answer", f"{shown['answer']:,}")
    assert code == 0 and json.loads(out)["mark"] == "right"
    known = shown["misconceptions"][0]
    code, out, _ = run_command(capsys, "exercise", "4a", "--seed", "7", "--json", "--answer", str(known["value"]))
    marked = json.loads(out)
    assert code == 1 and marked["misconception"] == known["name"] and marked["lines"][0] == known["sentence"]


def test_json_stays_json_where_all_are_mastered(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convscope.cli.exercise._following", lambda: None)
    code, out, _ = run_command(capsys, "exercise", "--json")
    assert code == 0 and json.loads(out) == {"version": 1, "exercise": None}


def test_every_exercise_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run_command(capsys, "exercise", "--list")
    assert code == 0 and [word for word in (line.split(" ")[0] for line in out.splitlines()) if word in names()] == [
        *names()
    ]
    _, out, _ = run_command(capsys, "exercise", "--list", "--json")
    assert [one["name"] for one in json.loads(out)["exercises"]] == [*names()]


def test_without_a_seed_other_numbers_are_drawn_and_the_seed_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    seeds = {json.loads(run_command(capsys, "exercise", "3a", "--json")[1])["seed"] for _ in range(4)}
    assert len(seeds) > 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["desing"], "there is no exercise 'desing'. Did you mean design?"),
        ([""], "there is no exercise ''"),
        (["3a", "--seed", "x"], "Invalid value for '--seed': 'x' is not a valid integer."),
        (["3a", "--seed", "-1"], "--seed is -1: give a whole number of 0 or more"),
        (["3a", "--seed", "9" * 30], "seed is"),
        (["--seed", "3"], "give an exercise, such as 3a, or --list for all of them"),
        (["--answer", "3"], "give an exercise, such as 3a, or --list for all of them"),
        (["--progress", "--seed", "3"], "--progress shows all exercises: leave --seed out"),
        (["3a", "--progress"], "--progress shows all exercises: leave NAME out"),
        (["3a", "--list"], "--list shows all exercises: leave NAME out"),
        (["3a", "--show", "--answer", "5"], "--show shows the answer"),
        (["\x1b[31m"], "there is no exercise"),
    ],
)
def test_a_mistake_is_one_line_and_exit_2(capsys: pytest.CaptureFixture[str], words: list[str], said: str) -> None:
    code, out, err = run_command(capsys, "exercise", *words)
    assert (code, out) == (2, "") and said in err and err.count("\n") == 1 and "\x1b" not in err


@pytest.mark.parametrize("name", ["1a", "1b", "4b", "5a", "5c", "7b", "design", "slip-conv-156"])
def test_hostile_answers_are_wrong_or_one_line(capsys: pytest.CaptureFixture[str], name: str) -> None:
    for text in HOSTILE:
        code, out, err = run_command(capsys, "exercise", name, "--seed", "1", f"--answer={text}")
        assert "\x1b" not in out + err and "\u202e" not in out + err, (name, text)
        assert (code, out, err.count("\n")) == (2, "", 1) or (code == 1 and out and not err), (name, text, out, err)


def on_a_terminal(typed: str, *words: str) -> tuple[int, str]:
    """Run the command on a pseudo-terminal and type these lines; return the exit code and what was on the screen."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(Path(convscope.__file__).parents[1]), "COLUMNS": "200"}
    running = subprocess.Popen(
        [sys.executable, "-m", "convscope", "exercise", *words],
        stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True, env=environment,
    )  # fmt: skip
    os.close(theirs)
    os.write(ours, typed.encode() + b"\x04")  # and the end of input, so that nothing waits for more
    screen = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:
            break
        if not part:
            break
        screen += part
    os.close(ours)
    return running.wait(timeout=300), screen.decode()


def test_on_a_terminal_it_asks_until_the_answer_is_right() -> None:
    code, screen = on_a_terminal("54\n55\n", "3a", "--seed", "42")
    assert code == 0 and "add 1." in screen and "Try again (2 left)." in screen and "Right: 55." in screen


def test_after_three_tries_the_steps_are_shown() -> None:
    code, screen = on_a_terminal("1\n\n2\nnonsense\n3\n", "3a", "--seed", "42")
    assert code == 1 and "there is no answer" in screen and "is not a number" in screen
    assert "After three tries, the steps:" in screen and "The answer is 55." in screen


def test_a_decimal_comma_is_asked_about() -> None:
    code, screen = on_a_terminal("0,25\ny\n", "7b", "--seed", "3")
    assert "Do you mean 0.25?" in screen and "0.25 is the derivative at 0" in screen
    code, screen = on_a_terminal("54,5\nn\n55\n", "3a", "--seed", "42")
    assert code == 0 and "Do you mean 54.5?" in screen and "Try again" not in screen


def right_answer(name: str, seed: int) -> str:
    return answer_text(convscope.exercise(name, seed=seed).answer)


def test_three_in_a_row_on_a_terminal_master_an_exercise(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CONVSCOPE_DATA", str(tmp_path / "of" / "learner"))
    assert "exercise 1a --seed" in run_command(capsys, "exercise")[1]
    for seed, said in ((1, "1 of 3 right in a row."), (1, "1 of 3"), (2, "2 of 3"), (3, "1a is mastered. The next")):
        code, screen = on_a_terminal(f"{right_answer('1a', seed)}\n", "1a", "--seed", str(seed))
        assert code == 0 and said in screen, (seed, screen)
    code, out, err = run_command(capsys, "exercise", "--progress")
    assert (code, err) == (0, "") and out.startswith("1 of 94 exercises mastered") and "1 / 3" in out
    assert "The next exercise: 1b" in out
    kept = json.loads(run_command(capsys, "exercise", "--progress", "--json")[1])
    assert (kept["version"], kept["mastered"], kept["following"]) == (1, 1, "1b")
    assert "exercise 1b --seed" in run_command(capsys, "exercise")[1]
    assert json.loads(run_command(capsys, "exercise", "--json")[1])["exercise"] == "1b"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["exercises.json", "learner", "of"]


def test_a_wrong_answer_or_the_shown_steps_begin_the_row_anew(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CONVSCOPE_DATA", str(tmp_path))
    _, screen = on_a_terminal(f"7\n8\n{right_answer('1a', 1)}\n", "1a", "--seed", "1")
    assert "1 of 3 right in a row." in screen, "at the third try"
    on_a_terminal("7\n8\n9\n", "1a", "--seed", "2")
    assert json.loads((tmp_path / "exercises.json").read_text())["exercises"]["1a"]["in_a_row"] == 0
    choice = "2b"
    wrong = next(letter for letter in convscope.exercise(choice, seed=1).options if letter != right_answer(choice, 1))
    _, screen = on_a_terminal(f"{wrong}\n{right_answer(choice, 1)}\n", choice, "--seed", "1")
    assert "0 of 3 right in a row." in screen, "a choice counts at the first try"
    on_a_terminal(f"{right_answer('1a', 3)}\n", "1a", "--seed", "3")
    on_a_terminal("", "1a", "--seed", "4", "--show")
    assert json.loads((tmp_path / "exercises.json").read_text())["exercises"]["1a"]["in_a_row"] == 0
    run_command(capsys, "exercise", "1b", "--seed", "3", "--answer", right_answer("1b", 3))
    assert "1b" not in json.loads((tmp_path / "exercises.json").read_text())["exercises"], "marking is no practice"


@pytest.mark.parametrize("content", ["", "{", '{"format": 9}', '{"format": 1, "exercises": {"1a": 3}}', "\x00" * 99])
def test_progress_that_can_not_be_read_is_one_line_and_is_left_as_it_is(
    content: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CONVSCOPE_DATA", str(tmp_path))
    (tmp_path / "exercises.json").write_text(content)
    code, screen = on_a_terminal(f"{right_answer('1a', 1)}\n", "1a", "--seed", "1")
    assert code == 0 and "progress is not kept: " in screen and "1 of 3 right in a row." in screen
    assert (tmp_path / "exercises.json").read_text() == content
    code, out, err = run_command(capsys, "exercise", "--progress")
    assert code == 0 and out.startswith("0 of 94") and err.count("\n") == 1 and "exercises.json" in err


def test_progress_that_can_not_be_written_is_one_line_and_the_exercise_goes_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for place in (tmp_path / "file" / "below", Path("/dev/full"), Path("/proc/none")):
        (tmp_path / "file").write_text("a file, no folder")
        monkeypatch.setenv("CONVSCOPE_DATA", str(place))
        code, screen = on_a_terminal(f"{right_answer('1a', 1)}\n", "1a", "--seed", "1")
        assert code == 0 and screen.count("progress is not kept: ") == 1 and "1 of 3 right in a row." in screen, place


def test_a_full_disk_leaves_the_progress_as_it_was(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def full(*_: object) -> None:
        raise WriteError("no space left on device")

    monkeypatch.setenv("CONVSCOPE_DATA", str(tmp_path))
    MasteryFile().keep("1a", 1, right=True)
    monkeypatch.setattr("convscope.cli.exercise_mastery.replace_file", full)
    assert MasteryFile().keep("1a", 2, right=True).in_a_row == 2
    assert capsys.readouterr().err == (
        f"convscope: progress is not kept: {tmp_path}/exercises.json: no space left on device\n"
    )
    assert MasteryFile().mastery.of("1a").in_a_row == 1


def test_the_end_of_input_is_an_interruption() -> None:
    code, screen = on_a_terminal("", "3a", "--seed", "42")
    assert code == 130 and "interrupted" in screen


def test_no_torch_is_imported_and_no_numpy_where_integers_are_enough() -> None:
    for name, loaded in (("3a", set()), ("5a", set()), ("8a", {"numpy"}), ("slip-retina-filters", {"numpy"})):
        code = (
            "import sys; from convscope.exercises.exercise import exercise; "
            f"asked = exercise('{name}', seed=1); asked.mark(asked.answer); str(asked.solution()); "
            "print(*{'torch', 'numpy'} & set(sys.modules))"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300)
        assert set(done.stdout.split()) <= loaded, (name, done.stdout)
