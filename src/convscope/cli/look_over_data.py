"""`convscope look RUN` without an image: what a network learned, over a data set."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

import click

from convscope.cli.deadline import EXIT_INTERRUPTED, tell_interrupted, within
from convscope.cli.given_options import typed_again
from convscope.cli.look_asked import AskedOfData, names_in
from convscope.cli.look_files import OPENING, RESULTS, WrittenLook
from convscope.cli.output import echo
from convscope.cli.own_code import with_code
from convscope.report.printable import shell_quote

if TYPE_CHECKING:
    from convscope.interpret.learned.record import Learned
    from convscope.report.documented import Documented
    from convscope.runs.run_directory import Run

_TELLING = ("examples", "robustness", "knock-out", "probes")  # what to look at next


def look_over_data(
    model: str,
    asked: AskedOfData,
    *,
    against: str | None,
    layer: str | None,
    input_text: str | None,
    seed: int,
    code: str,
    trust_code: bool,
    deadline: float,
    written: WrittenLook,
) -> int:
    """Show what a network learned, each part when it is ready, and write the page into its run.

    Returns:
        The exit code.
    """
    from convscope.hardware.allocator import prepare_memory

    prepare_memory()  # before torch is imported
    from convscope.capture.input_text import parse_shape
    from convscope.capture.load import load
    from convscope.interpret.behaviour.other_network import other_network
    from convscope.interpret.explanation.explain import given_network
    from convscope.interpret.learned.learned import learned_of
    from convscope.interpret.learned.network_on_data import network_on_data
    from convscope.interpret.learned.parts import PartOptions, find_parts, some_inputs
    from convscope.report.progress import shown_progress
    from convscope.report.terminal import print_document

    names = names_in(asked.parts)
    if asked.parts is not None and not names:
        raise click.UsageError("--parts names no part: give some, such as robustness,knock-out, or leave it out")
    chosen = find_parts(names, every=asked.every, with_other=against is not None)
    input_shape = None if input_text is None else parse_shape(input_text)
    given_model = with_code(model, code, trust_code)
    stdout = sys.stdout

    def show(title: str, part: Documented) -> None:
        print_document(part.document(), file=stdout)
        print(file=stdout, flush=True)

    with within(deadline, model):
        network = given_network(load(given_model), input_shape, seed)
        options = PartOptions(
            images=asked.images,
            layer=layer,
            other=None if against is None else other_network(against, seed),
            seed=seed,
        )
    with redirect_stdout(sys.stderr):
        with shown_progress() as progress:
            given = network_on_data(
                given_model, asked.data, split=asked.split, input_shape=input_shape, seed=seed, progress=progress,
                network=network,
            )  # fmt: skip
        with within(deadline, model):  # how long the rest takes is the command's own
            given.replays.graph_on(some_inputs(given, given.images))
        found = learned_of(given, chosen, options, None if written.as_json else show, progress=True)
    _end(found, model, given.run, written)
    return EXIT_INTERRUPTED if found.interrupted else 0


def _end(found: Learned, model: str, run: Run | None, written: WrittenLook) -> None:
    """Write the files, and print what is left to say."""
    if found.interrupted:
        tell_interrupted()
    lines = written.write(found)
    if written.as_json:
        return
    if run is not None and written.html_path is None and found.parts:
        lines.append(_page_in_run(found, run))
    for note in (*found.notes, *found.left_out):
        echo(f"· {note}")
    if found.interrupted:
        echo("! interrupted: the parts above are kept")
    for line in lines:
        echo(line)
    if found.missing:
        echo(f"not measured: {', '.join(found.missing)} (interrupted)")
    if found.not_asked:
        echo(f"not measured: {', '.join(found.not_asked)} (--parts A,B or --all)")
    echo(f"\nnext: {_next(found, model)}")


def _page_in_run(found: Learned, run: Run) -> str:
    """Write the page into the run, over that of an earlier look at the same weights; return what to say of it.

    A network that comes with convscope is part of the program, into which nothing is written.
    """
    from convscope.errors import ConvscopeError
    from convscope.interpret.look.saved import PAGE_NAME
    from convscope.report.printable import from_here
    from convscope.runs.atomic_files import write_file
    from convscope.runs.built_in import built_in_of

    if built_in_of(run.path) is not None:
        return "no page: --html FILE writes one"
    page = run.path / (f"look-{run.checkpoint}.html" if run.checkpoint else PAGE_NAME)
    try:
        write_file(page, found.to_html())
    except ConvscopeError as error:
        return f"! no page: {error}; --html FILE writes it elsewhere"
    return f"wrote {from_here(page)}"


def _next(found: Learned, model: str) -> str:
    """Return the command to type next: a wrong image under its map, else a part that is not measured yet."""
    shown = () if found.examples is None else found.examples.images
    wrong = [image.name for image in shown if image.right is False and _can_be_named(image.name)]
    if wrong:
        return shell_quote("convscope", "look", model, wrong[0], *typed_again(only=("inputs", *OPENING)))
    left = [name for name in _TELLING if name in found.not_asked]
    if not left:
        return shell_quote("convscope", "look", model, "IMAGE", *typed_again(only=("inputs", *OPENING)))
    again = typed_again(without=("parts", "every", *RESULTS))
    return shell_quote("convscope", "look", model, *again, "--parts", left[0])


def _can_be_named(name: str) -> bool:
    """Return whether an image is found by its name: one of several in a file is not."""
    return name.startswith("digits/") or Path(name).is_file()
