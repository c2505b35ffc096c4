"""`convscope compare MODEL MODEL...`: models side by side."""

from __future__ import annotations

import click

from convscope.cli.deadline import with_deadline, within
from convscope.cli.output import echo_json
from convscope.cli.own_code import code_options, each_with_code
from convscope.errors import CaptureError


@click.command()
@click.argument("models", nargs=-1, required=True, metavar="MODEL MODEL...")
@click.option("--input", "-i", "inputs", multiple=True, metavar="SHAPE",
              help="Shape of one sample, or of a batch, for all of them, or MODEL=SHAPE for one; "
              "each model's own unless given.")  # fmt: skip
@code_options
@with_deadline
@click.option("--json", "as_json", is_flag=True, help="Print JSON; docs/inspect.md describes it.")
def command(
    models: tuple[str, ...],
    inputs: tuple[str, ...],
    code: str,
    trust_code: bool,
    deadline: float,
    as_json: bool,
) -> None:
    """Compare two or more models; for two with common layers also the differences, layer by layer."""
    if len(models) < 2:
        raise CaptureError(f"comparing takes two models or more, got {models[0]} alone: name another")
    from convscope.capture.load import load
    from convscope.cli.compared_inputs import inputs_of_each
    from convscope.cli.inspect import input_shapes, say_batch
    from convscope.interpret.inspection.comparison import compare
    from convscope.interpret.inspection.record import inspect
    from convscope.report.terminal import print_document

    inspections, batch = [], None
    each = zip(models, each_with_code(models, code, trust_code), inputs_of_each(models, inputs), strict=True)
    for name, model, texts in each:
        with within(deadline, name):
            loaded = load(model)
            loaded.require_intact_weights()
            shapes = input_shapes(loaded, texts)
            inspection = inspect(loaded.factory, shapes.inputs, name=loaded.name)
        if inspection.error:
            raise CaptureError(f"{loaded.name}: {inspection.error}")
        inspections.append(inspection)
        batch = shapes if shapes.batch_size > 1 else batch
    if batch is not None:
        say_batch(batch, "each figure")
    comparison = compare(*inspections)
    if as_json:
        echo_json(comparison.to_dict())
        return
    print_document(comparison.document())
