"""TrivialAugment: one operation for each image, drawn evenly, at a strength drawn evenly.

Source: Müller and Hutter 2021, "TrivialAugment: Tuning-free Yet State-of-the-Art Data Augmentation", the wide space.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from convscope.data.augmentation import image_operations as operations
from convscope.data.augmentation.batch_rng import BatchRng
from convscope.data.preprocessing import Normalization

# Strengths that can be drawn, evenly spaced from none to the strongest.
BINS = 31


@dataclass(frozen=True, kw_only=True)
class Operation:
    """An operation and its weakest and strongest magnitude.

    With `signed`, half of the draws are negative; with `whole`, magnitudes are whole numbers.
    """

    apply: Callable[[Tensor, Tensor], Tensor]
    weakest: float = 0.0
    strongest: float = 0.0
    signed: bool = False
    whole: bool = False


# The paper's table 1, "wide": translations are in pixels, rotations in degrees, posterize in bits.
SPACE: dict[str, Operation] = {
    "identity": Operation(apply=operations.identity),
    "shear_x": Operation(apply=operations.shear_x, strongest=0.99, signed=True),
    "shear_y": Operation(apply=operations.shear_y, strongest=0.99, signed=True),
    "translate_x": Operation(apply=operations.translate_x, strongest=32, signed=True),
    "translate_y": Operation(apply=operations.translate_y, strongest=32, signed=True),
    "rotate": Operation(apply=operations.rotate, strongest=135, signed=True),
    "brightness": Operation(apply=operations.brightness, strongest=0.99, signed=True),
    "color": Operation(apply=operations.color, strongest=0.99, signed=True),
    "contrast": Operation(apply=operations.contrast, strongest=0.99, signed=True),
    "sharpness": Operation(apply=operations.sharpness, strongest=0.99, signed=True),
    "posterize": Operation(apply=operations.posterize, weakest=8, strongest=2, whole=True),
    "solarize": Operation(apply=operations.solarize, weakest=255, strongest=0),
    "autocontrast": Operation(apply=operations.autocontrast),
    "equalize": Operation(apply=operations.equalize),
}


def magnitude_of(operation: Operation, strength: Tensor, negative: Tensor) -> Tensor:
    """Return magnitudes (N,) from strengths of 0 to 30 (N,) and whether a signed one is negative (N,)."""
    spread = operation.weakest + (operation.strongest - operation.weakest) * strength / (BINS - 1)
    if operation.whole:
        spread = spread.round()
    return torch.where(negative, -spread, spread) if operation.signed else spread


def trivial_augment(batch: Tensor, normalization: Normalization, draws: BatchRng) -> Tensor:
    """Apply one operation to each image of a normalised batch (N, C, H, W), in levels of 0 to 255."""
    chosen, strength, negative = draws.integers(len(SPACE)), draws.integers(BINS), draws.integers(2) == 1
    mean = torch.tensor(normalization.mean, device=batch.device)[:, None, None]
    std = torch.tensor(normalization.std, device=batch.device)[:, None, None]
    # The images of one operation lie side by side, so that each computes its own alone, at one wait for the counts.
    order = torch.argsort(chosen, stable=True)
    counts: list[int] = torch.bincount(chosen, minlength=len(SPACE)).tolist()
    done = batch.clone()
    start = 0
    for operation, count in zip(SPACE.values(), counts, strict=True):
        rows = order[start : start + count]
        start += count
        if not count or operation.apply is operations.identity:
            continue
        levels = ((batch[rows] * std + mean) * 255).round().clamp(0, 255)
        changed = operation.apply(levels, magnitude_of(operation, strength[rows], negative[rows]))
        done[rows] = ((changed / 255 - mean) / std).to(batch.dtype)
    return done
