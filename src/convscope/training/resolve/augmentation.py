"""How images are shown to the network where that is left at auto: augmented, small at first, in several views at last.

These rules are part of `resolve.resolve`. `asked` is the recipe as the user gave it, `recipe` the same with what
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
from convscope.recipe.setting import AUTO, plain, value_or
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
    windows = value_or(recipe.random_resized_crop, scenes)
    padding = value_or(recipe.random_crop_padding, 0 if windows else round(side * SHIFT[decoding.channels]))
    if padding >= side:
        raise RunError(
            f"random_crop_padding {padding} is too large for images of {side} pixels: take {side - 1} or less"
        )
    if recipe.cutout > side:
        raise RunError(
            f"cutout {recipe.cutout} is larger than images of {side} pixels: it would blank them; take {side} or less"
        )
    jitter = 0.0 if asked.pca_lighting == AUTO and not colour else plain(recipe.pca_lighting)
    if jitter and not colour:
        raise RunError("pca_lighting is for colour images, and these are grey: take 0, or channels 3")
    # Last of all: images are read for it.
    flip, why_not = choose_flip(recipe, found, decoding, notes)
    if asked.flip_mode == "alternating" and not flip:
        because = f" ({why_not})" if why_not else ""
        raise RunError(f"flip_mode alternating says how images are mirrored, and these are not{because}: give flip yes")
    chosen = Augmentation(
        flip=flip,
        flip_mode="alternating" if flip and recipe.flip_mode == "alternating" else "random",
        random_crop_padding=padding,
        random_resized_crop=windows,
        cutout=recipe.cutout,
        trivial_augment=recipe.trivial_augment,
        pca_lighting=jitter,
        mixing=Mixing(mixup=recipe.mixup, cutmix=recipe.cutmix, classes=len(found.classes)),
    )
    reasons += _shown_so(asked, chosen, not_mirrored=why_not)
    return chosen


def _shown_so(asked: Recipe, chosen: Augmentation, *, not_mirrored: str) -> Iterator[str]:
    """What is done to images without having been asked for, if anything; `not_mirrored` says why they are not."""
    mirrored = "alternating flip" if chosen.flip_mode == "alternating" else "horizontal flip"
    done = (
        (asked.flip, mirrored if chosen.flip else ""),
        (
            asked.random_crop_padding,
            f"random crop (padding {chosen.random_crop_padding})" if chosen.random_crop_padding else "",
        ),
        (asked.random_resized_crop, "random resized crop" if chosen.random_resized_crop else ""),
        (asked.pca_lighting, "PCA lighting" if chosen.pca_lighting else ""),
    )
    of_ourselves = [what for setting, what in done if setting == AUTO and what]
    if of_ourselves:
        yield f"augmentation: {', '.join(of_ourselves)}"
    if not_mirrored:
        where = "in training or in test views" if asked.tta == AUTO else "in training"
        yield f"no flips {where}: {not_mirrored}; --flip yes turns them on"


def choose_growth(asked: Recipe, recipe: Recipe, network: nn.Module, decoding: Decoding, reasons: list[str]) -> float:
    """The share of the steps with smaller images; 0 where they are not smaller.

    Raises:
        RunError: the network can't take images as small as was asked for.
    """
    start, share = plain(recipe.progressive_resize_start), plain(recipe.progressive_resize_share)
    small = early_size(decoding.size, start)
    if small == decoding.size:
        if asked.progressive_resize_share not in (AUTO, 0):
            raise RunError("progressive_resize_share needs progressive_resize_start below 1")
        return 0.0
    if not share:
        return 0.0
    shown = "x".join(map(str, small))
    try:
        trace_shapes(network, (decoding.channels, *small))
    except VanishedError as error:
        if asked.progressive_resize_start == AUTO:
            return 0.0
        raise RunError(
            f"progressive_resize_start {start} gives {shown} images, too small for the network: {error}; leave it at 1"
        ) from error
    if AUTO in (asked.progressive_resize_start, asked.progressive_resize_share):
        reasons.append(f"progressive resizing from {shown} in the first {share:.0%} of the steps")
    return share


def choose_views(
    asked: Recipe, recipe: Recipe, augmentation: Augmentation, decoding: Decoding, reasons: list[str]
) -> str:
    """The views of an image at test time; what was never mirrored in training is not when it is tested either.

    Raises:
        RunError: views that shift images of one pixel.
    """
    views = recipe.tta
    if asked.tta == AUTO and not augmentation.flip:
        return ONE
    if views in ("flip-shift", "ten-crop") and min(decoding.size) < 2:
        raise RunError(f"tta {views} shifts images, and these have one pixel a side: take flip, or one")
    if asked.tta == AUTO and views != ONE:
        reasons.append(f"test-time augmentation: {views}")
    return views
