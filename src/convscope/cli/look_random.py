"""`convscope look --random-conv 8x3x3 IMAGE`: an image under a random convolution, without a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convscope.cli.given_options import typed_again
from convscope.cli.output import echo
from convscope.report.printable import shell_quote

if TYPE_CHECKING:
    from convscope.cli.look_files import WrittenLook
    from convscope.interpret.features.map_choices import ScaleOf


def look_random(image: str, kernels: str, *, seed: int, scale: ScaleOf, written: WrittenLook) -> None:
    """Show an image under a random convolution."""
    from convscope.interpret.features.random_convolution import random_convolution
    from convscope.report.terminal import print_document

    found = random_convolution(image, kernels, seed=seed, scale=scale)
    lines = written.write(found)
    if written.as_json:
        return
    print_document(found.document())
    for line in lines:
        echo(line)
    other = (*typed_again(only=("scale",)), "--seed", seed + 1, "--html", "maps.html")
    again = shell_quote("convscope", "look", "--random-conv", kernels, image, *other)
    echo(f"\nnext: {again}")
