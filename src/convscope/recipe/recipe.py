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
    """Every setting of a run; "auto" is settled before training by `train.choose`, which says what it took and why.

    Raises:
        RunError: a value of the wrong kind or out of range; the message names the setting and its limits.
    """

    recipe: Literal["fast", "classic", "finetune"] = field(
        default="fast",
        metadata=about(
            "what is taken where a setting is left at auto: fast, classic (AlexNet's) or finetune", "recipe"
        ),
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
            "mirror half of the images; auto: colour images whose labels a mirror does not change", "augmentation"
        ),
    )
    flip_mode: Literal["auto", "random", "alternating"] = field(
        default=AUTO,
        metadata=about(
            "random: a coin for each image and epoch; alternating: each in every other epoch; auto: by recipe",
            "augmentation",
        ),
    )
    crop_padding: int | Auto = field(
        default=AUTO,
        metadata=about(
            "shift by up to so many pixels; auto: an eighth of the side in colour, a sixteenth in grey",
            "augmentation",
            at_least=0,
        ),
    )
    random_resized_crop: bool | Auto = field(
        default=AUTO,
        metadata=about(
            "cut windows of random size and shape; auto: colour images of 96 pixels or more", "augmentation"
        ),
    )
    cutout: int = field(
        default=0, metadata=about("side of a blanked square, in pixels; 0: none", "augmentation", at_least=0)
    )
    trivial_augment: bool = field(
        default=False,
        metadata=about(
            "one random operation on each image: shear, turn, posterize, ... (TrivialAugment)", "augmentation"
        ),
    )
    color_jitter_pca: float | Auto = field(
        default=AUTO,
        metadata=about(
            "standard deviation of AlexNet's shift along the images' own colours; 0: none; auto: by recipe",
            "augmentation",
            at_least=0,
        ),
    )
    mixup: float = field(
        default=0.0,
        metadata=about("alpha of blending pairs of images and labels, like 0.2; 0: none", "augmentation", at_least=0),
    )
    cutmix: float = field(
        default=0.0,
        metadata=about(
            "alpha of pasting a box of one image, and its share of the label, into another, like 1; 0: none",
            "augmentation",
            at_least=0,
        ),
    )

    average: float | Auto = field(
        default=AUTO,
        metadata=about(
            "keep a moving average of the weights over so many epochs; 0: the weights themselves; auto: by recipe",
            "training",
            at_least=0,
        ),
    )
    resolution_start: float | Auto = field(
        default=AUTO,
        metadata=about(
            "images grow from so large a part of their side; 1: all alike; auto: by recipe",
            "training",
            at_least=0.1,
        ),
    )
    resolution_share: float | Auto = field(
        default=AUTO,
        metadata=about(
            "how long images grow, as a share of the steps; auto: by recipe", "training", at_least=0, below=1
        ),
    )
    test_views: Literal["auto", "one", "flip", "flip-shift", "ten-crop"] = field(
        default=AUTO,
        metadata=about(
            "views of an image whose scores are averaged after training, and by evaluate and predict; auto: by recipe",
            "training",
        ),
    )
    epochs: int | Auto = field(
        default=AUTO, metadata=about("passes over the training images; auto: by their number", "training", at_least=1)
    )
    batch_size: int | Auto = field(
        default=AUTO, metadata=about("images per step; auto: by their number", "training", at_least=1)
    )
    optimizer: Literal["auto", "sgd", "adamw", "muon"] = field(
        default=AUTO,
        metadata=about(
            "sgd (with Nesterov momentum), adamw, or muon on filters beside sgd; auto: by the network", "training"
        ),
    )
    learning_rate: float | Auto = field(
        default=AUTO,
        metadata=about("the schedule's highest; auto: by optimizer and batch size", "training", at_least=0),
    )
    depth_decay: float | Auto = field(
        default=AUTO,
        metadata=about(
            "each part of the network learns so many times as fast as the one after it; 1: all alike; auto: by recipe",
            "training",
            at_least=0,
        ),
    )
    momentum: float | Auto = field(
        default=AUTO, metadata=about("what past steps count for; auto: by optimizer", "training", at_least=0, below=1)
    )
    weight_decay: float | Auto = field(
        default=AUTO,
        metadata=about("on weights, never on biases and normalisation; auto: by recipe", "training", at_least=0),
    )
    schedule: Literal["auto", "one-cycle", "triangular", "cosine", "step", "plateau", "constant"] = field(
        default=AUTO,
        metadata=about(
            "how the learning rate moves; plateau: a tenth when validation stops improving; auto: by recipe",
            "training",
        ),
    )
    warmup: float | Auto = field(
        default=AUTO,
        metadata=about("share of the steps in which the rate rises; auto: by recipe", "training", at_least=0, below=1),
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
            "share of the target spread over all answers; auto: by recipe, with other losses than softmax 0",
            "training",
            at_least=0,
            below=1,
        ),
    )
    class_weights: str = field(
        default="none",
        metadata=about(
            "how much a class counts: none, balanced (rare ones more), or by name: cat=2,dog=0.5", "training"
        ),
    )
    gradient_clip: float = field(
        default=0.0, metadata=about("largest norm of the gradient; 0: no limit", "training", at_least=0)
    )
    patience: int = field(
        default=0,
        metadata=about("stop after so many epochs without a better validation; 0: never", "training", at_least=0),
    )

    seed: int = field(
        default=0,
        metadata=about(
            "decides the split, the weights, the order and the augmentation", "machine", at_least=0, below=SEEDS
        ),
    )
    split_seed: int | Auto = field(
        default=AUTO,
        metadata=about(
            "decides which images are held back, so that runs of several seeds share them; auto: the seed",
            "machine",
            at_least=0,
            below=SEEDS,
        ),
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = field(
        default=AUTO, metadata=about("auto: cuda where there is one, else cpu", "machine")
    )
    plan: Literal["auto", "measure", "rules", "fp32"] = field(
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
        if self.depth_decay == 0:
            raise RunError(
                "depth_decay is 0.0: only the last part would learn; give a number above 0 (1: all alike), or "
                "--freeze backbone"
            )
        if self.resolution_start != AUTO and self.resolution_start > 1:
            raise RunError(f"resolution_start is {self.resolution_start}: images begin at most at their own size, 1")
        try:
            object.__setattr__(self, "layout", str(Layout.parse(self.layout)))
        except DataError as error:
            raise RunError(str(error)) from error
        parse_options(self.model_options)
        parse_class_weights(self.class_weights)
        refuse_contradictions(self)

    @classmethod
    def named(cls, name: str) -> Recipe:
        """The recipe of that name: fast, classic or finetune. Raises RunError for another.

        >>> Recipe.named("classic").recipe
        'classic'
        """
        return cls.from_dict({"recipe": name})

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
