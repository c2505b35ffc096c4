"""A recipe: every setting of a training run, with its default, its limits and one line that says what it does.

The command line's options, the TOML form and the page in the report are all made from the fields here.

>>> Recipe(model="lenet5", epochs=3).epochs
3
>>> Recipe(batch_size=0)
Traceback (most recent call last):
...
convscope.errors.RunError: batch_size is 0: it must be at least 1, or auto
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, TypeVar, get_args, get_origin, get_type_hints

from convscope.errors import RunError, did_you_mean
from convscope.train.class_weights import parse_class_weights

Auto: TypeAlias = Literal["auto"]
AUTO: Final = "auto"
Value: TypeAlias = bool | int | float | str
Plain = TypeVar("Plain", bool, int, float)
LARGEST_SIDE = 8192
TRUE_WORDS = ("true", "yes", "on", "1")
FALSE_WORDS = ("false", "no", "off", "0")


def _about(help: str, group: str, *, at_least: float | None = None, below: float | None = None) -> dict[str, Any]:
    """What the command line and the check need to know of a setting; `below` is a limit that is not reached."""
    return {"help": help, "group": group, "at_least": at_least, "below": below}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Every setting of a run; "auto" is settled before training by `train.choose`, which says what it took and why.

    Raises:
        RunError: a value of the wrong kind or out of range; the message names the setting and its limits.
    """

    recipe: Literal["fast", "classic", "finetune"] = field(
        default="fast",
        metadata=_about(
            "what is taken where a setting is left at auto: fast, classic (AlexNet's) or finetune", "recipe"
        ),
    )

    data: str = field(default="", metadata=_about("what is trained on: a folder, a file, or digits", "images"))
    resize_mode: Literal["crop", "letterbox", "squash"] = field(
        default="crop", metadata=_about("how a picture of another shape is made to fit", "images")
    )
    validation_fraction: float | Auto = field(
        default=AUTO,
        metadata=_about(
            "share of the training images held back where there is no val folder; auto: a tenth, at most 2,000",
            "images",
            at_least=0,
            below=1,
        ),
    )
    test_fraction: float = field(
        default=0.1, metadata=_about("share of a single folder held back for the test", "images", at_least=0, below=1)
    )
    strict: bool = field(default=False, metadata=_about("stop at the first image that can't be read", "images"))

    model: str = field(
        default=AUTO,
        metadata=_about("network: a name that `convscope models` lists, or auto: by image size", "network"),
    )
    model_options: str = field(
        default="", metadata=_about("the network's own settings, like variant=notes,activation=relu", "network")
    )
    weights: str = field(
        default="",
        metadata=_about("start from a .safetensors or .pth file, or a run; what does not fit is listed", "network"),
    )
    freeze: str = field(
        default="",
        metadata=_about("parts that stay as they are: backbone (all but the last), or names: conv1,bn1", "network"),
    )
    image_size: str = field(
        default=AUTO, metadata=_about("pixels: 32 or 32x48 (height x width), or auto: the images' own", "network")
    )
    channels: int | Auto = field(
        default=AUTO, metadata=_about("1 (grey) or 3 (colour), or auto: as the images are", "network", at_least=1)
    )

    flip: bool | Auto = field(
        default=AUTO,
        metadata=_about("mirror half of the images; auto: colour images, never characters", "augmentation"),
    )
    flip_mode: Literal["auto", "random", "alternating"] = field(
        default=AUTO,
        metadata=_about(
            "random: a coin for each image and epoch; alternating: each in every other epoch; auto: by recipe",
            "augmentation",
        ),
    )
    crop_padding: int | Auto = field(
        default=AUTO,
        metadata=_about(
            "shift by up to so many pixels; auto: an eighth of the side in colour, a sixteenth in grey",
            "augmentation",
            at_least=0,
        ),
    )
    random_resized_crop: bool | Auto = field(
        default=AUTO,
        metadata=_about(
            "cut windows of random size and shape; auto: colour images of 96 pixels or more", "augmentation"
        ),
    )
    cutout: int = field(
        default=0, metadata=_about("side of a blanked square, in pixels; 0: none", "augmentation", at_least=0)
    )
    trivial_augment: bool = field(
        default=False,
        metadata=_about(
            "one random operation on each image: shear, turn, posterize, ... (TrivialAugment)", "augmentation"
        ),
    )
    color_jitter_pca: float | Auto = field(
        default=AUTO,
        metadata=_about(
            "standard deviation of AlexNet's shift along the images' own colours; 0: none; auto: by recipe",
            "augmentation",
            at_least=0,
        ),
    )
    mixup: float = field(
        default=0.0,
        metadata=_about("alpha of blending pairs of images and labels, like 0.2; 0: none", "augmentation", at_least=0),
    )
    cutmix: float = field(
        default=0.0,
        metadata=_about(
            "alpha of pasting a box of one image, and its share of the label, into another, like 1; 0: none",
            "augmentation",
            at_least=0,
        ),
    )

    average: float | Auto = field(
        default=AUTO,
        metadata=_about(
            "keep a moving average of the weights over so many epochs; 0: the weights themselves; auto: by recipe",
            "training",
            at_least=0,
        ),
    )
    resolution_start: float | Auto = field(
        default=AUTO,
        metadata=_about(
            "images grow from so large a part of their side; 1: all alike; auto: by recipe",
            "training",
            at_least=0.1,
        ),
    )
    resolution_share: float | Auto = field(
        default=AUTO,
        metadata=_about(
            "how long images grow, as a share of the steps; auto: by recipe", "training", at_least=0, below=1
        ),
    )
    test_views: Literal["auto", "one", "flip", "flip-shift", "ten-crop"] = field(
        default=AUTO,
        metadata=_about(
            "views of an image whose scores are averaged after training, and by evaluate and predict; auto: by recipe",
            "training",
        ),
    )
    epochs: int | Auto = field(
        default=AUTO, metadata=_about("passes over the training images; auto: by their number", "training", at_least=1)
    )
    batch_size: int | Auto = field(
        default=AUTO, metadata=_about("images per step; auto: by their number", "training", at_least=1)
    )
    optimizer: Literal["auto", "sgd", "adamw", "muon"] = field(
        default=AUTO,
        metadata=_about(
            "sgd (with Nesterov momentum), adamw, or muon on filters beside sgd; auto: by the network", "training"
        ),
    )
    learning_rate: float | Auto = field(
        default=AUTO,
        metadata=_about("the schedule's highest; auto: by optimizer and batch size", "training", at_least=0),
    )
    depth_decay: float | Auto = field(
        default=AUTO,
        metadata=_about(
            "each part of the network learns so many times as fast as the one after it; 1: all alike; auto: by recipe",
            "training",
            at_least=0,
        ),
    )
    momentum: float | Auto = field(
        default=AUTO, metadata=_about("what past steps count for; auto: by optimizer", "training", at_least=0, below=1)
    )
    weight_decay: float | Auto = field(
        default=AUTO,
        metadata=_about("on weights, never on biases and normalisation; auto: by recipe", "training", at_least=0),
    )
    schedule: Literal["auto", "one-cycle", "triangular", "cosine", "step", "plateau", "constant"] = field(
        default=AUTO,
        metadata=_about(
            "how the learning rate moves; plateau: a tenth when validation stops improving; auto: by recipe",
            "training",
        ),
    )
    warmup: float | Auto = field(
        default=AUTO,
        metadata=_about("share of the steps in which the rate rises; auto: by recipe", "training", at_least=0, below=1),
    )
    loss: Literal["auto", "softmax", "hinge", "logistic", "multi-label"] = field(
        default=AUTO,
        metadata=_about(
            "softmax (cross-entropy), hinge (SVM), logistic (one class against all others) or multi-label; "
            "auto: softmax, or multi-label where images have several labels",
            "training",
        ),
    )
    label_smoothing: float | Auto = field(
        default=AUTO,
        metadata=_about(
            "share of the target spread over all answers; auto: by recipe, with other losses than softmax 0",
            "training",
            at_least=0,
            below=1,
        ),
    )
    class_weights: str = field(
        default="none",
        metadata=_about(
            "how much a class counts: none, balanced (rare ones more), or by name: cat=2,dog=0.5", "training"
        ),
    )
    gradient_clip: float = field(
        default=0.0, metadata=_about("largest norm of the gradient; 0: no limit", "training", at_least=0)
    )
    patience: int = field(
        default=0,
        metadata=_about("stop after so many epochs without a better validation; 0: never", "training", at_least=0),
    )

    seed: int = field(
        default=0,
        metadata=_about(
            "decides the split, the weights, the order and the augmentation", "machine", at_least=0, below=2**63
        ),
    )
    split_seed: int | Auto = field(
        default=AUTO,
        metadata=_about(
            "decides which images are held back, so that runs of several seeds share them; auto: the seed",
            "machine",
            at_least=0,
            below=2**63,
        ),
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = field(
        default=AUTO, metadata=_about("auto: cuda where there is one, else cpu", "machine")
    )
    plan: Literal["auto", "measure", "rules", "fp32"] = field(
        default=AUTO,
        metadata=_about(
            "how what is auto below is found: auto: as measured before, or now where that pays; measure: anew; rules: "
            "without measuring; fp32: as auto, in fp32",
            "machine",
        ),
    )
    precision: Literal["auto", "fp32", "tf32", "bf16"] = field(
        default=AUTO,
        metadata=_about(
            "arithmetic of the training step; auto: the fastest whose loss is fp32's, as planned", "machine"
        ),
    )
    memory_format: Literal["auto", "channels-last", "contiguous"] = field(
        default=AUTO, metadata=_about("how pixels and weights lie in memory; auto: as planned", "machine")
    )
    compile: Literal["auto", "no", "yes", "graphs"] = field(
        default=AUTO,
        metadata=_about(
            "torch.compile, or with CUDA graphs; auto: on a GPU where the run is long enough to gain", "machine"
        ),
    )
    sync_batchnorm: bool = field(
        default=False,
        metadata=_about("several processes normalise over the whole batch, not each over its own share", "machine"),
    )
    threads: int | Auto = field(
        default=AUTO,
        metadata=_about(
            "CPU threads; auto: one for a small network, else as planned", "machine", at_least=1, below=1025
        ),
    )

    def __post_init__(self) -> None:
        for item in fields(self):
            object.__setattr__(self, item.name, _checked(item, getattr(self, item.name)))
        if self.image_size != AUTO:
            size = parse_size(self.image_size)
            object.__setattr__(self, "image_size", f"{size[0]}x{size[1]}")
        if self.channels not in (AUTO, 1, 3):
            raise RunError(f"channels is {self.channels}: images have 1 (grey) or 3 (colour), or auto")
        if self.learning_rate == 0:
            raise RunError("learning_rate is 0.0: nothing would be learned; give a positive rate, or auto")
        if self.held_back + self.test_fraction >= 1:
            raise RunError(
                f"validation_fraction {self.validation_fraction} and test_fraction {self.test_fraction} leave no image "
                "to train on: let their sum be below 1"
            )
        if self.resolution_start != AUTO and self.resolution_start > 1:
            raise RunError(f"resolution_start is {self.resolution_start}: images begin at most at their own size, 1")
        if self.plan == "fp32" and self.precision not in (AUTO, "fp32"):
            raise RunError(f"plan fp32 and precision {self.precision} contradict each other: leave one of them out")
        if self.loss == "hinge" and self.label_smoothing not in (AUTO, 0):
            raise RunError(
                f"label_smoothing {self.label_smoothing} with the hinge loss: a margin needs the one right class; "
                "take 0, or loss softmax"
            )
        if self.loss == "hinge" and (self.mixup or self.cutmix):
            raise RunError(
                "mixup and cutmix make soft labels, and the hinge loss needs the one right class: take softmax"
            )
        parse_options(self.model_options)
        parse_class_weights(self.class_weights)

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

    def to_dict(self) -> dict[str, Value]:
        """Every setting by name."""
        return {item.name: getattr(self, item.name) for item in fields(self)}

    def to_toml(self) -> str:
        """Every setting as TOML, with the line that explains it above it.

        >>> print(Recipe(epochs=3).to_toml().split("# passes")[1].splitlines()[1])
        epochs = 3
        """
        import tomli_w

        lines: list[str] = []
        group = ""
        for item in fields(self):
            if item.metadata["group"] != group:
                group = item.metadata["group"]
                lines += ["", f"# ---- {group} ----"]
            lines.append(f"# {item.metadata['help']}{_limits(item)}")
            lines.append(tomli_w.dumps({item.name: getattr(self, item.name)}).rstrip())
        return "\n".join(lines).lstrip() + "\n"

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Recipe:
        """A recipe from settings by name; what is left out has its default. Raises RunError for an unknown name."""
        known = names()
        for name in values:
            if name not in known:
                raise RunError(f"a recipe has no setting {name!r}.{did_you_mean(name, known)}")
        return cls(**values)

    @classmethod
    def from_toml(cls, text: str, *, where: str = "the recipe") -> Recipe:
        """A recipe from TOML; `where` names the file in errors."""
        try:
            return cls.from_dict(tomllib.loads(text))
        except tomllib.TOMLDecodeError as error:
            raise RunError(f"{where} is not TOML: {error}") from error
        except RunError as error:
            raise RunError(f"{where}: {error}") from error

    @classmethod
    def load(cls, path: Path) -> Recipe:
        """A recipe from a TOML file."""
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise RunError(f"the recipe {path} can't be read: {reason}") from error
        return cls.from_toml(text, where=str(path))

    def changed(self, settings: Mapping[str, Value]) -> Recipe:
        """The recipe with some settings replaced."""
        return self.from_dict({**self.to_dict(), **settings})


def plain(value: Plain | Auto) -> Plain:
    """The value of a setting that is no longer at auto.

    >>> plain(0.5)
    0.5
    """
    assert not isinstance(value, str), "the recipe is not settled yet"
    return value


def taken(value: Plain | Auto, otherwise: Plain) -> Plain:
    """The value of a setting, or what stands for auto.

    >>> taken("auto", 3), taken(5, 3)
    (3, 5)
    """
    return otherwise if isinstance(value, str) else value


def settings() -> Iterator[Field[Any]]:
    """The fields of a recipe, in order: name, default, and metadata `help`, `group`, `at_least`, `below`."""
    yield from fields(Recipe)


def names() -> tuple[str, ...]:
    """The settings' names."""
    return tuple(item.name for item in fields(Recipe))


def parse_setting(name: str, text: str) -> Value:
    """A setting's value from what was typed: "12", "auto", "yes"; raises RunError.

    >>> parse_setting("epochs", "12"), parse_setting("flip", "no"), parse_setting("learning_rate", "auto")
    (12, False, 'auto')
    """
    kinds = _kinds(name)
    if text == AUTO and AUTO in kinds.words:
        return text
    word = text.strip().lower()
    if kinds.type is bool and word in TRUE_WORDS + FALSE_WORDS:
        return word in TRUE_WORDS
    if kinds.type in (int, float):
        with suppress(ValueError):
            return int(word) if kinds.type is int else float(word)
    return text


def parse_size(text: str) -> tuple[int, int]:
    """(height, width) from "32" or "32x48"; raises RunError.

    >>> parse_size("32"), parse_size("32x48")
    ((32, 32), (32, 48))
    """
    parts = text.lower().replace("×", "x").split("x")
    if len(parts) > 2 or not all(part.strip().isdecimal() for part in parts):
        raise RunError(
            f"image_size {text!r} is not a size in pixels: write it like 32, or 32x48 (height x width), or auto"
        )
    height, width = int(parts[0]), int(parts[-1])
    if not (1 <= height <= LARGEST_SIDE and 1 <= width <= LARGEST_SIDE):
        raise RunError(f"image_size {text} has a side outside 1 to {LARGEST_SIDE} pixels")
    return height, width


def parse_options(text: str) -> dict[str, object]:
    """A network's own settings from "variant=notes,width=2"; raises RunError.

    >>> parse_options("variant=notes,width=2,bias=true")
    {'variant': 'notes', 'width': 2, 'bias': True}
    """
    options: dict[str, object] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, sign, value = (piece.strip() for piece in part.partition("="))
        if not (name and sign and value):
            raise RunError(f"model_options {text!r}: {part!r} is not NAME=VALUE")
        try:
            options[name] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            options[name] = value
    return options


@dataclass(frozen=True)
class _Kinds:
    """What a setting may be: one plain type, and words."""

    type: type[Any]
    words: tuple[str, ...]


def _kinds(name: str) -> _Kinds:
    hint = _HINTS[name]
    if get_origin(hint) is Literal:
        return _Kinds(str, get_args(hint))
    plain = [part for part in get_args(hint) if isinstance(part, type)] or [hint]
    words = [word for part in get_args(hint) if get_origin(part) is Literal for word in get_args(part)]
    return _Kinds(plain[0], tuple(words))


def choices(name: str) -> tuple[str, ...]:
    """The words that a setting is limited to; empty where it is a number, a switch or free text."""
    kinds = _kinds(name)
    return kinds.words if kinds.type is str else ()


def placeholder(name: str) -> str:
    """What `--help` shows in the place of the value: INTEGER|auto, yes|no, crop|letterbox|squash."""
    kinds = _kinds(name)
    plain = {bool: "yes|no", int: "INTEGER", float: "NUMBER", str: "" if kinds.words else "TEXT"}[kinds.type]
    return "|".join(filter(None, [plain, *kinds.words]))


def _checked(item: Field[Any], value: object) -> Value:
    kinds = _kinds(item.name)
    if isinstance(value, str) and value in kinds.words:
        return value
    needed = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}[kinds.type]
    if kinds.words and kinds.type is str:
        raise RunError(
            f"{item.name} is {value!r}: it is one of {', '.join(kinds.words)}.{did_you_mean(str(value), kinds.words)}"
        )
    or_auto = ", or auto" if AUTO in kinds.words else ""
    if kinds.type is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not kinds.type:
        raise RunError(f"{item.name} is {value!r}: it must be {needed}{or_auto}")
    assert isinstance(value, (bool, int, float, str))
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        low, high = item.metadata["at_least"], item.metadata["below"]
        if isinstance(value, float) and not math.isfinite(value):
            raise RunError(f"{item.name} is {value}: it must be a finite number{or_auto}")
        if low is not None and value < low:
            raise RunError(f"{item.name} is {value}: it must be at least {low}{or_auto}")
        if high is not None and value >= high:
            raise RunError(f"{item.name} is {value}: it must be below {high}{or_auto}")
    return value


def _limits(item: Field[Any]) -> str:
    words = choices(item.name)
    return f" ({' | '.join(words)})" if words else ""


_HINTS = get_type_hints(Recipe)
assert all(item.default is not MISSING for item in fields(Recipe)), "every setting has a default"
