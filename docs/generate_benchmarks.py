"""Write docs/benchmarks.md, and the README's table, from the results in docs/benchmarks/.

    python docs/generate_benchmarks.py

The benches that keep CSV files there have their tables and plot set from these. What any other command prints is kept
and shown as it is, below what the script says of itself, after

    python docs/generate_benchmarks.py --record doctor convscope doctor

A test holds both to the results.
"""

from __future__ import annotations

import argparse
import ast
import os
import re
import shlex
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))

import early_end
import forecasts
import grey_crops
import known_answer
import look_costs
import look_peers
import minutes
import photos
import probe
import small_resnet
import studio
import time_budget
import train
import weight_randomization
from convscope.report.table import Column, Table
from convscope.report.units import percent, plural
from kit.results import RESULTS, read_rows, where_and_when

PAGE = Path(__file__).with_name("benchmarks.md")
ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
# Before a block of commands: tests/docs/test_pages_run.py runs every other block.
NOT_RUN = "<!-- not run: a measurement of hours, or on data that is not here -->\n"
# What the README has between these is written here.
BEGIN, END = "<!-- from docs/benchmarks/train.csv -->\n", "<!-- end -->\n"
BEGIN_MINUTES = "<!-- from docs/benchmarks/minutes.csv -->\n"
MEASURED = (
    ("train", train, "Time to accuracy on CIFAR-10's JPEG files"),
    ("minutes", minutes, "Accuracy against minutes"),
    ("time-budget", time_budget, "Trainings that are given minutes"),
    ("forecasts", forecasts, "Forecasts beside what a training took"),
    ("early-end", early_end, "Early ends of trainings that are given minutes"),
    ("probe", probe, "A solved head beside inference"),
    ("small-resnet", small_resnet, "ResNet-18 at 32 pixels beside the plain loop"),
    ("photos", photos, "Photographs at 224 pixels, from files and from memory"),
    ("known-answer", known_answer, "Attributions of images whose answer is known"),
    ("weight-randomization", weight_randomization, "Attributions under random weights"),
    ("look-peers", look_peers, "Attributions beside Captum and pytorch-grad-cam"),
    ("studio", studio, "The page of the studio, in Chromium"),
    ("look-costs", look_costs, "What a look costs, in forward passes of one image"),
)
# Of wide tables these columns become headings, so that the rest can be read on a narrow screen.
HEADINGS = {
    "minutes": ("machine",),
    "time-budget": ("machine", "set"),
    "known-answer": ("size", "images", "networks", "accuracy"),
    "weight-randomization": ("network", "random layers"),
    "look-peers": ("network",),
    "look-costs": ("network",),
}


def main() -> None:
    """Keep a command's output where one is given, then write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--record", nargs=argparse.REMAINDER, metavar="NAME COMMAND", help="run this and keep its output"
    )
    given = parser.parse_args()
    if given.record:
        record(given.record[0], given.record[1:], RESULTS)
    if text := page(RESULTS):
        PAGE.write_text(text, encoding="utf-8")
        README.write_text(with_figures(README.read_text(encoding="utf-8"), RESULTS), encoding="utf-8")


def record(name: str, command: list[str], results: Path) -> None:
    """Run a command, show what it prints, and keep that with the machine and the day; data is named by its variable."""
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    print(done.stdout, end="")
    where = where_and_when()
    lines = [f"$ {shlex.join(command)}", *map(str.rstrip, done.stdout.rstrip().splitlines())]
    text = "\n".join([f"{where['machine']}; torch {where['torch']}; {where['date']}", *lines]) + "\n"
    if data := os.environ.get("CONVSCOPE_DATASETS"):
        text = text.replace(data.rstrip("/"), "$CONVSCOPE_DATASETS")
    results.mkdir(exist_ok=True)
    (results / f"{name}.txt").write_text(text, encoding="utf-8")


def page(results: Path) -> str:
    """Return the page; empty where nothing has been measured."""
    sections = [*measured(results), *recorded(results)]
    if not sections:
        return ""
    head = (
        "# Benchmarks\n\nWritten by `python docs/generate_benchmarks.py` from the files in "
        "[benchmarks/](benchmarks): no figure is typed by hand.\n"
    )
    return "\n".join([head, contents(sections), *sections])


def contents(sections: Sequence[str]) -> str:
    """Return a list of links to the sections, by their headings.

    >>> contents(["## ResNet-18, at 32 pixels\\n...", "## stops\\n..."])
    'On this page:\\n\\n- [ResNet-18, at 32 pixels](#resnet-18-at-32-pixels)\\n- [stops](#stops)\\n'
    """
    titles = [section.partition("\n")[0].removeprefix("## ") for section in sections]
    anchors = [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles]
    return "On this page:\n\n" + "".join(
        f"- [{title}](#{anchor})\n" for title, anchor in zip(titles, anchors, strict=True)
    )


def measured(results: Path) -> Iterator[str]:
    """Yield a section for each bench with a CSV file: what it does, in its own words, and its table."""
    for name, bench, title in MEASURED:
        if rows := read_rows(results / f"{name}.csv"):
            # From the script's own description: the first two paragraphs name the command, the rest what is measured.
            _, command, *about = (bench.__doc__ or "").strip().split("\n\n")
            plots = [f"![{title}](benchmarks/{file.name})\n" for file in sorted(results.glob(f"{name}*.svg"))]
            yield "\n".join([
                f"## {title}\n", f"{NOT_RUN}```bash\n{command.strip()}\n```\n", *(f"{part}\n" for part in about),
                divided(bench.table(rows), HEADINGS.get(name, ())), *plots, f"*{measured_on(rows)}*\n",
            ])  # fmt: skip


def measured_on(rows: Sequence[dict[str, str]]) -> str:
    """Return the machines that rows are of, each with the days from the first to the last.

    >>> measured_on([{"machine": "2 cores", "torch": "2.13", "date": f"2026-11-{day}"} for day in (26, 25, 26)])
    '2 cores; torch 2.13; 2026-11-25 to 2026-11-26'
    """
    days: dict[str, list[str]] = {}
    for row in rows:
        days.setdefault(f"{row['machine']}; torch {row['torch']}", []).append(row["date"])
    return "; ".join(f"{where}; {' to '.join(sorted({min(at), max(at)}))}" for where, at in days.items())


def recorded(results: Path) -> Iterator[str]:
    """Yield a section for each output that was kept; the first of a script has what that says of itself."""
    said: set[str] = set()
    for file in sorted(results.glob("*.txt")):
        where, _, output = file.read_text(encoding="utf-8").partition("\n")
        parts = [part for part in described(output.partition("\n")[0]) if part not in said]
        said.update(parts)
        about = "".join(f"{part}\n\n" for part in parts)
        yield f"## {file.stem}\n\n{about}{NOT_RUN}```console\n{output}```\n\n*{where}*\n"


def described(command: str) -> list[str]:
    """Return the paragraphs in which the script of a command describes itself; none of what is no script of bench/.

    >>> described("$ python bench/peak.py --repeats 1")[0]
    'The share of the convolution peak that training reaches: cifarnet, and resnet50 at 224 pixels.'
    >>> described("$ convscope doctor")
    []
    """
    script = next((ROOT / word for word in command.split() if word.startswith("bench/")), None)
    if script is None:
        return []
    parts = (ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or "").split("\n\n")
    return [part for part in parts if not part.startswith(" ")]


def with_figures(readme: str, results: Path) -> str:
    """Return the README with what was measured between its marks."""
    for begin, text in ((BEGIN, time_to_accuracy(results)), (BEGIN_MINUTES, accuracy_against_minutes(results))):
        before, _, rest = readme.partition(begin)
        _, _, after = rest.partition(END)
        readme = f"{before}{begin}{text}{END}{after}"
    return readme


def accuracy_against_minutes(results: Path) -> str:
    """Return each method's accuracy after each number of minutes, on each set; empty where nothing was measured."""
    rows = minutes.of_one_machine(read_rows(results / "minutes.csv"))
    if not rows:
        return ""
    largest = max(grey_crops.CLASSES.values())
    ours, peers = (
        len({row["seed"] for row in rows if (row["method"] == minutes.OURS) == of_ours}) for of_ours in (True, False)
    )
    about = (
        "Test accuracy by minutes, all from fresh weights. A peer's time ends with its saved weights, and it has "
        "its defaults, or what\nit documents for small images (-small); ours ends with its test and report. Ours are "
        f"medians of {plural(ours, 'seed')}, a peer's of {peers}. In\nbrackets: minutes that a run took, "
        f"where it went over. Of the grey crops {percent(largest, decimals=0)} are of the largest class, which is what "
        "a\nconstant prediction reaches. [How it was measured](docs/benchmarks.md#accuracy-against-minutes).\n"
    )
    shown = minutes.summary(rows)
    missing = "" if all(all(row.cells) for row in shown.rows) else "An empty cell has not been measured yet.\n"
    return f"{about}{missing}\n{markdown(shown)}\n*{machines(rows)}, no GPU.*\n"


def time_to_accuracy(results: Path) -> str:
    """Return each method's minutes and accuracy, means over its seeds, best first."""
    rows = read_rows(results / "train.csv")
    of = {method: [row for row in rows if row["method"] == method] for method in {row["method"] for row in rows}}

    def mean(method: str, *columns: str) -> float:
        """Of the first column that a run has."""
        return statistics.mean(float(next(row[name] for name in columns if row[name])) for row in of[method])

    methods = sorted(of, key=lambda method: -mean(method, "accuracy_views", "accuracy"))
    columns = [Column("method"), *(Column(name, numeric=True) for name in ("seeds", "minutes", "test accuracy"))]
    cells = [
        (
            method,
            str(len(of[method])),
            f"{mean(method, 'to_weights', 'seconds') / 60:.1f}",
            percent(mean(method, "accuracy_views", "accuracy")),
        )
        for method in methods
    ]
    return f"{markdown(Table.of(columns, cells))}\n*{machines(rows)}, no GPU.*\n"


def machines(rows: list[dict[str, str]]) -> str:
    """Return what rows were measured on."""
    return "; ".join(dict.fromkeys(f"{row['machine']}, torch {row['torch']}" for row in rows))


def divided(table: Table, by: Sequence[str]) -> str:
    """Return a table in Markdown, one for each of the values in the columns `by`, without columns that are empty.

    >>> rows = [["digits", "1", "2"], ["digits", "3", ""], ["cifar10", "4", ""]]
    >>> print(divided(Table.of([Column("set"), Column("a"), Column("b")], rows), ["set"]))
    ### set digits
    <BLANKLINE>
    | a | b |
    | --- | --- |
    | 1 | 2 |
    | 3 |  |
    <BLANKLINE>
    ### set cifar10
    <BLANKLINE>
    | a |
    | --- |
    | 4 |
    <BLANKLINE>
    """
    if not by:
        return markdown(table)
    headers = [column.header for column in table.columns]
    heading = [headers.index(name) for name in by]
    parts = []
    for values, group in groupby(table.rows, lambda row: [row.cells[place] for place in heading]):
        rows = [row.cells for row in group]
        kept = [n for n in range(len(headers)) if n not in heading and any(cells[n] for cells in rows)]
        part = Table.of([table.columns[n] for n in kept], [[cells[n] for n in kept] for cells in rows])
        title = ", ".join(f"{name} {value}" for name, value in zip(by, values, strict=True))
        parts.append(f"### {title}\n\n{markdown(part)}")
    return "\n".join(parts)


def markdown(table: Table) -> str:
    """Return a table in Markdown."""
    rows = [[column.header for column in table.columns], ["--:" if c.numeric else "---" for c in table.columns]]
    rows += [list(row.cells) for row in table.rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in rows)


if __name__ == "__main__":
    main()
