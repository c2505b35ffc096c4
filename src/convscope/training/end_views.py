"""How many views of each test image the end of a training takes: by the time that is left, where auto decides.

A plan is made while the machine may be busy with other work. Where there is more time at the end than was planned for,
the usual views are taken after all; where there is less, fewer.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from convscope.scoring.test_time_augmentation import view_count
from convscope.training.job import Job
from convscope.training.resolve.resolved_recipe import Choice
from convscope.training.timing.pacer import MARGIN

# Views of all images that take less than this are not made fewer.
LEAST_SAVED = 0.1


def most_views(choices: Sequence[str], *, planned: str, finish: float, report: float, left: float) -> str:
    """Return the test-time augmentation with the most views for which there is time.

    Args:
        choices: the fewest views first.
        planned: the one of which `finish` seconds are those of the test and the report.
        finish: seconds.
        report: of these, what is the same whatever the views.
        left: seconds until the command should have ended.

    >>> choices = ("one", "flip", "flip-shift")
    >>> [most_views(choices, planned="one", finish=5.0, report=1.0, left=left) for left in (2.0, 10.0, 30.0)]
    ['one', 'flip', 'flip-shift']
    """
    of_view = max(0.0, finish - report) / view_count(planned)
    fitting = [views for views in choices if report + of_view * view_count(views) <= left]
    found = fitting[-1] if fitting else choices[0]
    saved = of_view * (view_count(planned) - view_count(found))
    return planned if 0 <= saved < LEAST_SAVED else found


def choose_views(job: Job) -> None:
    """Put the views for which there is time into the job, and notify of a change."""
    planned = job.spec.tta
    choices, budget = job.session.views, job.session.budget
    if planned not in choices or budget is None or job.pacer is None:
        return
    finish, report = job.pacer.seconds_to_finish, job.pacer.seconds_to_report

    def decide() -> str:
        left, place = budget.deadline - time.monotonic(), choices.index(planned)
        allowed = choices[: place + 1]
        if finish <= left:
            # More views than planned leave the margin that the steps leave.
            allowed, left = choices[place:], left - MARGIN * budget.seconds
        return most_views(allowed, planned=planned, finish=finish, report=report, left=left)

    views = job.group.decided(decide)
    if views == planned:
        return
    why = "there is time for it at the end" if view_count(views) > view_count(planned) else "the time runs out"
    job.notify(f"test-time augmentation {views}, not {planned}: {why}")
    resolved = job.resolved.changed(tta=views)
    choice = Choice("tta", views, why, shown=f"test-time augmentation: {views}")
    others = tuple(other for other in resolved.choices if other.setting != "tta")
    job.session = replace(
        job.session, resolved=replace(resolved, choices=(*others, choice)), spec=replace(job.spec, tta=views)
    )
    if job.group.first:
        job.run.write_spec(job.spec)
        job.write_recipe()
