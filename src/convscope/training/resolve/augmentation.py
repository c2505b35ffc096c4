"""How images are shown to the network where that is left at auto: augmented, small at first, in several views at last.

These rules are part of `train.choose.settle`. `asked` is the recipe as the user gave it, `recipe` the same with what
its name stands for put in: what was asked for and can't be is refused, what a named recipe brings along gives way.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from convscope.data.augment import Augmentation
from convscope.data.augmentation.mixing import Mixing
from convscope.data.augmentation.resolution import early_size
from convscope.data.open import Probe
from convscope.data.records import Decoding
from convscope.errors import RunError
from convscope.nets.shapes import VanishedError, trace_shapes
from convscope.recipe.recipe import Recipe
from convscope.recipe.setting import AUTO, plain, taken
from convscope.scoring.test_time_augmentation import ONE
from convscope.training.resolve.mirroring import choose_flip

# From this side on pictures are scenes, in which a part shows the class as well as the whole does.
SCENE_SIDE = 96
# Shifted by up to so large a part of the side: 4 pixels of 32 in colour, as He et al. (2016, section 4.2); grey ones,
# which are mostly characters, centred and cropped, by half of that.
SHIFT = {3: 1 / 8, 1: 1 / 16}


def choose_augmentation(
    asked: Recipe, recipe: Recipe, found: Probe, decoding: Decoding, reasons: list[str], notes: list[str]
) -> Augmentation:
    """How training images are changed, by their size, channels and classes; see `choose_flip` for what is not mirrored.

    Raises:
        RunError: a change that these images can't take.
    """
    side = min(decoding.size)
    colour = decoding.channels == 3
    scenes = colour and side >= SCENE_SIDE
    windows = taken(recipe.random_resized_crop, scenes)
    padding = taken(recipe.crop_padding, 0 if windows else round(side * SHIFT[decoding.channels]))
    if padding >= side:
        raise RunError(
            f"crop_padding {padding} is more than images of {side} pixels can be shifted: take {side - 1} or less"
        )
    if recipe.cutout > side:
        raise RunError(
            f"cutout {recipe.cutout} is larger than images of {side} pixels: it would blank them; take {side} or less"
        )
    jitter = 0.0 if asked.color_jitter_pca == AUTO and not colour else plain(recipe.color_jitter_pca)
    if jitter and not colour:
        raise RunError("color_jitter_pca is for colour images, and these are grey: take 0, or channels 3")
    # Last of all: images are read for it.
    flip, why_not = choose_flip(recipe, found, decoding, notes)
    if asked.flip_mode == "alternating" and not flip:
        because = f" ({why_not})" if why_not else ""
        raise RunError(f"flip_mode alternating says how images are mirrored, and these are not{because}: give flip yes")
    chosen = Augmentation(
        flip=flip,
        flip_mode="alternating" if flip and recipe.flip_mode == "alternating" else "random",
        crop_padding=padding,
        random_resized_crop=windows,
        cutout=recipe.cutout,
        trivial_augment=recipe.trivial_augment,
        color_jitter_pca=jitter,
        mixing=Mixing(mixup=recipe.mixup, cutmix=recipe.cutmix, classes=len(found.classes)),
    )
    reasons += _shown_so(asked, chosen, not_mirrored=why_not)
    return chosen


def _shown_so(asked: Recipe, chosen: Augmentation, *, not_mirrored: str) -> Iterator[str]:
    """What is done to images without having been asked for, if anything; `not_mirrored` says why they are not."""
    mirrored = "mirrored" + " in turn" * (chosen.flip_mode == "alternating")
    done = (
        (asked.flip, mirrored if chosen.flip else ""),
        (asked.crop_padding, f"shifted by up to {chosen.crop_padding} pixels" if chosen.crop_padding else ""),
        (asked.random_resized_crop, "cut at random size" if chosen.random_resized_crop else ""),
        (asked.color_jitter_pca, "shifted in colour" if chosen.color_jitter_pca else ""),
    )
    of_ourselves = [what for setting, what in done if setting == AUTO and what]
    if of_ourselves:
        yield f"training images are {' and '.join(of_ourselves)}"
    if not_mirrored:
        where = "in training or in test views" if asked.test_views == AUTO else "in training"
        yield f"no flips {where}: {not_mirrored}; --flip yes turns them on"


def choose_growth(asked: Recipe, recipe: Recipe, network: nn.Module, decoding: Decoding, reasons: list[str]) -> float:
    """The share of the steps with smaller images; 0 where they are not smaller.

    Raises:
        RunError: the network can't take images as small as was asked for.
    """
    start, share = plain(recipe.resolution_start), plain(recipe.resolution_share)
    small = early_size(decoding.size, start)
    if small == decoding.size:
        if asked.resolution_share not in (AUTO, 0):
            raise RunError("resolution_share says how long images are smaller: give resolution_start below 1 with it")
        return 0.0
    if not share:
        return 0.0
    shown = "x".join(map(str, small))
    try:
        trace_shapes(network, (decoding.channels, *small))
    except VanishedError as error:
        if asked.resolution_start == AUTO:
            return 0.0
        raise RunError(
            f"resolution_start {start} makes images of {shown}, which the network can't take: {error}; leave it at 1"
        ) from error
    if AUTO in (asked.resolution_start, asked.resolution_share):
        reasons.append(f"images grow from {shown} pixels in the first {share:.0%} of the steps")
    return share


def choose_views(
    asked: Recipe, recipe: Recipe, augmentation: Augmentation, decoding: Decoding, reasons: list[str]
) -> str:
    """The views of an image at test time; what was never mirrored in training is not when it is tested either.

    Raises:
        RunError: views that shift images of one pixel.
    """
    views = recipe.test_views
    if asked.test_views == AUTO and not augmentation.flip:
        return ONE
    if views in ("flip-shift", "ten-crop") and min(decoding.size) < 2:
        raise RunError(f"test_views {views} shifts images, and these have one pixel a side: take flip, or one")
    if asked.test_views == AUTO and views != ONE:
        reasons.append(f"answers are averaged over views of an image: {views}")
    return views
