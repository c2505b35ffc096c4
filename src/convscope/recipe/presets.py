"""The named recipes, as tables: what each takes where the user left a setting at auto.

"fast" is the default: today's ways to be accurate after few epochs, and for some networks its own table. "classic" is
what AlexNet was trained with (Krizhevsky, Sutskever, Hinton 2012, sections 4 and 5). "finetune" moves trained weights
gently. "probe" solves the last layer on their features. A setting that the user gave goes before every table. No torch
is imported here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from convscope.recipe.setting import AUTO, SettingValue


@dataclass(frozen=True, kw_only=True)
class TrainingBudget:
    """The batch size and the number of epochs, by the number of training images.

    Args:
        images_in_all: images of the whole run, about: a small set is repeated more often.
        epochs: the least and the most of them.
        batch_sizes: (training images from which it holds, images of a step), the largest first.
        least_steps: in a run of fewer steps a smaller batch is taken from among `batch_sizes`.
    """

    images_in_all: int
    epochs: tuple[int, int]
    batch_sizes: tuple[tuple[int, int], ...]
    least_steps: int = 0

    def epochs_for(self, images: int) -> int:
        """Return the number of epochs for a number of training images."""
        fewest, most = self.epochs
        return min(most, max(fewest, -(-self.images_in_all // images)))

    def batch_size_for(self, images: int, *, epochs: int | None = None) -> int:
        """Return the batch size for a number of training images; in few epochs smaller, so that steps are enough.

        >>> [table("fast", "cifarnet").budget.batch_size_for(45_000, epochs=epochs) for epochs in (10, 2, 1)]
        [1000, 250, 125]
        """
        usual = next(size for least, size in self.batch_sizes if images >= least)
        if epochs is None:
            return usual
        most = images * epochs / self.least_steps if self.least_steps else usual
        smaller = [size for _, size in self.batch_sizes if size <= usual]
        return next((size for size in smaller if size <= most), smaller[-1])


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A preset: settings by name, and its training budget."""

    settings: Mapping[str, SettingValue]
    budget: TrainingBudget


_USUAL: dict[str, SettingValue] = {
    "flip_mode": "random",
    "pca_lighting": 0.0,
    "ema_epochs": 0.0,
    "progressive_resize_start": 1.0,
    "progressive_resize_share": 0.5,
    "tta": "one",
    "optimizer": "sgd",
    "layer_lr_decay": 1.0,
    "weight_decay": 5e-4,
    "schedule": "one-cycle",
    "warmup": 0.2,
}
_USUAL_BATCHES = ((10_000, 128), (2_000, 64), (0, 32))

NAMED: dict[str, Preset] = {
    "fast": Preset(
        settings=_USUAL, budget=TrainingBudget(images_in_all=450_000, epochs=(10, 40), batch_sizes=_USUAL_BATCHES)
    ),
    "classic": Preset(
        settings={
            # With Nesterov's momentum, as sgd always has it here; the paper's is plain.
            "optimizer": "sgd",
            "momentum": 0.9,
            "learning_rate": 0.01,
            "layer_lr_decay": 1.0,
            "weight_decay": 5e-4,
            "schedule": "plateau",
            "warmup": 0.0,
            "label_smoothing": 0.0,
            # The paper cuts windows of one size out of larger pictures.
            "random_resized_crop": False,
            "flip_mode": "random",
            "pca_lighting": 0.1,
            "ema_epochs": 0.0,
            "progressive_resize_start": 1.0,
            "progressive_resize_share": 0.5,
            "tta": "ten-crop",
        },
        budget=TrainingBudget(images_in_all=900_000, epochs=(20, 90), batch_sizes=((0, 128),)),
    ),
    "finetune": Preset(
        settings={
            **_USUAL,
            "layer_lr_decay": 0.7,
            "random_resized_crop": False,
        },
        budget=TrainingBudget(images_in_all=100_000, epochs=(3, 10), batch_sizes=_USUAL_BATCHES),
    ),
    # Epochs, where any are asked for, move the layers before a solved head gently.
    "probe": Preset(
        settings={
            **_USUAL,
            "head": "solve",
            "layer_lr_decay": 0.7,
            "label_smoothing": 0.0,
            "random_resized_crop": False,
        },
        budget=TrainingBudget(images_in_all=100_000, epochs=(3, 10), batch_sizes=_USUAL_BATCHES),
    ),
}

_CIFARNET = Preset(
    settings={
        "optimizer": "muon",
        "weight_decay": 0.0,
        "schedule": "triangular",
        "warmup": 0.0,
        "label_smoothing": 0.2,
        "random_crop_padding": 2,
        "flip_mode": "alternating",
        "progressive_resize_start": 0.5,
        "progressive_resize_share": 0.65,
        "tta": "flip-shift",
    },
    budget=TrainingBudget(
        images_in_all=480_000,
        epochs=(10, 40),
        batch_sizes=((20_000, 1000), (10_000, 500), (5_000, 250), (2_000, 125), (0, 50)),
        # Validation of cifarnet-tiny: one epoch of 7,203 digits, 66 % in 29 steps and 97 % in 113; two epochs of 9,000
        # grey crops, 57 % in 144 steps and 75 % in 282, and 73 % in 564.
        least_steps=300,
    ),
)
# A narrow one learns nothing at first where the rate is at its peak at once: of 7,203 digits in 113 steps of bf16 one
# with a warmup has 96 % right, and one without 79 %.
_NARROW = Preset(settings={**_CIFARNET.settings, "warmup": 0.2}, budget=_CIFARNET.budget)

# What "fast" takes for a network instead: its own settings on top of the table, and its own dose.
FAST_FOR: dict[str, Preset] = {
    "cifarnet-tiny": _NARROW,
    "cifarnet-small": _NARROW,
    "cifarnet": _CIFARNET,
    "cifarnet-large": _CIFARNET,
}

# The network that a recipe takes where the images' size would choose another: CifarNet is not of AlexNet's time.
MODEL_INSTEAD = dict.fromkeys((("classic", name) for name in FAST_FOR), "alexnet-mini")


def table(name: str, model: str) -> Preset:
    """Return the preset of that name for a network.

    >>> table("fast", "resnet18").settings["schedule"], table("fast", "cifarnet").settings["schedule"]
    ('one-cycle', 'triangular')
    """
    usual = NAMED[name]
    own = FAST_FOR.get(model) if name == "fast" else None
    return usual if own is None else Preset(settings={**usual.settings, **own.settings}, budget=own.budget)


def preset_values(name: str, *, model: str, loss: str, optimizer: str = AUTO) -> dict[str, SettingValue]:
    """Return the values that a preset has for settings at "auto", with a network, a loss and an optimizer, if given.

    >>> preset_values("classic", model="resnet18", loss="softmax")["learning_rate"]
    0.01
    >>> "learning_rate" in preset_values("classic", model="resnet18", loss="softmax", optimizer="adamw")
    False
    """
    values = dict(table(name, model).settings)
    if optimizer not in (AUTO, values["optimizer"]):
        # A rate and a momentum mean something else to another optimizer, which has its own; and a table may do
        # without decay only because Muon rescales the filters.
        values.pop("learning_rate", None)
        values.pop("momentum", None)
        values["optimizer"] = optimizer
    if values["optimizer"] != "muon":
        values["weight_decay"] = NAMED[name].settings["weight_decay"]
    if loss != "softmax":
        values.pop("label_smoothing", None)  # the tables mean cross-entropy's
    return values
