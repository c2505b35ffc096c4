"""`convscope look`: what a network computes of an image, and what its prediction depends on, with checks."""

from __future__ import annotations

from pathlib import Path

import click

from convscope.cli.compared_inputs import shape_of_each
from convscope.cli.deadline import with_deadline
from convscope.cli.given_options import take_only
from convscope.cli.look_asked import (
    AskedOfData,
    AskedOfImage,
    image_options,
    over_data_options,
    require_fitting_options,
)
from convscope.cli.look_files import OPENING, RESULTS, WrittenLook
from convscope.cli.option_groups import gathered, grouped
from convscope.cli.own_code import code_options
from convscope.cli.seed import SEED

EPILOG = "Example: convscope look lenet5 digits/7 --html look.html; without a model: --random-conv 8x3x3 photo.jpg"
_OF_MODEL = ("inputs", *OPENING, "deadline")
_COMPARED = ("model", "image", "against", "layer", "maps", "page", "ranking", "target", "methods")
_RANDOM = ("random_conv", "model", "seed", "scale")
GROUPS = {
    "Feature maps": ("layer", "maps", "page", "ranking", "scale", "at"),
    "What the score depends on": ("target", "methods", "no_checks"),
    "Slower, when asked for": ("robustness", "equivariance", "visualize", "fields"),
    "Compare networks, or without a model": ("against", "random_conv"),
    "Over a data set, without IMAGE": ("parts", "every", "images", "split", "data"),
    "Results": RESULTS,
    "Model and input": _OF_MODEL,
}


@click.command("look", epilog=EPILOG, cls=grouped(GROUPS))
@click.argument("model", required=False)
@click.argument("image", required=False)
@image_options
@click.option("--against", multiple=True, metavar="MODEL",
              help="Compare with this model, such as another run or RUN/checkpoint/step-...; repeatable.")  # fmt: skip
@click.option("--random-conv", metavar="8x3x3", help="No model: show IMAGE under a random convolution.")
@click.option("--input", "inputs", multiple=True, metavar="SHAPE",
              help="The input's shape, such as 3x224x224, if the model has none; MODEL=SHAPE for one.")  # fmt: skip
@click.option("--seed", type=SEED, default=0, show_default=True, help="Seed of all that is random.")
@over_data_options
@code_options
@with_deadline
@click.option("--save", "folder", type=click.Path(file_okay=False, path_type=Path),
              help="Write the pictures (PNG, SVG), arrays (.npy) and the page into a folder.")  # fmt: skip
@click.option("--html", "html_path", type=click.Path(dir_okay=False, path_type=Path), help="Write a page.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@gathered(asked=AskedOfImage, of_data=AskedOfData)
def command(
    model: str | None,
    image: str | None,
    asked: AskedOfImage,
    of_data: AskedOfData,
    against: tuple[str, ...],
    random_conv: str | None,
    inputs: tuple[str, ...],
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

    MODEL is a run, a checkpoint in it (RUN/checkpoint/step-N), a name from `convscope models`, file.py:factory,
    package.module:factory, model.onnx, or timm/NAME. IMAGE is an image file, digits/0 to digits/1796, a WAV file or an
    array file. Each part is printed when it is ready. Ctrl-C keeps those that are, lists the others, and exits with
    130.
    """
    if random_conv is not None:
        from convscope.cli.look_random import look_random

        if image is not None:
            raise click.UsageError("--random-conv takes an image and no model: leave MODEL out")
        take_only("--random-conv takes an image and no model", (*_RANDOM, *RESULTS))
        if model is None:
            raise click.UsageError(f"IMAGE is missing. {EPILOG}")
        written = WrittenLook(folder, html_path, as_json)
        look_random(model, random_conv, seed=asked.seed, scale=asked.scale, written=written)
        return 0
    if model is None:
        raise click.UsageError(f"MODEL is missing. {EPILOG}")
    require_fitting_options(with_image=image is not None)
    shape_texts = shape_of_each((model,) if image is None else (model, *against), inputs)
    if image is None:
        from convscope.cli.look_over_data import look_over_data

        return look_over_data(
            model,
            of_data,
            against=_one(against),
            layer=asked.layer,
            input_text=shape_texts[0],
            seed=asked.seed,
            code=code,
            trust_code=trust_code,
            deadline=deadline,
            written=WrittenLook(folder, html_path, as_json),
        )
    from convscope.hardware.allocator import prepare_memory

    prepare_memory()  # before torch is imported
    written = WrittenLook(folder, html_path, as_json)
    from convscope.capture.input_text import parse_shape
    from convscope.cli.look_at_image import look_at_image
    from convscope.cli.look_compare import compare

    if against:
        take_only("--against shows networks side by side", (*_COMPARED, *_OF_MODEL, *RESULTS))
    options = asked.options(compared=bool(against))
    shapes = [None if text is None else parse_shape(text) for text in shape_texts]
    if against:
        return compare(
            (model, *against),
            image,
            options=options,
            code=code,
            trust_code=trust_code,
            deadline=deadline,
            input_shapes=shapes,
            written=written,
        )
    return look_at_image(
        model,
        image,
        options,
        code=code,
        trust_code=trust_code,
        deadline=deadline,
        input_shape=shapes[0],
        written=written,
    )


def _one(against: tuple[str, ...]) -> str | None:
    """Return the other run of a look over a data set, which takes one."""
    if len(against) > 1:
        raise click.UsageError("--against takes one run where there is no IMAGE: leave the others out")
    return against[0] if against else None
