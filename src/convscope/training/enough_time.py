"""Refuse minutes that are too few before an image is decoded, as far as that is known by then."""

from __future__ import annotations

import time
from pathlib import Path

from convscope.data.pixels.build import seconds_to_decode
from convscope.data.pixels.cache_budget import cache_directory as default_cache_directory
from convscope.errors import RunError
from convscope.report.units import plural, whole_tenths
from convscope.report.usage import settings_text
from convscope.training.autotune.measured_costs import sides_of
from convscope.training.forecasts import half_the_size
from convscope.training.opening import Settled
from convscope.training.resolve.head import SOLVE
from convscope.training.timing.costs import Costs
from convscope.training.timing.forecast import LEAST_NAMED
from convscope.training.timing.pacer import MARGIN
from convscope.training.timing.step_plan import StepPlan
from convscope.training.timing.time_budget import LESS, MINUTE, SPARE, SPARE_TO_TRAIN, minutes_for, rounded_down

# Of the time in which all images are decoded, as a few of them were, so much is taken for sure: another job may end.
SURELY = 0.5
# A part that takes less than this is not named.
LEAST_SECONDS = 0.05
# The costs of a training of which nothing is known but its decoding.
UNKNOWN = Costs(steps=((1.0, 0.0),), epoch_end=0.0, finish=0.0)


def require_enough_time(settled: Settled, cache_directory: Path | None) -> None:
    """Raise RunError where minutes that were given surely don't hold the decoding and one epoch.

    Decoding is timed on a few images; an epoch takes as long as at the fastest rates that this machine ever had, and
    nothing where these are unknown, or where it may have no epoch after a solved head.
    """
    budget, resolved, found = settled.budget, settled.resolved, settled.found
    if budget is None or not budget.given:
        return
    costs, search, decoding = UNKNOWN, settled.search, 0.0
    if search is not None:
        decoding = SURELY * search.seconds_to_decode
    elif resolved.recipe.stream != "yes":
        directory = cache_directory or default_cache_directory()
        decoding = SURELY * seconds_to_decode(found.listing, resolved.decoding, directory=directory)
    if search is not None and resolved.head != SOLVE and resolved.epochs:
        costs = search.costs(resolved) or UNKNOWN
    learned = len(found.listing.labels) if search is None else sum(search.counts[:2])
    trained = learned if search is None else search.counts[0]
    epoch_steps = -(-trained // min(resolved.batch_size, trained)) if trained else 0
    epoch = costs.seconds(StepPlan.of(epoch_steps, epoch_steps=max(1, epoch_steps)), sides=sides_of(resolved))
    left = budget.deadline - MARGIN * budget.seconds - time.monotonic()
    if decoding + epoch <= left:
        return
    others = len(found.listing.labels) - learned
    each = decoding / max(1, len(found.listing.labels))
    of_one = each + (epoch - costs.finish) / max(1, learned)
    few = rounded_down(LESS * (left - costs.finish - each * others) / of_one) if of_one else 0
    passed = budget.seconds * (1 - MARGIN) - left
    enough = passed + decoding / SURELY + epoch
    if costs is UNKNOWN:
        enough *= SPARE_TO_TRAIN / SPARE
    fitting = [settings_text(minutes=minutes_for(enough))]
    if 2 * len(found.classes) <= few < learned:
        fitting.append(settings_text(train_images=few))
    if decoding + (epoch - costs.report) / 4 + costs.report <= left and (size := half_the_size(resolved)):
        fitting.append(settings_text(image_size=size))
    if search is not None and decoding <= left and (instead := search.cheapest_instead(resolved.model)):
        fitting.append(instead)
    least = max(LEAST_SECONDS, LEAST_NAMED * (decoding + epoch))
    takes: list[str] = []
    if passed > least:
        takes.append(f"the start took {whole_tenths(passed)}")
    if decoding > least:
        images = plural(len(found.listing.labels), "image")
        takes.append(f"decoding {images} takes about {whole_tenths(decoding / SURELY)}")
    if epoch - costs.finish > least:
        takes.append(f"an epoch of {plural(epoch_steps, 'step')} takes {whole_tenths(epoch - costs.finish)}")
    if costs.finish:
        takes.append(f"test and report {'' if takes else 'take '}{whole_tenths(costs.finish)}")
    took = ", ".join(takes) or f"the start took {whole_tenths(passed)}"
    raise RunError(f"minutes {budget.seconds / MINUTE:g}: {took}: give {', or '.join(fitting)}")
