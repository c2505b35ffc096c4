"""`convscope audit`: each layer's numerical error in fp32, bf16 and channels-last."""

from __future__ import annotations

import json
import re

import click

from convscope.cli.echo import echo
from convscope.errors import GeometryError

JSON_VERSION = 1


@click.command("audit", epilog="Example: convscope audit resnet18")
@click.argument("model")
@click.option("--input", "input_text", help="The input's shape, such as 3x224x224, where the model does not say it.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the input and of random weights.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(model: str, input_text: str | None, seed: int, as_json: bool) -> None:
    """Run MODEL in NumPy at float64, and measure each layer of torch's fp32, channels-last and bf16 against it.

    A layer's own error is what it makes on exact inputs; the error so far is what has piled up.
    """
    from convscope.look.replay.audit import audit
    from convscope.report.table import print_table

    found = audit(model, input_shape=_shape(input_text), seed=seed)
    if as_json:
        click.echo(json.dumps({"version": JSON_VERSION, **found.to_dict()}, indent=1))
        return
    print_table(found.table())
    echo()
    for line in found.summary():
        echo(line)


def _shape(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    if not re.fullmatch(r"\d+([x×,]\d+)*", text):
        raise GeometryError(f"--input must be a shape such as 3x224x224; got {text!r}")
    return tuple(int(part) for part in re.split("[x×,]", text))
