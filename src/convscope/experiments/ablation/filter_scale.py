"""What a network whose filters' scale was free is trained with, once the normalization after them is gone.

Muon rescales filters whose scale changes no answer, and takes a rate that is meant for them (`optim.muon`). With
the normalization goes that freedom: the filters are then trained as those of any network are, and everything else
learns as fast as in the baseline, so that nothing but the normalization is missing.
"""

from __future__ import annotations

import copy

import torch
from torch import nn

from convscope.experiments.ablation.variants import Variant
from convscope.nets.param_groups import scale_free_of
from convscope.recipe.presets import NAMED
from convscope.recipe.recipe import Recipe
from convscope.recipe.setting import plain
from convscope.training.optim.optimizers import default_learning_rate
from convscope.training.resolve.resolved_recipe import ResolvedRecipe


def trained_as(resolved: ResolvedRecipe, before: float, network: nn.Module) -> ResolvedRecipe:
    """Return the recipe for a network after surgery, where `before` was the usual learning rate of the whole one."""
    rate = _rate(resolved.optimizer, resolved.batch_size, resolved.learning_rate, before, network)
    return resolved if rate is None else resolved.changed(learning_rate=rate, weight_decay=_usual_decay())


def changes_told(recipe: Recipe, variant: Variant, whole: nn.Module) -> str:
    """Return the settings of a variant's filters that differ from the resolved recipe, as text; "" if none does.

    `whole` is the baseline's network, which is left as it is.
    """
    before = default_learning_rate(recipe.optimizer, int(recipe.batch_size), whole)
    network = copy.deepcopy(whole)
    with torch.device("meta"):
        variant.surgery(network, None)
    own = plain(recipe.learning_rate)
    rate = _rate(recipe.optimizer, int(recipe.batch_size), own, before, network)
    if rate is None:
        return ""
    return (
        f"{variant.label}: the filters' scale counts then, so they are not rescaled, learn at {rate:.2g} instead of "
        f"{own:.2g}, and have weight decay {_usual_decay():g}, as {recipe.optimizer} has it for such filters"
    )


def _rate(optimizer: str, batch_size: int, rate: float, before: float, network: nn.Module) -> float | None:
    """Return the filters' learning rate where the network has lost its free scale, else None."""
    usual = default_learning_rate(optimizer, batch_size, network)
    return None if usual == before or scale_free_of(network) else rate * usual / before


def _usual_decay() -> float:
    return float(NAMED["fast"].settings["weight_decay"])
