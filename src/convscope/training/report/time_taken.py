"""The part of a report that says what a run took: by its parts, beside the forecast, and how its plan was changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from convscope.report.document import Block, Heading, Paragraph, Section
from convscope.report.table import Column, Table
from convscope.report.units import exact, percent, whole_tenths
from convscope.training.timing.forecast import Forecast
from convscope.training.timing.step_plan import StepPlan


@dataclass(frozen=True, kw_only=True)
class TimeTaken:
    """What a command took, up to the writing of its report.

    Args:
        whole: seconds since the command began; None where that is unknown.
        training: seconds of its epochs: steps, validations and checkpoints; and of a head that is solved.
        finish: seconds of the test and the calibration.
        forecast: what was expected before the first step, of a resumed run of what was left; None where nothing was.
        complete: whether the training came to its end, so that the forecast can be compared with it.
        minutes: that the command was given, in words; empty where it was given none.
        plan: of the steps, with its changes.
        reasons: why the plan was changed before which step, where this process changed it.
    """

    whole: float | None = None
    training: float = 0.0
    finish: float = 0.0
    forecast: Forecast | None = None
    complete: bool = True
    minutes: str = ""
    plan: StepPlan | None = None
    reasons: Mapping[int, str] = field(default_factory=dict)


def time_section(time: TimeTaken) -> Iterator[Section]:
    """Give the time by its parts, beside the forecast, and the changes of the plan; nothing where neither is known.

    >>> forecast = Forecast(begun=5.0, steps=50.0, epoch_ends=3.0, finish=2.0)
    >>> (section,) = time_section(TimeTaken(whole=58.0, training=50.5, finish=2.5, forecast=forecast))
    >>> section.blocks[0].rows[-1].cells[2]
    '58.0 s'
    """
    blocks: list[Block] = []
    if time.whole is not None and time.forecast is not None:
        blocks += [_by_parts(time, time.forecast, time.whole)]
        than = f": {_beside_forecast(time.whole, time.forecast)}" if time.complete else ""
        given = f" It was given {time.minutes}." if time.minutes else ""
        blocks += [Paragraph(f"The command took {whole_tenths(time.whole)} until this report{than}.{given}")]
    if time.plan is not None and time.plan.pieces[1:]:
        blocks += _changes(time.plan, time.reasons)
    if blocks:
        yield Section("Time", tuple(blocks))


def _beside_forecast(whole: float, forecast: Forecast) -> str:
    """Return how far the time is from its forecast, or that it lies between the earliest end and the planned one."""
    if forecast.earliest is not None and forecast.earliest <= whole <= forecast.seconds:
        return f"within the forecast, {forecast.range_text}"
    off = whole / forecast.seconds - 1
    return f"{percent(abs(off), decimals=0)} {'more' if off > 0 else 'less'} than forecast"


def _by_parts(time: TimeTaken, forecast: Forecast, whole: float) -> Table:
    """Return the seconds of each part, as forecast and as they were."""
    parts = (
        ("before the first step", forecast.begun, max(0.0, whole - time.training - time.finish)),
        ("training and validation", forecast.features + forecast.steps + forecast.epoch_ends, time.training),
        ("test and calibration", forecast.finish, time.finish),
        ("in all", forecast.seconds, whole),
    )
    columns = [Column("part"), Column("forecast", numeric=True), Column("took", numeric=True)]
    return Table.of(columns, [(name, (whole_tenths(a), a), (whole_tenths(b), b)) for name, a, b in parts])


def _changes(plan: StepPlan, reasons: Mapping[int, str]) -> list[Block]:
    """Return each change of the plan: when, to how many steps, and why."""
    columns = [Column("after step", numeric=True), Column("steps in all", numeric=True), Column("why")]
    rows = [
        ((exact(piece.at), piece.at), (exact(piece.steps), piece.steps), reasons.get(piece.at, ""))
        for piece in plan.pieces[1:]
    ]
    text = (
        f"{exact(plan.schedule_steps)} steps were planned at first. With each change the rest of the same learning "
        "rate schedule is taken in fewer or more steps, so it reaches its end."
    )
    return [Heading("Changes of the plan"), Paragraph(text), Table.of(columns, rows)]
