"""A recipe: every setting of a training run, with its default, its limits and one line that says what it does.

The command line's options, the TOML form (`recipe_file`) and the page in the report are all made from the fields here.

>>> Recipe(model="lenet5", epochs=3).epochs
3
>>> Recipe(batch_size=0)
Traceback (most recent call last):
...
convscope.errors.RunError: batch_size is 0: it must be at least 1, or auto
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, Literal, get_type_hints

from convscope.data.layout import Layout
from convscope.errors import DataError, RunError, did_you_mean
from convscope.recipe.class_weights import parse_class_weights
from convscope.recipe.contradictions import refuse_contradictions
from convscope.recipe.seeds import SEEDS
from convscope.recipe.setting import AUTO, Auto, Kinds, SettingValue, about, checked
from convscope.recipe.text_values import parse_options, parse_size


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Every setting of a run; "auto" is settled before training by `training.resolve`, which says what it took and why.

    Raises:
        RunError: a value of the wrong kind or out of range; the message names the setting and its limits.
    """

    preset: Literal["fast", "classic", "finetune"] = field(
        default="fast",
        metadata=about("defaults for what is left at auto: fast, classic (AlexNet's) or finetune", "recipe"),
    )

    data: str = field(default="", metadata=about("what is trained on: a folder, a file, or digits", "images"))
    layout: str = field(
        default=AUTO,
        metadata=about(
            "what the folders of data are: splits (train/CLASS), classes (CLASS), class-first (CLASS/train), groups "
            "(ANY/CLASS, read together), folders by name (train=FOLDER,test=FOLDER), none (no class folders), or auto",
            "images",
        ),
    )
    resize_mode: Literal["crop", "letterbox", "squash"] = field(
        default="crop", metadata=about("how a picture of another shape is made to fit", "images")
    )
    validation_fraction: float | Auto = field(
        default=AUTO,
        metadata=about(
            "share of the training images held back where there is no val folder; auto: a tenth, at most 2,000",
            "images",
            at_least=0,
            below=1,
        ),
    )
    test_fraction: float = field(
        default=0.1, metadata=about("share of a single folder held back for the test", "images", at_least=0, below=1)
    )
    stream: Literal["auto", "no", "yes"] = field(
        default=AUTO,
        metadata=about(
            "decode training images anew in each epoch and keep none of them; auto: where they do not fit the cache",
            "images",
        ),
    )
    strict: bool = field(default=False, metadata=about("stop at the first image that can't be read", "images"))
    verify: bool = field(
        default=False,
        metadata=about("read every file of decoded images again, and decode anew where one has changed", "images"),
    )

    model: str = field(
        default=AUTO,
        metadata=about("network: a name that `convscope models` lists, or auto: by image size", "network"),
    )
    model_options: str = field(
        default="", metadata=about("the network's own settings, like variant=notes,activation=relu", "network")
    )
    weights: str = field(
        default="",
        metadata=about("start from a .safetensors or .pth file, or a run; what does not fit is listed", "network"),
    )
    freeze: str = field(
        default="",
        metadata=about("parts that stay as they are: backbone (all but the last), or names: conv1,bn1", "network"),
    )
    image_size: str = field(
        default=AUTO, metadata=about("pixels: 32 or 32x48 (height x width), or auto: the images' own", "network")
    )
    channels: int | Auto = field(
        default=AUTO, metadata=about("1 (grey) or 3 (colour), or auto: as the images are", "network", at_least=1)
    )

    flip: bool | Auto = field(
        default=AUTO,
        metadata=about(
            "horizontal flip; auto: for colour images whose labels a mirror does not change", "augmentation"
        ),
    )
    flip_mode: Literal["auto", "random", "alternating"] = field(
        default=AUTO,
        metadata=about(
            "random: with probability 1/2; alternating: each image in every other epoch; auto: by preset",
            "augmentation",
        ),
    )
    random_crop_padding: int | Auto = field(
        default=AUTO,
        metadata=about(
            "random crop with this padding, in pixels; auto: an eighth of the side in colour, a sixteenth in grey",
            "augmentation",
            at_least=0,
        ),
    )
    random_resized_crop: bool | Auto = field(
        default=AUTO,
        metadata=about("random resized crop; auto: for colour images of 96 pixels or more", "augmentation"),
    )
    cutout: int = field(
        default=0, metadata=about("side of the masked square, in pixels; 0: none", "augmentation", at_least=0)
    )
    trivial_augment: bool = field(
        default=False,
        metadata=about("TrivialAugment: one random operation on each image", "augmentation"),
    )
    pca_lighting: float | Auto = field(
        default=AUTO,
        metadata=about(
            "standard deviation of AlexNet's PCA lighting; 0: none; auto: by preset",
            "augmentation",
            at_least=0,
        ),
    )
    mixup: float = field(
        default=0.0,
        metadata=about("mixup's alpha, like 0.2; 0: none", "augmentation", at_least=0),
    )
    cutmix: float = field(
        default=0.0,
        metadata=about(
            "CutMix's alpha, like 1; 0: none",
            "augmentation",
            at_least=0,
        ),
    )

    ema_epochs: float | Auto = field(
        default=AUTO,
        metadata=about(
            "exponential moving average of the weights over this many epochs; 0: none; auto: by preset",
            "training",
            at_least=0,
        ),
    )
    progressive_resize_start: float | Auto = field(
        default=AUTO,
        metadata=about(
            "progressive resizing: the first images' side as a share of the full one; 1: off; auto: by preset",
            "training",
            at_least=0.1,
        ),
    )
    progressive_resize_share: float | Auto = field(
        default=AUTO,
        metadata=about(
            "progressive resizing: share of the steps with smaller images; auto: by preset",
            "training",
            at_least=0,
            below=1,
        ),
    )
    tta: Literal["auto", "one", "flip", "flip-shift", "ten-crop"] = field(
        default=AUTO,
        metadata=about(
            "test-time augmentation, by evaluate and predict as well: views whose scores are averaged; auto: by preset",
            "training",
        ),
    )
    epochs: int | Auto = field(
        default=AUTO,
        metadata=about("passes over the training images; auto: by the number of images", "training", at_least=1),
    )
    batch_size: int | Auto = field(
        default=AUTO, metadata=about("batch size; auto: by the number of images", "training", at_least=1)
    )
    optimizer: Literal["auto", "sgd", "adamw", "muon"] = field(
        default=AUTO,
        metadata=about(
            "sgd (with Nesterov momentum), adamw, or muon on filters beside sgd; auto: by the network", "training"
        ),
    )
    learning_rate: float | Auto = field(
        default=AUTO,
        metadata=about("peak learning rate; auto: by optimizer and batch size", "training", at_least=0),
    )
    layer_lr_decay: float | Auto = field(
        default=AUTO,
        metadata=about(
            "layer-wise learning-rate decay: factor from a layer group to the one before; 1: off; auto: by preset",
            "training",
            at_least=0,
        ),
    )
    momentum: float | Auto = field(
        default=AUTO, metadata=about("momentum, or AdamW's beta 1; auto: by optimizer", "training", at_least=0, below=1)
    )
    weight_decay: float | Auto = field(
        default=AUTO,
        metadata=about(
            "weight decay, on weights but not on biases and normalisation; auto: by preset", "training", at_least=0
        ),
    )
    schedule: Literal["auto", "one-cycle", "triangular", "cosine", "step", "plateau", "constant"] = field(
        default=AUTO,
        metadata=about(
            "learning-rate schedule; plateau: a tenth when validation stops improving; auto: by preset",
            "training",
        ),
    )
    warmup: float | Auto = field(
        default=AUTO,
        metadata=about(
            "share of the steps with a rising learning rate; auto: by preset", "training", at_least=0, below=1
        ),
    )
    loss: Literal["auto", "softmax", "hinge", "logistic", "multi-label"] = field(
        default=AUTO,
        metadata=about(
            "softmax (cross-entropy), hinge (SVM), logistic (one class against all others) or multi-label; "
            "auto: softmax, or multi-label where images have several labels",
            "training",
        ),
    )
    label_smoothing: float | Auto = field(
        default=AUTO,
        metadata=about(
            "label smoothing; auto: by preset, and 0 with other losses than softmax",
            "training",
            at_least=0,
            below=1,
        ),
    )
    class_weights: str = field(
        default="none",
        metadata=about(
            "class weights in the loss: none, balanced (inverse frequency), or by name: cat=2,dog=0.5", "training"
        ),
    )
    gradient_clip: float = field(
        default=0.0, metadata=about("gradient clipping: largest norm; 0: off", "training", at_least=0)
    )
    patience: int = field(
        default=0,
        metadata=about("early stopping: epochs without a better validation accuracy; 0: off", "training", at_least=0),
    )

    seed: int = field(
        default=0,
        metadata=about(
            "random seed of the split, the initial weights, the order and the augmentation",
            "machine",
            at_least=0,
            below=SEEDS,
        ),
    )
    split_seed: int | Auto = field(
        default=AUTO,
        metadata=about(
            "seed of the split alone, so that runs of several seeds share it; auto: the seed",
            "machine",
            at_least=0,
            below=SEEDS,
        ),
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = field(
        default=AUTO, metadata=about("auto: cuda where there is one, else cpu", "machine")
    )
    autotune: Literal["auto", "measure", "rules", "fp32"] = field(
        default=AUTO,
        metadata=about(
            "how what is auto below is found: auto: as measured before, or now where that pays; measure: anew; rules: "
            "without measuring; fp32: as auto, in fp32",
            "machine",
        ),
    )
    precision: Literal["auto", "fp32", "tf32", "bf16"] = field(
        default=AUTO,
        metadata=about(
            "arithmetic of the training step; auto: the fastest whose loss is fp32's, as planned", "machine"
        ),
    )
    memory_format: Literal["auto", "channels-last", "contiguous"] = field(
        default=AUTO, metadata=about("how pixels and weights lie in memory; auto: as planned", "machine")
    )
    compile: Literal["auto", "no", "yes", "graphs"] = field(
        default=AUTO,
        metadata=about(
            "torch.compile, or with CUDA graphs; auto: on a GPU where the run is long enough to gain", "machine"
        ),
    )
    sync_batchnorm: bool = field(
        default=False,
        metadata=about("several processes normalise over the whole batch, not each over its own share", "machine"),
    )
    threads: int | Auto = field(
        default=AUTO,
        metadata=about(
            "CPU threads; auto: one for a small network, else as planned", "machine", at_least=1, below=1025
        ),
    )

    def __post_init__(self) -> None:
        for item in fields(self):
            value = checked(item.name, getattr(self, item.name), _KINDS[item.name], item.metadata)
            object.__setattr__(self, item.name, value)
        if self.image_size != AUTO:
            size = parse_size(self.image_size)
            object.__setattr__(self, "image_size", f"{size[0]}x{size[1]}")
        if self.channels not in (AUTO, 1, 3):
            raise RunError(f"channels is {self.channels}: images have 1 (grey) or 3 (colour), or auto")
        if self.learning_rate == 0:
            raise RunError("learning_rate is 0.0: nothing would be learned; give a positive rate, or auto")
        if self.layer_lr_decay == 0:
            raise RunError(
                "layer_lr_decay is 0.0: only the last part would learn; give a number above 0 (1: all alike), or "
                "--freeze backbone"
            )
        if self.progressive_resize_start != AUTO and self.progressive_resize_start > 1:
            raise RunError(
                f"progressive_resize_start is {self.progressive_resize_start}: it is a share of the side, at most 1"
            )
        try:
            object.__setattr__(self, "layout", str(Layout.parse(self.layout)))
        except DataError as error:
            raise RunError(str(error)) from error
        parse_options(self.model_options)
        parse_class_weights(self.class_weights)
        refuse_contradictions(self)

    @classmethod
    def from_preset(cls, name: str) -> Recipe:
        """The recipe of that name: fast, classic or finetune. Raises RunError for another.

        >>> Recipe.from_preset("classic").preset
        'classic'
        """
        return cls.from_dict({"preset": name})

    @property
    def seed_of_split(self) -> int:
        """The seed that decides which images are held back."""
        return self.seed if isinstance(self.split_seed, str) else self.split_seed

    @property
    def held_back(self) -> float:
        """The share of the training images that validates; 0 while it is auto, before the images are counted."""
        return 0.0 if isinstance(self.validation_fraction, str) else self.validation_fraction

    def to_dict(self) -> dict[str, SettingValue]:
        """Every setting by name."""
        return {item.name: getattr(self, item.name) for item in fields(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Recipe:
        """A recipe from settings by name; what is left out has its default. Raises RunError for an unknown name."""
        known = names()
        for name in values:
            if name not in known:
                raise RunError(f"a recipe has no setting {name!r}.{did_you_mean(name, known)}")
        return cls(**values)

    def changed(self, settings: Mapping[str, SettingValue]) -> Recipe:
        """The recipe with some settings replaced."""
        return self.from_dict({**self.to_dict(), **settings})


def settings() -> Iterator[Field[Any]]:
    """The fields of a recipe, in order: name, default, and metadata `help`, `group`, `at_least`, `below`."""
    yield from fields(Recipe)


def names() -> tuple[str, ...]:
    """The settings' names."""
    return tuple(item.name for item in fields(Recipe))


def choices(name: str) -> tuple[str, ...]:
    """The words that a setting is limited to; empty where it is a number, a switch or free text."""
    return _KINDS[name].choices


def placeholder(name: str) -> str:
    """What `--help` shows in the place of the value: INTEGER|auto, yes|no, crop|letterbox|squash."""
    return _KINDS[name].placeholder


def parse_setting(name: str, text: str) -> SettingValue:
    """A setting's value from what was typed: "12", "auto", "yes"; text that is none stays text, and no recipe takes it.

    >>> parse_setting("epochs", "12"), parse_setting("flip", "no"), parse_setting("learning_rate", "auto")
    (12, False, 'auto')
    """
    return _KINDS[name].read(text)


_KINDS = {name: Kinds.of(hint) for name, hint in get_type_hints(Recipe).items()}
assert all(item.default is not MISSING for item in fields(Recipe)), "every setting has a default"
