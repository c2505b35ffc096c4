"""The spec of the network that a resolved recipe trains."""

from __future__ import annotations

from convscope.data.preprocessing import Normalization, Preprocessing
from convscope.nets.own_code import is_own, source_of, without_folders
from convscope.runs.model_spec import ModelSpec
from convscope.scoring.defect_rule import DefectRule
from convscope.training.resolve.resolved_recipe import ResolvedRecipe


def spec_for(resolved: ResolvedRecipe, *, normalization: Normalization, classes: tuple[str, ...]) -> ModelSpec:
    """Return the spec of a recipe's network, for images of these classes that are normalized so."""
    own = is_own(resolved.model)
    return ModelSpec(
        name=without_folders(resolved.model),
        options=resolved.architecture.options,
        preprocessing=Preprocessing(decoding=resolved.decoding, normalization=normalization, classes=classes),
        loss=resolved.loss,
        tta=resolved.tta,
        defect_rule=DefectRule(good_class=resolved.recipe.good_class) if resolved.recipe.good_class else None,
        source=source_of(resolved.model) if own else None,
        code=resolved.model if own else "",
    )
