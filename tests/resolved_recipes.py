"""Resolved recipes for tests that train a network of their own, without a source of images."""

from __future__ import annotations

from convscope.recipe.recipe import Recipe
from convscope.recipe.setting import SettingValue
from convscope.training.resolve.resolved_recipe import ResolvedRecipe

# Nothing that changes images, weights or rates by itself.
PLAIN: dict[str, SettingValue] = {
    "validation_fraction": 0.0,
    "stream": "no",
    "model": "lenet5",
    "head": "train",
    "image_size": "32x32",
    "channels": 3,
    "flip": False,
    "flip_mode": "random",
    "random_crop_padding": 0,
    "random_resized_crop": False,
    "pca_lighting": 0.0,
    "ema_epochs": 0.0,
    "progressive_resize_start": 1.0,
    "normalization": "data",
    "progressive_resize_share": 0.0,
    "tta": "one",
    "minutes": 0.0,
    "epochs": 1,
    "patience": 0,
    "batch_size": 4,
    "optimizer": "sgd",
    "learning_rate": 0.01,
    "layer_lr_decay": 1.0,
    "momentum": 0.9,
    "weight_decay": 0.0,
    "schedule": "constant",
    "warmup": 0.0,
    "loss": "softmax",
    "label_smoothing": 0.0,
    "split_seed": 0,
    "device": "cpu",
    "autotune": "rules",
    "precision": "fp32",
    "memory_format": "channels-last",
    "compile": "no",
    "threads": 1,
}


def resolved_with(*, classes: int = 2, **settings: SettingValue) -> ResolvedRecipe:
    """Return a resolved recipe with these settings, and plain ones beside them."""
    return ResolvedRecipe(recipe=Recipe.from_dict({**PLAIN, **settings}), classes=classes, parameters=0)
