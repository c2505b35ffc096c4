"""What the trainings that an ablation still has to do are going to take."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from convscope.experiments.ablation.plan import AblationPlan
from convscope.experiments.ablation.trial import TRAINING_SAMPLE, measured_on
from convscope.experiments.ablation.variants import BASELINE, Variant
from convscope.hardware.run_queue import core_wait
from convscope.report.usage import settings_text
from convscope.scoring.test_time_augmentation import view_count
from convscope.training.autotune.measured_costs import measured_rates
from convscope.training.forecasts import forecast_training, with_faster
from convscope.training.loop.running_statistics import images_measured_anew
from convscope.training.loop.state import first_plan
from convscope.training.session import Session
from convscope.training.timing.costs import Costs
from convscope.training.timing.forecast import FasterChoice, Forecast
from convscope.training.timing.rates import ImageCounts


def forecast_trials(
    session: Session,
    plan: AblationPlan,
    tasks: Sequence[tuple[Variant, int]],
    *,
    jobs: int,
    began: float,
    resumed: bool,
) -> Forecast:
    """Return the forecast of an ablation's trainings, `jobs` at once, from `began` on the monotonic clock.

    Those of the baseline are measured; a variant's take longer or less as its multiply-adds do, where these are known.
    """
    resolved, steps = session.resolved, first_plan(session.resolved, session.epoch_steps)
    costs = _costs(session)
    one = forecast_training(
        resolved, session.dataset, costs, steps, begun=time.monotonic() - began, surgeries=plan.surgeries
    )
    lengths = [_length(plan, variant) for variant, _ in tasks]
    of_all = one.of_several(lengths, at_once=max(1, min(jobs, len(tasks))))
    # Nothing is kept of a training but its measures, and the page is written once.
    of_all = replace(of_all.with_end(costs.report, of_time_alone=costs.of_time_alone), run_bytes=0)
    if resumed or not of_all.is_long:
        return of_all
    of_all = with_faster(of_all, resolved, costs, steps, minutes=False)
    if len(plan.seeds) == 1:
        return of_all
    one_seed = of_all.begun + (of_all.seconds - of_all.begun) / len(plan.seeds)
    return replace(of_all, faster=(FasterChoice(setting=settings_text(seeds=1), seconds=one_seed), *of_all.faster))


def _length(plan: AblationPlan, variant: Variant) -> float:
    """Return how many times as long as the baseline's a variant's training takes, about."""
    whole, own = plan.costs[BASELINE].macs, plan.costs[variant.name].macs
    return own / whole if own and whole else 1.0


def _costs(session: Session) -> Costs:
    """Return what the parts of the baseline's training cost, without a checkpoint; `report` is that of them all."""
    resolved, train, val = session.resolved, session.train, session.dataset.val
    with core_wait() as wait:
        rates = measured_rates(resolved, session.spec, train, images=len(train) * resolved.epochs)
    batch = min(resolved.batch_size, len(train))
    counts = ImageCounts(
        trained=len(train),
        batch=batch,
        validated=0 if val is None else len(val),
        tested=len(measured_on(session)[1]),
        views=view_count(resolved.tta),
        statistics=images_measured_anew(-(-len(train) // batch), batch),
    )
    costs = replace(rates, written=0.0).costs(counts)
    on_train = rates.view * min(TRAINING_SAMPLE, len(train))
    return replace(costs, finish=costs.finish - costs.report + on_train, of_time_alone=wait.of_time_alone)
