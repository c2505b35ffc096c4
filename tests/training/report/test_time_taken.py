"""The part of a report on time: the forecast beside what was taken, and the changes of the plan."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from convscope.report.document import Heading, Paragraph
from convscope.report.table import Table
from convscope.runs.run_directory import Run
from convscope.training.outcome import Outcome
from convscope.training.report.time_taken import TimeTaken, time_section
from convscope.training.timing.forecast import Forecast
from convscope.training.timing.step_plan import StepPlan

FORECAST = Forecast(begun=5.0, steps=50.0, epoch_ends=3.0, finish=2.0)


def test_the_parts_add_up_and_stand_beside_the_forecast() -> None:
    time = TimeTaken(whole=66.0, training=58.0, finish=2.5, forecast=FORECAST, minutes="1 minute")
    (section,) = time_section(time)
    table, text = section.blocks
    assert isinstance(table, Table) and isinstance(text, Paragraph)
    *parts, whole = [row.values[1:] for row in table.rows]
    assert [sum(column) for column in zip(*parts, strict=True)] == list(whole) == [60.0, 66.0]
    assert text.text == "The command took 1 min 06 s until this report: 10 % more than forecast. It was given 1 minute."
    (section,) = time_section(replace(time, complete=False, minutes=""))
    assert section.blocks[1] == Paragraph("The command took 1 min 06 s until this report.")


def test_each_change_of_the_plan_has_its_row_and_its_reason_where_that_is_known() -> None:
    plan = StepPlan.of(100, epoch_steps=10).replanned(at=20, steps=60).replanned(at=40, steps=70)
    # The first change was made before a resume, whose checkpoint has the plan and no reasons.
    (section,) = time_section(TimeTaken(plan=plan, reasons={40: "it would end 3.0 s early"}))
    heading, text, table = section.blocks
    assert isinstance(heading, Heading) and isinstance(text, Paragraph) and isinstance(table, Table)
    assert text.text.startswith("100 steps were planned at first.")
    assert [row.cells for row in table.rows] == [("20", "60", ""), ("40", "70", "it would end 3.0 s early")]


def test_nothing_is_said_where_nothing_is_known() -> None:
    assert not list(time_section(TimeTaken(whole=3.0, plan=StepPlan.of(10, epoch_steps=5))))


def test_a_training_that_stopped_early_has_its_time_beside_the_forecast(tmp_path: Path) -> None:
    forecast = replace(FORECAST, earliest=20.0, earliest_where=("validation does not improve for 2 epochs",))
    outcome = Outcome(
        run=Run(tmp_path), ending="early", exit_code=0, best=None, epochs=3, seconds=20.0, scores=None,
        forecast=forecast, command_seconds=25.0,
    )  # fmt: skip
    first, *_ = outcome.lines()
    assert first == (
        "stopped early after 3 epochs in 20.0 s: no better validation for a while; 25.0 s in all, forecast "
        "20.0 s to 1 min 00 s"
    )
