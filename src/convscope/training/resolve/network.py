"""Rules of resolve: the network, the size of its images, its loss and its optimizer."""

from __future__ import annotations

from collections.abc import Mapping

from convscope.errors import RunError
from convscope.nets import catalogue
from convscope.nets.build import nearest_input, own_size, smallest_input
from convscope.nets.cifarnet import fitting_stem_stride
from convscope.nets.own_code import is_own
from convscope.recipe.presets import MODEL_INSTEAD
from convscope.recipe.setting import AUTO, options_text, parse_options, parse_size
from convscope.report.units import plural
from convscope.training.resolve.resolved_recipe import Choice

# The option of a cifarnet that follows from the size of the images.
STEM_STRIDE = "stem_stride"
# Pictures with a side below this are enlarged to the network's own size, or at most to ENLARGED.
TINY_SIDE, ENLARGED = 24, 32


def model(asked: str, side: int, *, channels: int, preset: str, image_size: str) -> Choice[str]:
    """Return the network for images with a typical side in pixels, that takes the size that was asked for.

    >>> model("auto", 32, channels=3, preset="fast", image_size="auto").text
    'model cifarnet: for images of about 32 pixels'
    """
    usual = catalogue.choose(side, channels=channels)
    usual = MODEL_INSTEAD.get((preset, usual), usual)
    if asked != AUTO or image_size == AUTO:
        return Choice.of("model", asked, usual, f"for images of about {plural(side, 'pixel')}")
    size = parse_size(image_size)
    others = (*(name for _, _, name in catalogue.AUTO), catalogue.AUTO_SMALLEST, catalogue.AUTO_OTHERWISE)
    found = next((name for name in (usual, *others) if _takes(name, size)), usual)
    why = "" if found == usual else f", and {usual} does not take {image_size}"
    return Choice("model", found, f"for images of about {plural(side, 'pixel')}{why}")


def _takes(name: str, size: tuple[int, int]) -> bool:
    return all(least <= side for least, side in zip(smallest_input(name), size, strict=True))


def loss(asked: str, *, multi_label: bool, source: str) -> Choice[str]:
    """Return the loss that fits the labels; raise RunError for one that does not.

    >>> loss("auto", multi_label=True, source="photos").text
    'loss multi-label: images have several labels, or none'
    """
    reason = "images have several labels, or none" if multi_label else ""
    chosen = Choice.of("loss", asked, "multi-label" if multi_label else "softmax", reason)
    if (chosen.value == "multi-label") != multi_label:
        has = "several labels, or none" if multi_label else "one class each"
        fitting = "multi-label" if multi_label else "softmax, hinge or logistic"
        raise RunError(f"loss is {asked}, but the images of {source} have {has}: take {fitting}")
    return chosen


def optimizer(asked: str, of_preset: str) -> Choice[str]:
    """Return the optimizer: as asked, else the preset's."""
    return Choice.of("optimizer", asked, of_preset, "")


def image_size(asked: str, typical: tuple[int, int], *, model: str, options: Mapping[str, object]) -> Choice[str]:
    """Return the size of the images as "HxW": their typical one within the network's; tiny pictures are enlarged.

    >>> image_size("auto", (8, 8), model="lenet5", options={}).text
    'images at 32x32 pixels: they are about 8x8, and lenet5 was made for 32x32'
    >>> image_size("auto", (40, 17), model="cifarnet", options={}).reason
    'they are about 40x17, and sides below 24 are enlarged'
    >>> image_size("auto", (82, 52), model="cifarnet", options={}).reason
    'they are about 82x52, and the shorter side is taken'

    Raises:
        RunError: a network that is not for pictures.
    """
    if is_own(model):  # it does not say what it was made for
        return Choice("image_size", "x".join(map(str, typical)) if asked == AUTO else asked)
    entry = catalogue.find(model)
    own = own_size(entry, options)
    if entry.per_pixel:
        raise RunError(f"{model} answers for every pixel, and training needs one answer an image: choose another")
    if len(own) != 2:
        raise RunError(
            f"{model} takes inputs with {len(own)} spatial axes, and pictures have 2: choose another network"
        )
    if asked != AUTO:
        return Choice("image_size", asked)
    side = min(typical)
    largest = catalogue.LARGER_INPUTS.get(entry.name, max(own))
    taken = min(max(own), ENLARGED) if side < TINY_SIDE else min(side, largest)
    height, width = taken, taken
    if own != (taken, taken):
        height, width = nearest_input(model, (taken, taken), options=options) or own
    size = f"{height}x{width}"
    if (height, width) == typical:
        return Choice("image_size", size)
    if height != taken:
        reason = f"{model} takes no smaller ones"
    elif taken == side:
        reason = "the shorter side is taken"
    elif largest == max(own):
        reason = f"{model} was made for {own[0]}x{own[1]}"
    else:
        enlarged = f"sides below {TINY_SIDE} are enlarged"
        reason = enlarged if taken > side else f"{model} gets {largest}x{largest} at most"
    why = f"they are about {typical[0]}x{typical[1]}, and {reason}"
    return Choice("image_size", size, why, shown=f"images at {size} pixels")


def model_options(asked: str, image_size: str, *, model: str, of_weights: Mapping[str, object] | None) -> Choice[str]:
    """Return the network's own settings: as asked, and for a cifarnet the stem stride that fits the images.

    Args:
        asked: the settings as the recipe has them.
        image_size: of the images, as "HxW".
        model: the network.
        of_weights: the settings of the network whose weights training starts from, if any: their stem is kept.

    >>> model_options("", "64x64", model="cifarnet", of_weights=None).text
    'stem stride 2: images of 64x64 then cost about what those of 32x32 do'
    >>> model_options("", "32x32", model="cifarnet", of_weights=None).value
    ''
    """
    if model not in catalogue.CIFARNETS or STEM_STRIDE in parse_options(asked):
        return Choice("model_options", asked)
    size = parse_size(image_size)
    fitting = fitting_stem_stride(size)
    stride = fitting if of_weights is None else of_weights.get(STEM_STRIDE, 1)
    if stride == 1:  # the network's own, and that of all networks before there was a choice
        return Choice("model_options", asked)
    text = ",".join(filter(None, (asked, options_text({STEM_STRIDE: stride}))))
    if of_weights is not None:
        return Choice("model_options", text)
    as_large = "x".join(str(round(side / fitting)) for side in size)
    reason = f"images of {image_size} then cost about what those of {as_large} do"
    return Choice("model_options", text, reason, shown=f"stem stride {stride}")
