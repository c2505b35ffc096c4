"""`convscope look MODEL IMAGE --against MODEL`: networks side by side on one image."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING

from convscope.cli.deadline import EXIT_INTERRUPTED, tell_interrupted, within
from convscope.cli.given_options import typed_again
from convscope.cli.look_files import OPENING, RESULTS
from convscope.cli.output import echo
from convscope.cli.own_code import each_with_code
from convscope.report.printable import shell_quote

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convscope.cli.look_files import WrittenLook
    from convscope.interpret.look.options import LookOptions


def compare(
    models: tuple[str, ...],
    image: str,
    *,
    options: LookOptions,
    code: str,
    trust_code: bool,
    deadline: float,
    input_shapes: Sequence[tuple[int, ...] | None],
    written: WrittenLook,
) -> int:
    """Compare models on an image, print what was found, and write the files; each is opened within the deadline.

    Args:
        models: as they are typed, two or more.
        image: as it is typed.
        options: what is shown.
        code: where the code of a run is, "" where that is not said.
        trust_code: whether the copy that a run holds may be run.
        deadline: seconds for each model.
        input_shapes: of one sample, (C, *S), for each model; None for its own.
        written: where the results go.

    Returns:
        The exit code.
    """
    from convscope.interpret.look.compare_looks import compare_subjects
    from convscope.interpret.replay.finite import require_finite
    from convscope.interpret.subject import subject
    from convscope.report.terminal import print_document

    given = []
    for name, model, shape in zip(models, each_with_code(models, code, trust_code), input_shapes, strict=True):
        with within(deadline, name):
            given.append(subject(model, image, input_shape=shape, seed=options.seed))
            require_finite(given[-1].replay)
    with redirect_stdout(sys.stderr):
        found = compare_subjects(given, options, progress=True)
    if found.interrupted:
        tell_interrupted()
    lines = written.write(found)
    exit_code = EXIT_INTERRUPTED if found.interrupted else 0
    if written.as_json:
        return exit_code
    print_document(found.document())
    for line in ("", *lines):
        echo(line)
    shape = input_shapes[1]
    opening = [*([] if shape is None else ["--input", "x".join(map(str, shape))]), *typed_again(only=OPENING)]
    again = (models[1], image, *opening, "--html", "look.html") if written.has_page else (
        models[0], image, *typed_again(without=RESULTS), "--html", "compared.html",
    )  # fmt: skip
    echo(f"next: {shell_quote('convscope', 'look', *again)}")
    return exit_code
