"""`convscope look`: what a network computes of an image, and what its answer rests on, with checks."""

from __future__ import annotations

import json
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from convscope.cli.deadline import with_deadline, within
from convscope.cli.look_over_data import look_over_data, over_data_options, require_fitting_options
from convscope.cli.output import echo, write_output
from convscope.cli.own_code import code_options, with_code
from convscope.report.printable import shell_quote
from convscope.report.table import print_table
from convscope.report.units import plural

if TYPE_CHECKING:
    from convscope.interpret.look.record import Look, LookPart

JSON_VERSION = 1
EPILOG = "Example: convscope look lenet5 digits/7 --html look.html; without a model: --random-conv 8x3x3 photo.jpg"
METHODS = "grad-cam,hires-cam,integrated-gradients,occlusion,guided-backprop"


@click.command("look", epilog=EPILOG)
@click.argument("model", required=False)
@click.argument("image", required=False)
@click.option("--layer", help="Show this layer's feature maps, and Grad-CAM there; a name as inspect prints it.")
@click.option("--class", "target", help="Explain this class, by name or number; the predicted one unless given.")
@click.option("--methods", default=METHODS, show_default=True, metavar="A,B",
              help="Of attribution; also gradient, gradient-times-input, captum:NAME.")  # fmt: skip
@click.option("--no-checks", is_flag=True, help="Leave the checks of the attributions out.")
@click.option("--maps", type=click.IntRange(1), default=8, show_default=True, help="How many feature maps to show.")
@click.option("--page", type=click.IntRange(1), default=1, show_default=True, help="Which of them.")
@click.option("--rank", "ranking", type=click.Choice(["energy", "contribution", "gradient", "order"]),
              default="energy", show_default=True, help="Which feature maps come first.")  # fmt: skip
@click.option("--scale", type=click.Choice(["map", "layer", "network"]), default="layer", show_default=True,
              help="What has one colour scale.")  # fmt: skip
@click.option("--fields", is_flag=True, help="Measure the layers' effective fields too.")
@click.option("--random-conv", metavar="8x3x3", help="No model: IMAGE under a random convolution.")
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
    target: str | None,
    methods: str,
    no_checks: bool,
    maps: int,
    page: int,
    ranking: Literal["energy", "contribution", "gradient", "order"],
    scale: Literal["map", "layer", "network"],
    fields: bool,
    random_conv: str | None,
    input_text: str | None,
    seed: int,
    parts: str | None,
    every: bool,
    images: int | None,
    split: str | None,
    data: str | None,
    against: str | None,
    code: str,
    trust_code: bool,
    deadline: float,
    folder: Path | None,
    html_path: Path | None,
    as_json: bool,
) -> None:
    """Look at what MODEL computes of IMAGE, or without one at what a run learned, over its images.

    Of an image: filters, feature maps, and which parts the answer depends on. Over the images of a run: right and wrong
    images, what excites each channel, confused classes, calibration, health of the layers, norms over the training, and
    with --parts or --all more; the page is written into the run.

    MODEL is a run, a name from `convscope models`, file.py:factory, package.module:factory, model.onnx, or timm/NAME.
    IMAGE is an image file, digits/0 to digits/1796, a WAV file or an array file. Each part is printed when it is
    ready, and Ctrl-C keeps those that are.
    """
    if random_conv is not None:
        if image is not None or any((layer, target, no_checks, fields, input_text, code)) or methods != METHODS:
            raise click.UsageError("--random-conv takes an image and no model: only --seed and --scale go with it")
        _random(model, random_conv, seed, scale, folder, html_path, as_json)
        return
    if model is None:
        raise click.UsageError(f"MODEL is missing. {EPILOG}")
    require_fitting_options(with_image=image is not None)
    if image is None:
        look_over_data(
            model,
            parts=parts,
            every=every,
            images=images,
            split=split,
            data=data,
            against=against,
            layer=layer,
            seed=seed,
            code=code,
            trust_code=trust_code,
            deadline=deadline,
            folder=folder,
            html_path=html_path,
            as_json=as_json,
        )
        return
    from convscope.hardware.allocator import prepare_memory

    prepare_memory()  # before torch is imported
    from convscope.capture.input_text import parse_shape
    from convscope.interpret.attribution.checks.record import AttributionChecks
    from convscope.interpret.finite import require_finite
    from convscope.interpret.look.look import LookOptions, look_at
    from convscope.interpret.subject import subject
    from convscope.report.terminal import print_document

    stdout = sys.stdout

    def show(part: LookPart) -> None:
        if isinstance(part, AttributionChecks):  # they come together: one table of all is printed at the end
            return
        print_document(part.document(), file=stdout)
        print(file=stdout, flush=True)

    options = LookOptions(
        layer=layer,
        target=target,
        methods=tuple(filter(None, (name.strip() for name in methods.split(",")))),
        checks=not no_checks,
        maps=maps,
        page=page,
        ranking=ranking,
        scale=scale,
        fields=fields,
        seed=seed,
    )
    with within(deadline, model):
        shape = None if input_text is None else parse_shape(input_text)
        given = subject(with_code(model, code, trust_code), image, input_shape=shape, seed=seed)
        require_finite(given.replay)
    with redirect_stdout(sys.stderr):  # the model is known to end: how long the rest takes is the command's own
        found = look_at(given, options, None if as_json else show, progress=True)
    _end(found, model, image, folder, html_path, as_json)


def _end(found: Look, model: str, image: str, folder: Path | None, html_path: Path | None, as_json: bool) -> None:
    """Write the files, and print what is left to say."""
    files = () if folder is None else found.save(folder)
    if html_path is not None:
        write_output(html_path, found.to_html(), parents=True)
    if as_json:
        click.echo(json.dumps({"version": JSON_VERSION, **found.to_dict()}, indent=1, allow_nan=False))
        return
    if found.checks:
        print_table(found.table())
        for checks in found.checks:
            for warning in checks.warnings:
                echo(f"! {checks.method}: {warning}")
        echo()
    for note in (*found.notes, *found.left_out):
        echo(f"· {note}")
    if found.interrupted:
        echo("! interrupted: the parts above are kept")
    if folder is not None:
        echo(f"wrote {plural(len(files), 'file')} into {folder}")
    if html_path is not None:
        echo(f"wrote {html_path}")
    echo(f"\nnext: {_next(found, model, image, html_path or folder)}")


def _next(found: Look, model: str, image: str, written: Path | None) -> str:
    """Return the command to type next: the page, and then the number behind the strongest cell."""
    if written is None:
        return shell_quote("convscope", "look", model, image, "--html", "look.html")
    words: list[object] = ["convscope", "explain", model, image]
    if (cell := found.strongest_cell) is not None:
        layer, channel, at = cell
        words += ["--layer", layer, "--channel", channel]
        words += ["--at", ",".join(map(str, at))] if at else []
    return shell_quote(*words) if cell is not None else shell_quote("convscope", "inspect", model)


def _random(
    image: str | None,
    kernels: str,
    seed: int,
    scale: Literal["map", "layer", "network"],
    folder: Path | None,
    html_path: Path | None,
    as_json: bool,
) -> None:
    if image is None:
        raise click.UsageError(f"IMAGE is missing. {EPILOG}")
    from convscope.interpret.features.random_convolution import random_convolution
    from convscope.interpret.look.saved import save_results
    from convscope.report.terminal import print_document

    found = random_convolution(image, kernels, seed=seed, scale=scale)
    files = () if folder is None else save_results(folder, {"random convolution": found})
    if html_path is not None:
        write_output(html_path, found.to_html(), parents=True)
    if as_json:
        click.echo(json.dumps({"version": JSON_VERSION, **found.to_dict()}, indent=1, allow_nan=False))
        return
    print_document(found.document())
    if folder is not None:
        echo(f"wrote {plural(len(files), 'file')} into {folder}")
    if html_path is not None:
        echo(f"wrote {html_path}")
    again = shell_quote("convscope", "look", "--random-conv", kernels, image, "--seed", seed + 1, "--html", "maps.html")
    echo(f"\nnext: {again}")
