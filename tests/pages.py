"""The code blocks of README.md and docs/*.md, run in order in a scratch folder.

A block runs unless a comment in the line before its fence says otherwise:

- `<!-- not run: REASON -->`: it is never run.
- `<!-- long: REASON -->`: it runs with the longer proofs.
- `<!-- figures vary: REASON -->`: it runs, and each number of the shown output stands for any number.

`console` holds `$ COMMAND` lines, each with its output or without; `bash` holds commands alone; `python` shares one
namespace within a page, and one that begins with `# NAME.py` is written to that file instead; `text` is not code. In a
shown output a line `...` stands for any lines, and a duration or an exponent such as 2e−09 for any other.

A table whose columns are a number, a fact, its values and what shows them states a fact in each row.
"""

from __future__ import annotations

import ast
import io
import os
import re
import shlex
import subprocess
import sys
import wave
from collections.abc import Iterator, Mapping
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import data_makers as made
from convscope.cli.main import main

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
RUN = ("console", "bash", "python")
NOTES = ("not run", "long", "figures vary")
_FENCE = re.compile(
    r"(?P<notes>(?:^<!-- .*? -->\n)*)^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
_FACT = re.compile(r"\| (?P<number>\d+) \| (?P<says>[^|]+) \| (?P<values>[^|]+) \| (?P<shown_by>[^|]+) \|")
_VARIES = re.compile(r"\b[\d,.]+ (?:µs|ms|s|min|h)\b|\b\d+e[-−+]\d\d\b|\b\d+ images/s\b")
_NUMBER = re.compile(r"[-−+]?\d[\d,.]*")


@dataclass(frozen=True, kw_only=True)
class Block:
    """One fenced block: where it stands, its language, its text, and the notes in the comments before it."""

    place: str
    language: str
    text: str
    notes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Fact:
    """A row of a table of facts: its heading, its number, what it says, the values, and what shows them."""

    heading: str
    number: int
    says: str
    values: tuple[str, ...]
    shown_by: tuple[str, ...]


def facts(page: Path) -> list[Fact]:
    """Return the facts of a page, in order."""
    found, heading = [], ""
    for line in page.read_text(encoding="utf-8").splitlines():
        heading = line.removeprefix("## ") if line.startswith("## ") else heading
        if row := _FACT.fullmatch(line):
            named = re.findall(r"`([^`]+)`|\[([^]]+)\]\(#", row["shown_by"])
            found.append(
                Fact(
                    heading=heading,
                    number=int(row["number"]),
                    says=row["says"],
                    values=tuple(value.strip(" `") for value in row["values"].split("; ")),
                    shown_by=tuple(code or link for code, link in named),
                )
            )
    return found


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            place=f"{page.name}:{text.count(chr(10), 0, found.start('language')) + 1}",
            language=found["language"],
            text=found["text"],
            notes=dict(re.findall(rf"<!-- ({'|'.join(NOTES)}):\s*(.*?) -->", found["notes"])),
        )
        for found in _FENCE.finditer(text)
    ]


def placeholders(folder: Path) -> None:
    """Make what the pages name: photos/, new/, shapes/, digit.png, three.wav, clip.npy, net.py."""
    draw = np.random.default_rng(0)
    for name, level in (("daisy", 40), ("rose", 130), ("tulip", 220)):
        (folder / "photos" / name).mkdir(parents=True)
        for number in range(6):
            pixels = draw.normal(level, 25, (16, 16, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / "photos" / name / f"{number}.jpg", quality=95)
    (folder / "new").mkdir()
    made.image(0).save(folder / "new" / "a.jpg")
    made.image(1).save(folder / "new" / "b.jpg")
    made.shapes_table(folder / "shapes", 180)
    Image.fromarray(draw.integers(0, 256, (28, 28), dtype=np.uint8)).save(folder / "digit.png")
    with wave.open(str(folder / "three.wav"), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(np.arange(2400, dtype="<i2").tobytes())
    np.save(folder / "clip.npy", np.linspace(0, 1, 3 * 8 * 32 * 32, dtype=np.float32).reshape(3, 8, 32, 32))
    (folder / "net.py").write_text(
        "from torch import nn\n\n\ndef make_model():\n    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU())\n"
    )


def failures(page: Path, folder: Path, *, long: bool) -> Iterator[str]:
    """Run the blocks of a page in `folder`, the long ones only where asked; give what went wrong, by place."""
    placeholders(folder)
    namespace: dict[str, Any] = {"__name__": "page"}
    with chdir(folder):
        for block in blocks(page):
            if block.language not in RUN or "not run" in block.notes or ("long" in block.notes and not long):
                continue
            of_block = _python(block, namespace) if block.language == "python" else _commands(block)
            yield from (f"{block.place}: {problem}" for problem in of_block)


def commands(block: Block) -> Iterator[tuple[str, str]]:
    """Give each command of a block, and the output shown below it."""
    if block.language == "bash":
        yield from ((line, "") for line in block.text.splitlines())
        return
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        yield command, shown


def _commands(block: Block) -> Iterator[str]:
    for command, shown in commands(block):
        code, out, err = run_command(command)
        if code:
            yield f"{command!r} exits {code}: {err.strip()[-600:]}"
        elif (line := absent(shown, out, figures_vary="figures vary" in block.notes)) is not None:
            yield f"{command!r} does not print {line!r}, but:\n{out}"


def run_command(command: str) -> tuple[int, str, str]:
    """Run one command line: convscope within this process, which spares the import of torch; others in a shell."""
    words = shlex.split(command, comments=True)
    if words[0] != "convscope":
        places = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = {**os.environ, "PATH": places, "PYTHONPATH": str(ROOT / "src")}
        done = subprocess.run(command, shell=True, env=environment, capture_output=True, text=True, timeout=600)
        return done.returncode, done.stdout, done.stderr
    expanded = [path for word in words[1:] for path in (_matches(word) if word not in command.split("'") else [word])]
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            main(expanded)
        except SystemExit as ended:
            return int(ended.code or 0), out.getvalue(), err.getvalue()
    return 0, out.getvalue(), err.getvalue()


def _matches(word: str) -> list[str]:
    return (sorted(map(str, Path().glob(word))) if "*" in word else []) or [word]


def absent(shown: str, printed: str, *, figures_vary: bool = False) -> str | None:
    """Return the first shown line that the printed text lacks, in order and without gaps but at `...`; None if none."""
    lines = [_plain(line, figures_vary) for line in printed.strip("\n").splitlines()]
    at, anywhere = 0, False
    for line in shown.strip("\n").splitlines():
        if line.strip() == "...":
            anywhere = True
            continue
        wanted = _plain(line, figures_vary)
        try:
            found = lines.index(wanted, at)
        except ValueError:
            return line
        if found != at and not anywhere:
            return line
        at, anywhere = found + 1, False
    return None if not shown.strip() or anywhere or at == len(lines) else "(no more lines)"


def _plain(line: str, figures_vary: bool) -> str:
    """Return a line with durations, exponents and the width of columns left out, numbers too where they vary."""
    line = _VARIES.sub("#", line)
    if figures_vary:
        line = _NUMBER.sub("#", line)
    return re.sub(r"-{3,}", "---", re.sub(r" {2,}", "  ", line.rstrip()))


def _python(block: Block, namespace: dict[str, Any]) -> Iterator[str]:
    """Run a program, statement by statement; an expression with a literal in its comment must have that value."""
    file = re.match(r"# (\w+\.py)\n", block.text)
    if file is not None:
        Path(file[1]).write_text(block.text, encoding="utf-8")
        return
    lines = block.text.splitlines()
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        for statement in ast.parse(block.text).body:
            source = "\n".join(lines[statement.lineno - 1 : statement.end_lineno])
            try:
                if not isinstance(statement, ast.Expr):
                    exec(compile(source, block.place, "exec"), namespace)
                    continue
                value = eval(compile(ast.Expression(statement.value), block.place, "eval"), namespace)
            except Exception as error:
                yield f"{source!r} raises {type(error).__name__}: {error}"
                return
            comment = lines[(statement.end_lineno or 1) - 1][statement.end_col_offset :].partition("#")[2]
            try:
                stated = ast.literal_eval(comment.strip())
            except (ValueError, SyntaxError):
                continue
            if value != stated:
                yield f"{source!r} is {value!r}"
