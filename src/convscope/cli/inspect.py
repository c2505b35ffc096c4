"""`convscope inspect MODEL`: every layer's shape, parameters, MACs and receptive field; warnings; drawings."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from convscope.cli.deadline import with_deadline, within
from convscope.cli.given_options import given_options
from convscope.cli.output import echo, echo_json, write_output
from convscope.cli.own_code import code_options, with_code
from convscope.errors import CaptureError, ConvscopeError
from convscope.files.writable import require_folder_of

if TYPE_CHECKING:
    from convscope.capture.input_shapes import InputShapes
    from convscope.capture.left_as_found import CaptureMode
    from convscope.capture.load import Loaded
    from convscope.graph.memory import OptimizerKind
    from convscope.interpret.inspection.record import Inspection


_MODELS = (
    "MODEL is a name from `convscope models`, file.py:factory, package.module:factory, model.onnx, a run, or timm/NAME."
)


@click.command(epilog=_MODELS)
@click.argument("model")
@click.option("--input", "-i", "inputs", multiple=True, metavar="SHAPE",
              help="Shape of one sample, 3x224x224, or of a batch, 4x3x224x224; one for each input. "
              "With a type, a range or a name: 40:int64, 40:int64:0-99, "
              "label=scalar:int64; [3x224x224,3x300x200] is a list.")  # fmt: skip
@click.option(
    "--depth", type=click.IntRange(1), help="Levels of modules to show; all, with repeats folded, unless given."
)
@click.option(
    "--wide", is_flag=True, help="Also input, output values, kernel, shares of the totals, start of the field, memory."
)
@click.option("--local-fields", is_flag=True, help="Also receptive fields apart from gates and normalization.")
@click.option("--formulas", is_flag=True, help="Also the formulas of parameters and MACs.")
@click.option("--object-size", type=click.IntRange(1), metavar="PIXELS", help="Warn if no field is this large.")
@click.option(
    "--batch", type=click.IntRange(1), metavar="N", help="Run on N samples; also the memory of a training step."
)
@click.option("--memory", metavar="SIZE", help="The largest batch that trains in this much, like 8GB.")
@click.option("--optimizer", type=click.Choice(["sgd", "momentum", "adam"]), default="momentum", show_default=True,
              help="Optimizer whose state --batch and --memory count.")  # fmt: skip
@click.option("--all-warnings", is_flag=True, help="Show every warning, similar ones too.")
@click.option("--strict", is_flag=True, help="Exit with 2 if there are warnings; notes are ignored.")
@click.option("--mode", type=click.Choice(["eval", "train", "as is"]), default="eval", show_default=True,
              help="Mode of the modules while the model runs.")  # fmt: skip
@with_deadline
@click.option("--json", "as_json", is_flag=True, help="Print JSON; docs/inspect.md describes it.")
@code_options
@click.option("--html", "html_file", type=click.Path(dir_okay=False, path_type=Path), help="Write a page.")
@click.option("--svg", "svg_file", type=click.Path(dir_okay=False, path_type=Path), help="Draw the network.")
@click.option("--field-svg", "field_file", type=click.Path(dir_okay=False, path_type=Path),
              help="Draw the receptive field as it grows.")  # fmt: skip
def command(
    model: str,
    inputs: tuple[str, ...],
    depth: int | None,
    wide: bool,
    local_fields: bool,
    formulas: bool,
    object_size: int | None,
    batch: int | None,
    memory: str | None,
    optimizer: OptimizerKind,
    all_warnings: bool,
    strict: bool,
    mode: CaptureMode,
    deadline: float,
    as_json: bool,
    code: str,
    trust_code: bool,
    html_file: Path | None,
    svg_file: Path | None,
    field_file: Path | None,
) -> None:
    """List every layer of a model: shape, parameters, MACs, receptive field; totals; design warnings."""
    from convscope.capture.capture import training_memory
    from convscope.capture.load import load
    from convscope.interpret.inspection.record import inspect
    from convscope.report.html import document_page
    from convscope.report.terminal import print_document
    from convscope.report.units import parse_byte_size

    if batch is None and memory is None and any(option.name == "optimizer" for option in given_options()):
        raise click.UsageError("--optimizer counts the memory of a training step: add --batch or --memory")
    for file in (html_file, svg_file, field_file):
        require_folder_of(file)
    limit = None if memory is None else parse_byte_size(memory)
    needs = None
    with within(deadline, model):
        loaded = load(with_code(model, code, trust_code))
        loaded.require_intact_weights()
        shapes = input_shapes(loaded, inputs)
        shapes = shapes if batch is None else replace(shapes, batch_size=batch)
        inspection = inspect(
            loaded.factory,
            shapes.inputs,
            batch_size=shapes.batch_size,
            name=loaded.name,
            mode=mode,
            object_size=object_size,
        )
        if (batch is not None or limit is not None) and not inspection.error:
            needs = training_memory(loaded.factory, shapes.inputs, name=loaded.name)
    document = inspection.document(
        depth,
        wide=wide,
        local_fields=local_fields,
        formulas=formulas,
        kept=needs.kept if needs else None,
        more=needs.facts(batch, limit, optimizer) if needs else (),
        all_warnings=all_warnings,
    )
    if html_file is not None:
        _write(html_file, document_page(document))
    _write_drawings(inspection, svg_file, field_file)
    if as_json:
        training = {"training_memory": needs.to_dict(batch, limit, optimizer)} if needs else {}
        echo_json({**inspection.to_dict(), **training})
    else:
        print_document(document)
    if inspection.error:
        more = smallest_that_works(loaded, shapes, inspection.error, mode)
        raise CaptureError(f"{inspection.error}{more} (what is shown ran before it)")
    found = [warning for warning in inspection.warnings if warning.severity == "warning"]
    if strict and found:
        raise ConvscopeError(f"{len(found)} warning{'s' if len(found) > 1 else ''}; the first: {found[0].message}")


def input_shapes(loaded: Loaded, texts: tuple[str, ...]) -> InputShapes:
    """Return the shapes that the user gave, without the batch; or those that the model is made for.

    Raises:
        CaptureError: a text is not a shape, or none was given for a model that does not say.
    """
    from convscope.capture.input_shapes import InputShapes, inputs_beside_a_file, parse_inputs

    if loaded.declared:
        sizes = loaded.declared[0].sizes
        if len(texts) > 1 or len(loaded.declared) > 1 or not sizes or not re.fullmatch(r"[\dx×,]*", "".join(texts)):
            return InputShapes((), complete=loaded.inputs(inputs_beside_a_file(texts)))
        if not texts:
            return InputShapes((loaded.input_shape,) if loaded.input_shape else (), complete=loaded.inputs())
        shapes = parse_inputs(texts, loaded.factory, (1,) * len(sizes))
        return replace(shapes, complete=loaded.inputs(shapes.samples[0]))
    if texts:
        return parse_inputs(texts, loaded.factory, loaded.input_shape)
    if loaded.input_shape is None:
        raise CaptureError(f"{loaded.name} does not say what it takes: give --input, such as --input 3x224x224")
    return InputShapes((loaded.input_shape,))


def say_batch(shapes: InputShapes, what: str) -> None:
    """Say on stderr that `what` is of one sample, where a batch was given."""
    from convscope.capture.input_shapes import batch_note

    note = batch_note(shapes, what)
    if note:
        echo(note, err=True)


def smallest_that_works(loaded: Loaded, shapes: InputShapes, error: str, mode: CaptureMode = "eval") -> str:
    """Return the end of an error if a larger input works: "; the smallest input that works is 3×32×32"."""
    from convscope.capture.failures import TWO_SAMPLES
    from convscope.capture.input_shapes import smallest_input
    from convscope.report.units import shape

    if TWO_SAMPLES in error:
        return ": --batch 2"
    samples = shapes.samples
    smallest = smallest_input(loaded.factory, samples[0], loaded.input_shape, mode=mode) if len(samples) == 1 else None
    return f"; the smallest input that works is {shape(smallest)}" if smallest else ""


def _write_drawings(inspection: Inspection, svg_file: Path | None, field_file: Path | None) -> None:
    if svg_file is not None:
        _write(svg_file, inspection.svg)
    if field_file is not None:
        drawing = inspection.field_figure()
        if drawing is None:
            raise ConvscopeError(f"{inspection.graph.name} has no local receptive field to draw")
        _write(field_file, drawing.document())


def _write(path: Path, content: str) -> None:
    write_output(path, content)
    echo(f"wrote {path}", err=True)
