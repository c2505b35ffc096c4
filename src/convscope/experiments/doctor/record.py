"""The record of a check-up, its tables and lines."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from convscope.experiments.doctor.ceilings import Ceilings
from convscope.graph.figures import TrainingMacs
from convscope.hardware.allocator import Allocation
from convscope.hardware.machine import Machine
from convscope.report.document import Callout, Document, Paragraph
from convscope.report.documented import Documented
from convscope.report.json_values import json_dict
from convscope.report.short_repr import ShortRepr
from convscope.report.table import Column, Row, Table
from convscope.report.units import byte_size, count, macs, percent, plural, shape
from convscope.training.autotune.record import ComputePlan, ModeTrial


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Reached(ShortRepr):
    """What training a network reaches.

    Args:
        model, input_shape, batch_size: what is trained.
        macs: multiply-adds of one image's training step.
        plan: what was chosen for it; None where it does not run in fp32.
        trial: whole batches in the chosen mode.
        share_of_peak: its floating-point operations a second, as a share of the fastest convolution in its arithmetic.
        time_by_kind: shares of a step's time.
    """

    model: str
    input_shape: tuple[int, ...]
    batch_size: int
    macs: TrainingMacs
    plan: ComputePlan | None
    trial: ModeTrial
    share_of_peak: float
    time_by_kind: dict[str, float]


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Checkup(Documented):
    """Everything that `convscope doctor` found; `warnings` say what makes it doubtful."""

    machine: Machine
    available: int | None
    torch: str
    capability: str
    backends: dict[str, bool]
    threads: int
    gpu: str | None
    allocation: Allocation
    huge_pages: bool | None
    ceilings: Ceilings
    reached: Reached
    warnings: tuple[str, ...]

    def headline(self) -> str:
        """Return what training reaches of the machine's peak."""
        return f"{self.reached.model} reaches {percent(self.reached.share_of_peak)} of {self.machine.processor}"

    def document(self) -> Document:
        """Return what is shown: the machine, its peaks, and what training reaches of them."""
        return Document(
            "This machine, and what training reaches of it",
            (machine_table(self), ceilings_table(self), time_table(self)),
            summary=(*map(Paragraph, reached_lines(self)), *(Callout("warning", line) for line in self.warnings)),
            footer="Made by convscope doctor.",
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the check-up as JSON's types.

        Keys:
            machine: processor, cores, instructions, memory.
            available: free bytes of memory, or null.
            torch: its version.
            capability: the instructions that torch uses.
            backends: torch's libraries, and whether they are there.
            threads: of torch, as many as trainings take.
            gpu: its name, or null.
            allocation: how memory is kept.
            huge_pages: whether torch's memory lies in them, or null.
            ceilings: the measured peaks, each with the spread of its repetitions.
            reached: what training reaches of them: images a second, MACs, share of the peak, time by part.
            warnings: what makes the figures doubtful.
        """
        values = asdict(self)
        macs = self.reached.macs
        values["reached"]["macs"] |= {"total": macs.total, "training_flops": macs.flops}
        return json_dict(values)


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
