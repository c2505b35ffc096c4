"""`convscope doctor`: this machine's measured peak, and the share of it that training reaches."""

from __future__ import annotations

import json
import os
import re
import sys
from typing import TYPE_CHECKING

import click

from convscope.cli.output import echo
from convscope.errors import RunError
from convscope.report.printable import printable
from convscope.report.table import Column, Row, Table, print_table
from convscope.report.units import byte_size, count, macs, percent, plural, shape

if TYPE_CHECKING:
    from convscope.experiments.doctor.checkup import Checkup

JSON_VERSION = 1
# torch's profiler writes a line to the terminal when it starts and when it stops; above its highest level it is silent.
SILENT_PROFILER = ("KINETO_LOG_LEVEL", "6")


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
    from convscope.experiments.doctor.checkup import MODEL, check_up

    found = check_up(
        model or MODEL,
        input_shape=_shape(input_text),
        batch_size=batch_size,
        device=device,
        say=lambda line: print(printable(line), file=sys.stderr, flush=True),
    )
    if as_json:
        click.echo(json.dumps({"version": JSON_VERSION, **found.to_dict()}, indent=1))
        return
    for table in (machine_table(found), ceilings_table(found), time_table(found)):
        print_table(table)
        echo()
    for line in (*reached_lines(found), *(f"warning: {warning}" for warning in found.warnings)):
        echo(line)


def machine_table(found: Checkup) -> Table:
    """Return the table of the machine's hardware and software."""
    machine = found.machine
    free = f", {byte_size(found.available)} free" if found.available is not None else ""
    rows = [
        ("processor", machine.processor),
        ("cores", f"{plural(machine.cores, 'core')}, {plural(found.threads, 'thread')} taken by torch"),
        ("instructions", ", ".join(machine.flags) or "unknown"),
        ("memory", f"{byte_size(machine.memory)}{free}"),
        ("torch", f"{found.torch}, {found.capability}, with {_names(found.backends)}"),
        ("GPU", found.gpu or "none"),
        ("allocator", found.allocation.line),
        ("huge pages", {True: "used for torch's memory", False: "not used", None: "unknown"}[found.huge_pages]),
    ]
    return Table.of([Column("this machine"), Column("")], rows)


def ceilings_table(found: Checkup) -> Table:
    """Return the table of peaks: medians, with the spread between repetitions."""
    ceilings = found.ceilings
    rows = [
        *(
            (f"matrix product, {name}", f"{rate.per_second / 1e9:,.0f} GFLOP/s", percent(rate.spread, decimals=0))
            for name, rate in ceilings.matmul.items()
        ),
        *(
            (f"3x3 convolution, {name}", f"{rate.per_second / 1e9:,.0f} GFLOP/s", percent(rate.spread, decimals=0))
            for name, rate in ceilings.convolution.items()
        ),
        ("memory, copied", f"{ceilings.copy.per_second / 1e9:,.1f} GB/s", percent(ceilings.copy.spread, decimals=0)),
        *(
            (f"JPEG of {name}, one core", f"{rate.per_second:,.0f} images/s", percent(rate.spread, decimals=0))
            for name, rate in ceilings.decode.items()
        ),
        ("cache folder, written", _per_second(ceilings.disk_write), ""),
        ("cache folder, read", _per_second(ceilings.disk_read), ""),
    ]
    return Table.of([Column("at most"), Column("", numeric=True), Column("runs differ by", numeric=True)], rows)


def time_table(found: Checkup) -> Table:
    """Return the table of a training step's time by part."""
    rows = [Row((kind, percent(share))) for kind, share in found.reached.time_by_kind.items()]
    title = f"A training step of {found.reached.model}"
    return Table((Column("kind of operation"), Column("time", numeric=True)), tuple(rows), title)


def reached_lines(found: Checkup) -> list[str]:
    """Return the plan's time, the share of the peak that it reaches, and the MACs from which the share is computed."""
    reached = found.reached
    what = f"{reached.model}, {shape(reached.input_shape)}, {plural(reached.batch_size, 'image')} a step"
    lines = [f"{what}: {reached.trial.images_per_second:,.0f} images/s"]
    if reached.plan is not None:
        lines += [f"plan: {line}" for line in reached.plan.lines()]
    cost = reached.macs
    lines.append(
        f"an image's step: {macs(cost.forward)} forward, {macs(cost.inputs)} for gradients of activations, "
        f"{macs(cost.weights)} for those of weights: {count(cost.flops)} floating-point operations, two a MAC"
    )
    rate = reached.trial.images_per_second * cost.flops / 1e9
    share = percent(reached.share_of_peak)
    precision = reached.trial.mode.precision
    lines.append(f"training reaches {rate:,.0f} GFLOP/s, {share} of the fastest {precision} convolution")
    return lines


def _names(backends: dict[str, bool]) -> str:
    return ", ".join(name for name, there in backends.items() if there) or "none of its libraries"


def _per_second(rate: float | None) -> str:
    return "?" if rate is None else f"{byte_size(round(rate))}/s"


def _shape(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    if not re.fullmatch(r"\d+([x×,]\d+)*", text):
        raise RunError(f"--input must be a shape such as 3x224x224; got {text!r}")
    return tuple(int(part) for part in re.split("[x×,]", text))
