"""`convscope look MODEL IMAGE`: what a network computes of an image, each part when it is ready."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from dataclasses import replace
from typing import TYPE_CHECKING

from convscope.cli.deadline import EXIT_INTERRUPTED, tell_interrupted, within
from convscope.cli.given_options import typed_again
from convscope.cli.look_files import OPENING, RESULTS, WrittenLook
from convscope.cli.output import echo
from convscope.cli.own_code import with_code
from convscope.report.printable import shell_quote
from convscope.report.table import print_table

if TYPE_CHECKING:
    from convscope.interpret.look.options import LookOptions
    from convscope.interpret.look.record import Look, LookPart


def look_at_image(
    model: str,
    image: str,
    options: LookOptions,
    *,
    code: str,
    trust_code: bool,
    deadline: float,
    input_shape: tuple[int, ...] | None,
    written: WrittenLook,
) -> int:
    """Show what a network computes of an image, and write the files; the model is opened within the deadline.

    Returns:
        The exit code.
    """
    from convscope.interpret.attribution.checks.record import AttributionChecks
    from convscope.interpret.look.look import look_at
    from convscope.interpret.look.page import once
    from convscope.interpret.replay.finite import require_finite
    from convscope.interpret.subject import subject
    from convscope.report.terminal import print_document

    with within(deadline, model):
        given = subject(with_code(model, code, trust_code), image, input_shape=input_shape, seed=options.seed)
        require_finite(given.replay)
    stdout = sys.stdout
    said: set[str] = set()

    def show(part: LookPart) -> None:
        if isinstance(part, AttributionChecks):  # they come together: one table of all is printed at the end
            return
        document = part.document()
        print_document(replace(document, blocks=once(document.blocks, said)), file=stdout)
        print(file=stdout, flush=True)

    with redirect_stdout(sys.stderr):  # the model is known to end: how long the rest takes is the command's own
        found = look_at(given, options, None if written.as_json else show, progress=True)
    _end(found, model, image, input_shape, written, said)
    return EXIT_INTERRUPTED if found.interrupted else 0


def _end(
    found: Look, model: str, image: str, input_shape: tuple[int, ...] | None, written: WrittenLook, said: set[str]
) -> None:
    """Write the files, and print what is left to say."""
    if found.interrupted:
        tell_interrupted()
    lines = written.write(found)
    if written.as_json:
        return
    if found.checks:
        print_table(found.table())
        for checks in found.checks:
            for warning in checks.warnings:
                echo(f"! {checks.method}: {warning}")
        echo()
    for note in (*found.notes, *found.left_out):
        if note not in said:
            echo(f"· {note}")
    if found.interrupted:
        echo("! interrupted: the parts above are kept")
        if found.missing:
            echo(f"not measured: {', '.join(found.missing)} (interrupted)")
    for line in lines:
        echo(line)
    echo(f"\nnext: {_next(found, model, image, input_shape, written)}")


def _next(found: Look, model: str, image: str, input_shape: tuple[int, ...] | None, written: WrittenLook) -> str:
    """Return the command to type next: the page, and then the number behind the strongest cell."""
    if not written.has_page:
        return shell_quote("convscope", "look", model, image, *typed_again(without=RESULTS), "--html", "look.html")
    shape = [] if input_shape is None else ["--input", "x".join(map(str, input_shape))]
    if found.strongest_cell is None:
        code = typed_again(only=("code", "trust_code"))
        return shell_quote("convscope", "inspect", model, *shape, *code)
    layer, channel, at = found.strongest_cell
    words: list[object] = ["convscope", "explain", model, image, *shape, *typed_again(only=OPENING)]
    words += ["--layer", layer, "--channel", channel]
    return shell_quote(*words, *(["--at", ",".join(map(str, at))] if at else []))
