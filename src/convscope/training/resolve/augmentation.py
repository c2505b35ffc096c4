"""Augmentation, progressive resizing and test-time augmentation, where they are left at auto.

These rules are part of `training.resolve.resolve`. `asked` is the recipe as the user gave it, `recipe` the same
completed by its preset: what was asked for and can't be is refused, what a preset brings along gives way.

Whether images are flipped is decided by their channels, their classes' names, and their pixels. It is the only rule
that decodes images: a sample of the training images, the same for one split seed. It is done once, for the resolved
recipe says yes or no.
"""

from __future__ import annotations

from torch import Tensor, nn

from convscope.data.open import Probe
from convscope.data.records import Decoding
from convscope.data.training_batches import early_size
from convscope.errors import RunError
from convscope.nets.shapes import VanishedError, trace_shapes
from convscope.recipe.recipe import Recipe
from convscope.recipe.setting import AUTO, SettingValue, plain, value_or
from convscope.scoring.test_time_augmentation import ONE
from convscope.training.resolve.budget import training_rows
from convscope.training.resolve.label_names import changed_by_mirror, changed_by_turning
from convscope.training.resolve.mirror_test import find_confusion, read_sample
from convscope.training.resolve.resolved_recipe import Resolution

# From this side on images are scenes, in which a part shows the class as well as the whole does.
SCENE_SIDE = 96
# Padding of the random crop as a share of the side, by channels: 4 pixels of 32 in colour, as He et al. (2016, section
# 4.2); half of that for grey images, which are mostly characters, centred and cropped.
PADDING = {3: 1 / 8, 1: 1 / 16}

TURNS = "trivial_augment turns images by up to 135 degrees, which changes labels here"


def choose_augmentation(
    asked: Recipe, recipe: Recipe, found: Probe, decoding: Decoding, resolution: Resolution
) -> dict[str, SettingValue]:
    """Return the settings of augmentation that may be auto, by the images' size, channels and classes.

    Raises:
        RunError: an augmentation that these images can't take.
    """
    side = min(decoding.size)
    colour = decoding.channels == 3
    scenes = colour and side >= SCENE_SIDE
    random_resized_crop = value_or(recipe.random_resized_crop, scenes)
    usual_padding = 0 if random_resized_crop else round(side * PADDING[decoding.channels])
    padding = value_or(recipe.random_crop_padding, usual_padding)
    if padding >= side:
        raise RunError(
            f"random_crop_padding {padding} is too large for images of {side} pixels: take {side - 1} or less"
        )
    if recipe.cutout > side:
        raise RunError(
            f"cutout {recipe.cutout} is larger than images of {side} pixels: it would blank them; take {side} or less"
        )
    lighting = 0.0 if asked.pca_lighting == AUTO and not colour else plain(recipe.pca_lighting)
    if lighting and not colour:
        raise RunError("pca_lighting is for colour images, and these are grey: take 0, or channels 3")
    # Last of all: images are decoded for it.
    flip, why_not = _choose_flip(recipe, found, decoding, resolution)
    if asked.flip_mode == "alternating" and not flip:
        because = f" ({why_not})" if why_not else ""
        raise RunError(f"flip_mode alternating needs flips, and there are none{because}: give flip yes")
    alternating = flip and recipe.flip_mode == "alternating"
    shown = {
        "flip": ("alternating flip" if alternating else "horizontal flip") if flip else "",
        "random_crop_padding": f"random crop (padding {padding})" if padding else "",
        "random_resized_crop": "random resized crop" if random_resized_crop else "",
        "pca_lighting": "PCA lighting" if lighting else "",
    }
    chosen: dict[str, SettingValue] = {
        "flip": flip,
        "flip_mode": "alternating" if alternating else "random",
        "random_crop_padding": padding,
        "random_resized_crop": random_resized_crop,
        "pca_lighting": lighting,
    }
    for setting, what in shown.items():
        if what and getattr(asked, setting) == AUTO:
            reason = f"augmentation for {'x'.join(map(str, decoding.size))} {'colour' if colour else 'grey'} images"
            resolution.choose(setting, chosen[setting], reason, shown=what)
    if why_not:
        where = "in training or in test views" if asked.tta == AUTO else "in training"
        resolution.choose("flip", flip, f"{why_not}; --flip yes turns them on", shown=f"no flips {where}")
    return chosen


def _choose_flip(recipe: Recipe, found: Probe, decoding: Decoding, resolution: Resolution) -> tuple[bool, str]:
    """Return whether images are flipped, and the reason where they are not by default.

    Adds a notice where what was asked for, a flip or TrivialAugment's rotation, changes labels.
    """
    turning = changed_by_turning(found.classes) if recipe.trivial_augment else None
    if turning:
        resolution.notify(f"{TURNS}: {turning}")
    by_names = changed_by_mirror(found.classes)
    if isinstance(recipe.flip, bool):
        if recipe.flip and by_names:
            resolution.notify(f"flip yes mirrors images whose labels a mirror can change: {by_names}")
        return recipe.flip, ""
    if by_names or decoding.channels != 3:
        return False, by_names or "grey"
    seed = recipe.seed_of_split
    sample = read_sample(found.listing, training_rows(found, recipe), decoding, seed=seed)
    if sample is None:
        return True, ""
    if recipe.trivial_augment and not turning and (turned := find_confusion(sample, _turned, seed=seed)):
        resolution.notify(f"{TURNS}: {turned.text('turned')}")
    mirrored = find_confusion(sample, _mirrored, seed=seed)
    return mirrored is None, "" if mirrored is None else mirrored.text("mirrored")


def _mirrored(images: Tensor) -> Tensor:
    return images.flip(3)


def _turned(images: Tensor) -> Tensor:
    return images.rot90(1, (2, 3))


def choose_growth(
    asked: Recipe, recipe: Recipe, network: nn.Module, decoding: Decoding, resolution: Resolution
) -> float:
    """Return the share of the steps with smaller images; 0 where they are not smaller.

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
        what = f"progressive resizing from {shown} in the first {share:.0%} of the steps"
        resolution.choose("progressive_resize_share", share, "", shown=what)
    return share


def choose_views(asked: Recipe, recipe: Recipe, decoding: Decoding, resolution: Resolution, *, flipped: bool) -> str:
    """Return the test-time augmentation; what was not `flipped` in training is not at test time either.

    Raises:
        RunError: views that shift images of one pixel.
    """
    views = recipe.tta
    if asked.tta == AUTO and not flipped:
        return ONE
    if views in ("flip-shift", "ten-crop") and min(decoding.size) < 2:
        raise RunError(f"tta {views} shifts images, and these have one pixel a side: take flip, or one")
    if asked.tta == AUTO and views != ONE:
        resolution.choose("tta", views, "", shown=f"test-time augmentation: {views}")
    return views
