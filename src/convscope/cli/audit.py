"""`convscope audit`: each layer's numerical error in fp32, bf16 and channels-last."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout

import click

from convscope.cli.deadline import with_deadline, within
from convscope.cli.own_code import code_options, with_code
from convscope.cli.seed import SEED
from convscope.errors import CaptureError

JSON_VERSION = 1


@click.command("audit", epilog="Example: convscope audit resnet18")
@click.argument("model")
@click.option("--input", "input_text", help="Shape of one sample, such as 3x224x224, if the model has none.")
@click.option("--seed", type=SEED, default=0, show_default=True, help="Seed of the input and of random weights.")
@code_options
@with_deadline
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    model: str, input_text: str | None, seed: int, code: str, trust_code: bool, deadline: float, as_json: bool
) -> None:
    """Run MODEL in NumPy at float64, and measure each layer of torch's fp32, channels-last and bf16 against it.

    A layer's own error is that on exact inputs; the error so far includes that of the layers before it.
    """
    from convscope.capture.capture import capture
    from convscope.capture.load import load
    from convscope.cli.inspect import input_shapes, say_batch, smallest_that_works
    from convscope.interpret.audit import audit
    from convscope.report.json_values import json_text
    from convscope.report.terminal import print_document

    given = with_code(model, code, trust_code)
    with within(deadline, model):
        loaded = load(given)
        shapes = input_shapes(loaded, () if input_text is None else (input_text,))
        if len(shapes.samples) != 1 and not loaded.declared:
            raise CaptureError("an audit takes one input of floating-point numbers: give its shape alone")
        error = capture(loaded.model, shapes.inputs, name=loaded.name).error
    if error:
        raise CaptureError(error + smallest_that_works(loaded, shapes, error))
    say_batch(shapes, "each error")
    with redirect_stdout(sys.stderr):  # once the model is known to end, the arithmetic may take as long as it does
        found = audit(given, input_shape=shapes.inputs, seed=seed)
    if as_json:
        click.echo(json_text({"version": JSON_VERSION, **found.to_dict()}))
        return
    print_document(found.document())
