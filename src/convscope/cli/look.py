"""`convscope look`: what a network computes of an image, and what its prediction depends on, with checks."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click
from click.core import ParameterSource

from convscope.cli.deadline import EXIT_INTERRUPTED, tell_interrupted, with_deadline, within
from convscope.cli.look_files import WrittenLook
from convscope.cli.look_over_data import look_over_data, over_data_options, require_fitting_options
from convscope.cli.option_groups import grouped
from convscope.cli.output import echo
from convscope.cli.own_code import code_options, with_code
from convscope.cli.position import position_of
from convscope.report.printable import shell_quote
from convscope.report.table import print_table

if TYPE_CHECKING:
    from convscope.interpret.look.record import Look, LookPart

EPILOG = "Example: convscope look lenet5 digits/7 --html look.html; without a model: --random-conv 8x3x3 photo.jpg"
METHODS = "grad-cam,hires-cam,integrated-gradients,occlusion,guided-backprop"
_RESULTS = ("folder", "html_path", "as_json")
_OF_MODEL = ("input_text", "seed", "code", "trust_code", "deadline")
GROUPS = {
    "Feature maps": ("layer", "maps", "page", "ranking", "scale", "at"),
    "What the score depends on": ("target", "methods", "no_checks"),
    "Slower, when asked for": ("robustness", "equivariance", "visualize", "fields"),
    "Compare networks, or without a model": ("against", "random_conv"),
    "Over a data set, without IMAGE": ("parts", "every", "images", "split", "data"),
    "Results": _RESULTS,
    "Model and input": _OF_MODEL,
}


@click.command("look", epilog=EPILOG, cls=grouped(GROUPS))
@click.argument("model", required=False)
@click.argument("image", required=False)
@click.option("--layer", help="Show this layer's feature maps, and Grad-CAM there; a name as inspect prints it.")
@click.option("--maps", type=click.IntRange(1), default=8, show_default=True, help="How many feature maps to show.")
@click.option("--page", type=click.IntRange(1), default=1, show_default=True, help="Which page of them, from 1.")
@click.option("--rank", "ranking", type=click.Choice(["energy", "contribution", "gradient", "order"]),
              default="energy", show_default=True,
              help="Which feature maps come first; contribution: fall of the score without the channel.")  # fmt: skip
@click.option("--scale", type=click.Choice(["map", "layer", "network"]), default="layer", show_default=True,
              help="What shares one colour scale.")  # fmt: skip
@click.option("--at", metavar="Y,X",
              help="Show all channels at this position of the map; the strongest one unless given.")  # fmt: skip
@click.option("--class", "target", help="Explain this class, by name or number; the predicted one unless given.")
@click.option("--methods", metavar="A,B",
              help=f"Attribution methods; also gradient, gradient-times-input, captum:NAME.  [{METHODS}]")  # fmt: skip
@click.option("--no-checks", is_flag=True, help="Leave the checks of the attributions out.")
@click.option("--robustness", is_flag=True,
              help="Find the smallest shift, rotation, blur, ... that changes the prediction.")  # fmt: skip
@click.option(
    "--equivariance", is_flag=True, help="Shift the image, and measure how far each layer's map moves with it."
)
@click.option("--visualize", metavar="LAYER[:CHANNELS]",
              help="Make pictures that excite channels, such as layer1.0:3,5.")  # fmt: skip
@click.option("--fields", is_flag=True, help="Measure the layers' effective receptive fields.")
@click.option("--against", multiple=True, metavar="MODEL",
              help="Compare with this model, such as another run or RUN/checkpoint/step-...; repeatable.")  # fmt: skip
@click.option("--random-conv", metavar="8x3x3", help="No model: show IMAGE under a random convolution.")
@click.option("--input", "input_text", help="The input's shape, such as 3x224x224, if the model has none.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of all that is random.")
@over_data_options
@code_options
@with_deadline
@click.option("--save", "folder", type=click.Path(file_okay=False, path_type=Path),
              help="Write the pictures (PNG, SVG), arrays (.npy) and the page into a folder.")  # fmt: skip
@click.option("--html", "html_path", type=click.Path(dir_okay=False, path_type=Path), help="Write a page.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    model: str | None,
    image: str | None,
    layer: str | None,
    maps: int,
    page: int,
    ranking: Literal["energy", "contribution", "gradient", "order"],
    scale: Literal["map", "layer", "network"],
    at: str | None,
    target: str | None,
    methods: str | None,
    no_checks: bool,
    robustness: bool,
    equivariance: bool,
    visualize: str | None,
    fields: bool,
    against: tuple[str, ...],
    random_conv: str | None,
    input_text: str | None,
    seed: int,
    parts: str | None,
    every: bool,
    images: int | None,
    split: str | None,
    data: str | None,
    code: str,
    trust_code: bool,
    deadline: float,
    folder: Path | None,
    html_path: Path | None,
    as_json: bool,
) -> int:
    """Look at what MODEL computes of IMAGE, or without one at what a run learned, over its images.

    Of an image: filters, feature maps, and which parts the answer depends on. Over the images of a run: right and wrong
    images, what excites each channel, confused classes, calibration, health of the layers, norms over the training, and
    with --parts or --all more; the page is written into the run.

    MODEL is a run, a name from `convscope models`, file.py:factory, package.module:factory, model.onnx, or timm/NAME.
    IMAGE is an image file, digits/0 to digits/1796, a WAV file or an array file. Each part is printed when it is
    ready. Ctrl-C keeps those that are, lists the others, and exits with 130.
    """
    if random_conv is not None:
        _take_only("--random-conv takes an image and no model", "random_conv", "model", "seed", "scale", *_RESULTS)
        _random(model, random_conv, seed, scale, WrittenLook(folder, html_path, as_json))
        return 0
    if model is None:
        raise click.UsageError(f"MODEL is missing. {EPILOG}")
    require_fitting_options(with_image=image is not None)
    if image is None:
        return look_over_data(
            model,
            parts=parts,
            every=every,
            images=images,
            split=split,
            data=data,
            against=_one(against),
            layer=layer,
            seed=seed,
            code=code,
            trust_code=trust_code,
            deadline=deadline,
            written=WrittenLook(folder, html_path, as_json),
        )
    from convscope.hardware.allocator import prepare_memory

    prepare_memory()  # before torch is imported
    written = WrittenLook(folder, html_path, as_json)
    from convscope.capture.input_text import parse_shape
    from convscope.interpret.attribution.checks.record import AttributionChecks
    from convscope.interpret.look.compare_looks import COMPARED_METHODS
    from convscope.interpret.look.look import look_at
    from convscope.interpret.look.options import LOOK_METHODS, LookOptions
    from convscope.interpret.look.page import once
    from convscope.interpret.replay.finite import require_finite
    from convscope.interpret.subject import subject
    from convscope.report.terminal import print_document

    if against:
        shown = ("layer", "maps", "page", "ranking", "target", "methods")
        _take_only("--against shows networks side by side", "against", "model", "image", *shown, *_OF_MODEL, *_RESULTS)
    named = tuple(filter(None, (name.strip() for name in (methods or "").split(","))))
    if methods is not None and not named:
        raise click.UsageError(f"--methods names no method: give some of {','.join(LOOK_METHODS)}, or leave it out")
    shape = None if input_text is None else parse_shape(input_text)
    options = LookOptions(
        layer=layer,
        target=target,
        methods=named if methods is not None else COMPARED_METHODS if against else LOOK_METHODS,
        checks=not no_checks,
        maps=maps,
        page=page,
        ranking=ranking,
        scale=scale,
        at=None if at is None else position_of(at),
        fields=fields,
        equivariance=equivariance,
        robustness=robustness,
        visualize=visualize,
        seed=seed,
    )
    if against:
        from convscope.cli.look_compare import compare

        return compare((model, *against), image, options, code, trust_code, deadline, shape, written)
    with within(deadline, model):
        given = subject(with_code(model, code, trust_code), image, input_shape=shape, seed=seed)
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
        found = look_at(given, options, None if as_json else show, progress=True)
    _end(found, model, image, written, said)
    return EXIT_INTERRUPTED if found.interrupted else 0


def _one(against: tuple[str, ...]) -> str | None:
    """Return the other run of a look over a data set, which takes one."""
    if len(against) > 1:
        raise click.UsageError("--against takes one run where there is no IMAGE: leave the others out")
    return against[0] if against else None


def _take_only(why: str, *names: str) -> None:
    """Refuse an option on the command line that is not among those that go together."""
    context = click.get_current_context()
    for parameter in context.command.params:
        name = parameter.name or ""
        if name not in names and context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            shown = parameter.opts[-1] if isinstance(parameter, click.Option) else name.upper()
            raise click.UsageError(f"{why}: leave {shown} out")


def _end(found: Look, model: str, image: str, written: WrittenLook, said: set[str]) -> None:
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
    echo(f"\nnext: {_next(found, model, image, written)}")


def _next(found: Look, model: str, image: str, written: WrittenLook) -> str:
    """Return the command to type next: the page, and then the number behind the strongest cell."""
    if not written.has_page:
        return shell_quote("convscope", "look", model, image, "--html", "look.html")
    words: list[object] = ["convscope", "explain", model, image]
    if (cell := found.strongest_cell) is not None:
        layer, channel, at = cell
        words += ["--layer", layer, "--channel", channel]
        words += ["--at", ",".join(map(str, at))] if at else []
    return shell_quote(*words) if cell is not None else shell_quote("convscope", "inspect", model)


def _random(
    image: str | None, kernels: str, seed: int, scale: Literal["map", "layer", "network"], written: WrittenLook
) -> None:
    """Show an image under a random convolution."""
    if image is None:
        raise click.UsageError(f"IMAGE is missing. {EPILOG}")
    from convscope.interpret.features.random_convolution import random_convolution
    from convscope.report.terminal import print_document

    found = random_convolution(image, kernels, seed=seed, scale=scale)
    lines = written.write(found)
    if written.as_json:
        return
    print_document(found.document())
    for line in lines:
        echo(line)
    again = shell_quote("convscope", "look", "--random-conv", kernels, image, "--seed", seed + 1, "--html", "maps.html")
    echo(f"\nnext: {again}")
