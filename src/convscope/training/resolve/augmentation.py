"""Rules of resolve: augmentation, progressive resizing and test-time augmentation.

What was asked for and can't be is refused; what a preset brings along gives way.

Whether images are flipped is decided by their channels, their classes' names, and their pixels. It is the only rule
that decodes images: a sample of the training images, the same for one split seed. It is done once, for the resolved
recipe says yes or no.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn

from convscope.data.listing import Listing
from convscope.data.records import Decoding, Labels
from convscope.data.training_batches import early_size
from convscope.errors import RunError
from convscope.nets.shapes import VanishedError, trace_shapes
from convscope.recipe.setting import AUTO, Auto, value_or
from convscope.report.usage import settings_text
from convscope.scoring.test_time_augmentation import ONE
from convscope.training.resolve.label_names import changed_by_mirror, changed_by_turning
from convscope.training.resolve.mirror_test import find_confusion, read_sample
from convscope.training.resolve.resolved_recipe import Choice

# From this side on images are scenes, in which a part shows the class as well as the whole does.
SCENE_SIDE = 96
# Padding of the random crop as a share of the side, by channels: 4 pixels of 32 in colour, as He et al. (2016, section
# 4.2); half of that for grey images, which are mostly characters, centred and cropped.
PADDING = {3: 1 / 8, 1: 1 / 16}

TURNS = "trivial_augment turns images by up to 135 degrees, which changes labels here"


def _by_images(decoding: Decoding) -> str:
    kind = "colour" if decoding.channels == 3 else "grey"
    return f"augmentation for {'x'.join(map(str, decoding.size))} {kind} images"


def random_resized_crop(asked: bool | Auto, decoding: Decoding) -> Choice[bool]:
    """Return whether random parts of the images are trained on.

    >>> random_resized_crop("auto", Decoding(size=(224, 224), channels=3)).text
    'random resized crop: augmentation for 224x224 colour images'
    """
    scenes = decoding.channels == 3 and min(decoding.size) >= SCENE_SIDE
    if asked == AUTO and scenes:
        return Choice("random_resized_crop", True, _by_images(decoding), "random resized crop")
    return Choice("random_resized_crop", value_or(asked, False))


def random_crop_padding(asked: int | Auto, decoding: Decoding, *, resized: bool) -> Choice[int]:
    """Return the padding of the random crop, in pixels: none beside the random resized crop.

    >>> random_crop_padding("auto", Decoding(size=(32, 32), channels=3), resized=False).text
    'random crop (padding 4): augmentation for 32x32 colour images'
    """
    side = min(decoding.size)
    padding = value_or(asked, 0 if resized else round(side * PADDING[decoding.channels]))
    if padding >= side:
        raise RunError(
            f"random_crop_padding {padding} is too large for images of {side} pixels: take {side - 1} or less"
        )
    if not padding:
        return Choice("random_crop_padding", 0)
    return Choice("random_crop_padding", padding, _by_images(decoding), f"random crop (padding {padding})")


def require_within(cutout: int, decoding: Decoding) -> None:
    """Raise RunError where a masked square is larger than the images."""
    side = min(decoding.size)
    if cutout > side:
        raise RunError(
            f"cutout {cutout} is larger than images of {side} pixels: it would blank them; take {side} or less"
        )


def pca_lighting(asked: float | Auto, of_preset: float, decoding: Decoding) -> Choice[float]:
    """Return the standard deviation of PCA lighting: 0 for grey images.

    >>> pca_lighting("auto", 0.1, Decoding(size=(28, 28), channels=1)).value
    0.0
    """
    if decoding.channels == 3:
        lighting = value_or(asked, of_preset)
        return Choice("pca_lighting", lighting, *((_by_images(decoding), "PCA lighting") if lighting else ()))
    if value_or(asked, 0.0):
        raise RunError("pca_lighting is for colour images, and these are grey: take 0, or channels 3")
    return Choice("pca_lighting", 0.0)


def flip(
    asked: bool | Auto, listing: Listing, rows: Labels, decoding: Decoding, *, trivial_augment: bool, seed: int
) -> Choice[bool]:
    """Return whether images are flipped, and the reason where they are not by default.

    There is a notice where what was asked for, a flip or TrivialAugment's rotation, changes labels.
    """
    turning = changed_by_turning(listing.classes) if trivial_augment else None
    notices = [f"{TURNS}: {turning}"] if turning else []
    by_names = changed_by_mirror(listing.classes)
    if isinstance(asked, bool):
        if asked and by_names:
            notices.append(f"flip yes mirrors images whose labels a mirror can change: {by_names}")
        return Choice("flip", asked, notices=tuple(notices))
    if by_names or decoding.channels != 3:
        return Choice("flip", False, by_names or "grey", notices=tuple(notices))
    sample = read_sample(listing, rows, decoding, seed=seed)
    if sample is None:
        return Choice("flip", True, notices=tuple(notices))
    if trivial_augment and not turning and (turned := find_confusion(sample, _turned, seed=seed)):
        notices.append(f"{TURNS}: {turned.text('turned')}")
    mirrored = find_confusion(sample, _mirrored, seed=seed)
    why_not = "" if mirrored is None else mirrored.text("mirrored")
    return Choice("flip", mirrored is None, why_not, notices=tuple(notices))


def _mirrored(images: Tensor) -> Tensor:
    return images.flip(3)


def _turned(images: Tensor) -> Tensor:
    return images.rot90(1, (2, 3))


def flip_mode(asked: str, of_preset: str, flip: Choice[bool]) -> str:
    """Return "random" or "alternating"; raise RunError where alternating flips were asked for, and there are none."""
    if asked == "alternating" and not flip.value:
        because = f" ({flip.reason})" if flip.reason else ""
        raise RunError(f"flip_mode alternating needs flips, and there are none{because}: give flip yes")
    return (of_preset if asked == AUTO else asked) if flip.value else "random"


def shown_flip(flip: Choice[bool], mode: str, decoding: Decoding, *, in_views: bool) -> Choice[bool]:
    """Return the choice of a flip that was left at auto as it is shown; `in_views`, whether test views follow it."""
    if flip.value:
        shown = "alternating flip" if mode == "alternating" else "horizontal flip"
        return replace(flip, reason=_by_images(decoding), shown=shown)
    if not flip.reason:  # a head that is solved, and no epoch after it: nothing was chosen
        return flip
    where = "in training or in test views" if in_views else "in training"
    return replace(flip, reason=f"{flip.reason}; {settings_text(flip=True)} turns them on", shown=f"no flips {where}")


def progressive_resize_share(
    share: float, start: float, network: nn.Module, decoding: Decoding, *, share_asked: bool, start_asked: bool
) -> Choice[float]:
    """Return the share of the steps with smaller images; 0 where they are not smaller.

    Grey images have their full size from the start, unless smaller ones are asked for: strokes and defects of a pixel's
    width, which they are often classified by, are lost in smaller ones.

    Raises:
        RunError: the network can't take images as small as was asked for.
    """
    none = Choice("progressive_resize_share", 0.0)
    small = early_size(decoding.size, start)
    if small == decoding.size:
        if share_asked and share:
            raise RunError("progressive_resize_share needs progressive_resize_start below 1")
        return none
    if not share or (decoding.channels == 1 and not (share_asked or start_asked)):
        return none
    size = "x".join(map(str, small))
    try:
        trace_shapes(network, (decoding.channels, *small))
    except VanishedError as error:
        if not start_asked:
            return none
        raise RunError(
            f"progressive_resize_start {start} gives {size} images, too small for the network: {error}; leave it at 1"
        ) from error
    shown = f"progressive resizing from {size} in the first {share:.0%} of the steps"
    return Choice("progressive_resize_share", share, shown="" if share_asked and start_asked else shown)


def views_to_choose_from(asked: str, of_preset: str, *, flipped: bool) -> tuple[str, ...]:
    """Return the test-time augmentations that a limited time decides between, the fewest views first.

    >>> views_to_choose_from("auto", "flip-shift", flipped=True)
    ('one', 'flip', 'flip-shift')
    >>> views_to_choose_from("ten-crop", "flip-shift", flipped=True)
    ('ten-crop',)
    """
    if asked != AUTO:
        return (asked,)
    return tuple(dict.fromkeys((ONE, "flip", of_preset))) if flipped and of_preset != ONE else (ONE,)


def tta(asked: str, of_preset: str, decoding: Decoding, *, flipped: bool) -> Choice[str]:
    """Return the test-time augmentation; what was not `flipped` in training is not at test time either.

    >>> tta("auto", "flip", Decoding(size=(32, 32), channels=3), flipped=False).value
    'one'

    Raises:
        RunError: views that shift images of one pixel.
    """
    if asked == AUTO and not flipped:
        return Choice("tta", ONE)
    views = of_preset if asked == AUTO else asked
    if views in ("flip-shift", "ten-crop") and min(decoding.size) < 2:
        raise RunError(f"tta {views} shifts images, and these have one pixel a side: take flip, or one")
    shown = asked == AUTO and views != ONE
    return Choice("tta", views, shown=f"test-time augmentation: {views}" if shown else "")
