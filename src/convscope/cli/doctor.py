"""`convscope doctor`: this machine's measured peak, and the share of it that training reaches."""

from __future__ import annotations

import json
import os
import sys
from contextlib import redirect_stdout

import click

from convscope.experiments.doctor import SILENT_PROFILER
from convscope.report.printable import printable
from convscope.report.terminal import print_document

JSON_VERSION = 1


@click.command("doctor", epilog="Example: convscope doctor --model resnet50 --batch-size 32")
@click.option("--model", help="Network whose training is measured  [cifarnet]")
@click.option("--input", "input_text", metavar="SHAPE", help="Its input, such as 3x224x224  [the network's own]")
@click.option("--batch-size", type=click.IntRange(2), help="Images per step  [as for 50,000 images]")
@click.option("--device", default="auto", show_default=True, help="cpu or cuda.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(model: str | None, input_text: str | None, batch_size: int | None, device: str, as_json: bool) -> None:
    """Measure this machine: arithmetic, memory, decoding, disk; and the share of it that training reaches.

    It takes less than a minute. Other work on the machine falsifies the result, and is reported.
    """
    from convscope.hardware.allocator import prepare_memory

    prepare_memory()  # before torch is imported
    os.environ.setdefault(*SILENT_PROFILER)
    from convscope.capture.input_text import parse_shape
    from convscope.experiments.doctor.checkup import MODEL, check_up

    input_shape = None if input_text is None else parse_shape(input_text)
    with redirect_stdout(sys.stderr):  # stdout has the results alone
        found = check_up(
            model or MODEL,
            input_shape=input_shape,
            batch_size=batch_size,
            device=device,
            say=lambda line: print(printable(line), file=sys.stderr, flush=True),
        )
    if as_json:
        click.echo(json.dumps({"version": JSON_VERSION, **found.to_dict()}, indent=1))
        return
    print_document(found.document())
