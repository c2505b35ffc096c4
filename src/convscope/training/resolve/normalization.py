"""Rule of resolve: the mean and standard deviation that images are normalised by."""

from __future__ import annotations

from typing import Any

from convscope.data.preprocessing import HALVES, Normalization
from convscope.errors import DataError, RunError
from convscope.nets import catalogue
from convscope.nets.entry import TIMM
from convscope.nets.own_code import is_own
from convscope.recipe.recipe import Recipe
from convscope.recipe.setting import AUTO
from convscope.report.usage import settings_text
from convscope.training.resolve.resolved_recipe import Choice
from convscope.training.start import run_of_weights, starts_trained

IMAGENET, DATA, GIVEN = "imagenet", "data", "given"
IMAGENET_CLASSES = 1000
# torchvision's form of these turns ImageNet's normalisation into this one in its first line (`transform_input`), which
# the networks here leave to the normalisation.
_BY_HALVES = frozenset({"googlenet", "inception_v3"})


def normalization(recipe: Recipe, *, channels: int, solved: bool = False) -> list[Choice[Any]]:
    """Return what becomes of the settings normalization, mean and std, for a recipe with its network.

    Weights that come from ImageNet get the normalisation that they were trained with: timm's own for its networks,
    ImageNet's for files of a network that was published on it. A run's weights get the run's where the head is
    `solved`: the layers before it do not adapt, and their features are then the same for every split of the images.
    Otherwise, and for other networks, it is measured on the training images.

    Raises:
        RunError: a mean and std of other than one number, or one for each channel.
    """
    asked: str = recipe.normalization
    reason = ""
    if recipe.mean:
        try:
            numbers = Normalization.parse(recipe.mean, recipe.std).of_channels(channels)
        except DataError as error:
            raise RunError(str(error)) from error
        return _chosen(GIVEN, numbers)
    if asked == AUTO and (expected := _of_weights(recipe, solved=solved)) is not None:
        found, reason = expected
        numbers = found.averaged(channels)
        if found != Normalization.default(3):
            return _chosen(GIVEN, numbers, reason)
        asked = IMAGENET
    return [Choice("normalization", DATA if asked == AUTO else asked, reason)]


def _of_weights(recipe: Recipe, *, solved: bool) -> tuple[Normalization, str] | None:
    """Return the normalisation that the weights to start from expect, and why; None if unknown, or not to be kept."""
    if not starts_trained(recipe.model, recipe.model_options, recipe.weights):
        return None
    if run := run_of_weights(recipe.weights):
        return (run.normalization, f"what {recipe.weights} was trained with") if solved else None
    if recipe.model.startswith(TIMM):
        from convscope.nets.from_timm import normalization as of_timm

        return Normalization(*of_timm(recipe.model)), "timm's, which its weights were trained with"
    if is_own(recipe.model):
        return None
    entry = catalogue.find(recipe.model)
    if entry.num_classes != IMAGENET_CLASSES or entry.in_channels != 3:
        return None
    expected = HALVES if recipe.model in _BY_HALVES else Normalization.default(3)
    measured = f"{settings_text(normalization='data')} measures the images'"
    return expected, f"what published weights of {recipe.model} expect; {measured}"


def _chosen(word: str, numbers: Normalization, reason: str = "") -> list[Choice[Any]]:
    """Return the choices of a mean and std, which are shown together where there is a reason."""
    mean, std = numbers.texts
    in_short = (",".join(f"{number:.4g}" for number in each) for each in (numbers.mean, numbers.std))
    shown = "mean {}, std {}".format(*in_short) if reason else ""
    return [Choice("mean", mean, reason, shown), Choice("std", std), Choice("normalization", word)]
