"""A recipe: every setting of a training run, with its default, its limits and one line of help.

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
from dataclasses import MISSING, Field, dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, get_type_hints

from convscope.api.annotations import SEEDS, described
from convscope.data.layout import Layout
from convscope.data.preprocessing import Normalization
from convscope.data.records import MEGAPIXELS, MOST_MEGAPIXELS
from convscope.data.source_options import SourceOptions
from convscope.data.value_range import ValueRange
from convscope.errors import DataError, RunError, did_you_mean
from convscope.recipe.class_weights import parse_class_weights
from convscope.recipe.setting import (
    AUTO,
    Auto,
    Kinds,
    SettingValue,
    checked,
    parse_options,
    parse_size,
    setting,
    settings_table,
)
from convscope.report.documented import Documented
from convscope.report.usage import settings_text

if TYPE_CHECKING:
    from convscope.report.document import Document
    from convscope.report.table import Table

# Of one command: a week. A longer training is resumed.
MOST_MINUTES = 7 * 24 * 60
# Beyond these a setting has no further effect, or float32, which ends at 3e38, does not hold what is computed with it.
LARGEST_DECAY, LARGEST_LAYER_FACTOR, LARGEST_LIGHTING = 1e30, 100, 1000
LARGEST_PENALTY = LARGEST_ALPHA = 1_000_000


@dataclass(frozen=True, kw_only=True, repr=False)
class Recipe(Documented):
    """Every setting of a run; "auto" is resolved by `training.resolve`, from images, network and machine.

    Raises:
        RunError: a value of the wrong kind or out of range; the message names the setting and its limits.

    >>> recipe = Recipe(model="lenet5", epochs=3).changed({"batch_size": 64})
    >>> recipe.epochs, recipe.batch_size, recipe.learning_rate
    (3, 64, 'auto')
    """

    preset: Literal["fast", "classic", "finetune", "probe"] = setting(
        "fast", "defaults for what is left at auto: fast, classic (AlexNet's), finetune or probe", "recipe"
    )

    data: str = setting("", "what is trained on: a folder, a file, or digits", "images")
    layout: str = setting(
        AUTO,
        "what the folders of data are: splits (train/CLASS), classes (CLASS), class-first (CLASS/train), groups "
        "(ANY/CLASS, read together), folders by name (train=FOLDER,test=FOLDER), none (no class folders), or auto",
        "images",
    )
    image_column: str = setting(
        "", "a table's column of images, by name or by number from 1; none: the one that names files", "images"
    )
    image_folder: str = setting(
        "", "the folder that a table's names of images begin at; none: beside the table", "images", advanced=True
    )
    image_ending: str = setting("", "what is added to a table's names of images, like .jpg; none: found", "images")
    label_column: str = setting(
        "", "a table's column of labels, or several: cat,dog; none: the only one that fits", "images"
    )
    label_separator: str = setting(
        "",
        "what separates several labels in a table's cell: bar, semicolon, comma or blank; none: a cell is one class",
        "images",
        advanced=True,
    )
    group_column: str = setting(
        "", "a table's column of groups, like patient_id: no split parts the images of one", "images"
    )
    group_by: str = setting(
        "",
        "the part of files' names that is their group: {group}_* (up to the first _), {group}/* (a folder): no split "
        "parts the images of one",
        "images",
    )
    resize_mode: Literal["crop", "letterbox", "squash"] = setting(
        "crop", "how a picture of another shape is made to fit", "images"
    )
    value_range: str = setting(
        AUTO,
        "which values of 16-bit and floating-point images are black and white: LOW:HIGH (7000:9000), minmax or "
        "percentile of each image, or auto: 0 and 65,535; of arrays 0 and 1",
        "images",
    )
    normalization: Literal["auto", "imagenet", "data", "given"] = setting(
        AUTO,
        "mean and standard deviation of the pixels: ImageNet's, the training images' (data), or mean and std; auto: "
        "what published weights expect where training starts from them, else data",
        "images",
    )
    mean: str = setting("", "the mean of each channel, where 255 is 1: 0.485,0.456,0.406, or one for all", "images")
    std: str = setting("", "the standard deviation of each channel: 0.229,0.224,0.225, or one for all", "images")
    max_megapixels: int = setting(
        MEGAPIXELS,
        "the largest image that is read; decoding one takes some 16 MB a megapixel",
        "images",
        at_least=1,
        at_most=MOST_MEGAPIXELS,
        advanced=True,
    )
    validation_fraction: float | Auto = setting(
        AUTO,
        "share of the training images held back where there is no val folder; auto: a tenth, at most 2,000",
        "images",
        at_least=0,
        below=1,
    )
    train_images: int = setting(
        0,
        "train on at most this number of images, those held back for validation among them; each class keeps the "
        "same share, drawn by the seed of the split; 0: all",
        "images",
        at_least=0,
    )
    test_fraction: float = setting(
        0.1, "share of a single folder held back for the test", "images", at_least=0, below=1
    )
    stream: Literal["auto", "no", "yes"] = setting(
        AUTO,
        "decode training images anew in each epoch and keep none of them; auto: where they do not fit the cache",
        "images",
    )
    good_class: str = setting(
        "",
        "the class of good images, every other one being a defect: missed defects and false alarms are measured, and "
        "predict gives a verdict",
        "images",
    )
    miss_rate: float = setting(
        0.0,
        "the share of defects that may be missed, like 0.01: the threshold for it is chosen on the validation images; "
        "0: none is wanted",
        "images",
        at_least=0,
        below=1,
    )
    strict: bool = setting(False, "stop at the first image that can't be read", "images")
    verify: bool = setting(
        False, "read every file of decoded images again, and decode anew where one has changed", "images"
    )

    model: str = setting(
        AUTO,
        "network: a name that `convscope models` lists, your own file.py:factory, or auto: by image size",
        "network",
    )
    model_options: str = setting("", "the network's own settings, like variant=notes,activation=relu", "network")
    weights: str = setting(
        "", "start from a .safetensors or .pth file, or a run; what does not fit is listed", "network"
    )
    freeze: str = setting(
        "", "parts that stay as they are: backbone (all but the last), or names: conv1,bn1", "network"
    )
    head: Literal["auto", "train", "solve"] = setting(
        AUTO,
        "solve: compute the features of the given weights once, fit the last layer to them, and train from there; "
        "train: initialise it at random; auto: solve where all else is frozen and no epochs are asked for",
        "network",
    )
    head_views: Literal["one", "flip", "flip-shift", "ten-crop"] = setting(
        "one", "views of each training image that a head is solved with, each one pass of the network", "network"
    )
    head_l2: float = setting(
        0.0,
        "L2 penalty of a solved head, on features of deviation 1; 0: chosen on the validation images, or by "
        "cross-validation where there are few",
        "network",
        at_least=0,
        at_most=LARGEST_PENALTY,
        advanced=True,
    )
    neighbors: int = setting(
        0,
        "beside solving a head, measure k-nearest-neighbour classification by features with this k; 0: not",
        "network",
        at_least=0,
        advanced=True,
    )
    image_size: str = setting(AUTO, "pixels: 32 or 32x48 (height x width), or auto: the images' own", "network")
    channels: int | Auto = setting(
        AUTO, "1 (grey) or 3 (colour), or auto: as the images are", "network", at_least=1, advanced=True
    )

    flip: bool | Auto = setting(
        AUTO, "horizontal flip; auto: for colour images whose labels a mirror does not change", "augmentation"
    )
    flip_mode: Literal["auto", "random", "alternating"] = setting(
        AUTO,
        "random: with probability 1/2; alternating: each image in every other epoch; auto: by preset",
        "augmentation",
        advanced=True,
    )
    random_crop_padding: int | Auto = setting(
        AUTO,
        "random crop with this padding, in pixels; auto: an eighth of the side in colour, a sixteenth in grey",
        "augmentation",
        at_least=0,
    )
    random_resized_crop: bool | Auto = setting(
        AUTO, "random resized crop; auto: for colour images of 96 pixels or more", "augmentation"
    )
    cutout: int = setting(0, "side of the masked square, in pixels; 0: none", "augmentation", at_least=0)
    trivial_augment: bool = setting(False, "TrivialAugment: one random operation on each image", "augmentation")
    pca_lighting: float | Auto = setting(
        AUTO,
        "standard deviation of AlexNet's PCA lighting; 0: none; auto: by preset",
        "augmentation",
        at_least=0,
        at_most=LARGEST_LIGHTING,
        advanced=True,
    )
    mixup: float = setting(0.0, "mixup's alpha, like 0.2; 0: none", "augmentation", at_least=0, at_most=LARGEST_ALPHA)
    cutmix: float = setting(0.0, "CutMix's alpha, like 1; 0: none", "augmentation", at_least=0, at_most=LARGEST_ALPHA)

    ema_epochs: float | Auto = setting(
        AUTO,
        "exponential moving average of the weights over this many epochs; 0: none; auto: by preset",
        "training",
        at_least=0,
    )
    progressive_resize_start: float | Auto = setting(
        AUTO,
        "progressive resizing: the first images' side as a share of the full one; 1: off; auto: by preset",
        "training",
        at_least=0.1,
        advanced=True,
    )
    progressive_resize_share: float | Auto = setting(
        AUTO,
        "progressive resizing: share of the steps with smaller images; auto: by preset",
        "training",
        at_least=0,
        below=1,
        advanced=True,
    )
    tta: Literal["auto", "one", "flip", "flip-shift", "ten-crop"] = setting(
        AUTO,
        "test-time augmentation, by evaluate and predict as well: views whose scores are averaged; auto: by preset",
        "training",
    )
    calibrate: bool = setting(
        True, "divide scores by a temperature fitted on validation images, so that confidence is accuracy", "training"
    )
    minutes: float | Auto = setting(
        AUTO,
        "time budget of the whole command, from decoding to the report: as many steps as fit; 0: no budget; auto: 10 "
        "where epochs and steps are at auto too, else 0",
        "training",
        at_least=0,
        at_most=MOST_MINUTES,
    )
    epochs: int | Auto = setting(
        AUTO,
        "passes over the training images; auto: by the number of images; 0: none after a solved head",
        "training",
        at_least=0,
    )
    steps: int | Auto = setting(
        AUTO,
        "optimizer steps in all, the last epoch perhaps cut short; auto: those of the epochs",
        "training",
        at_least=1,
    )
    batch_size: int | Auto = setting(AUTO, "batch size; auto: by the number of images", "training", at_least=1)
    optimizer: Literal["auto", "sgd", "adamw", "muon"] = setting(
        AUTO, "sgd (with Nesterov momentum), adamw, or muon on filters beside sgd; auto: by the network", "training"
    )
    learning_rate: float | Auto = setting(
        AUTO, "peak learning rate; auto: by optimizer and batch size", "training", at_least=0
    )
    layer_lr_decay: float | Auto = setting(
        AUTO,
        "layer-wise learning-rate decay: factor from a layer group to the one before; 1: off; auto: by preset",
        "training",
        at_least=0,
        at_most=LARGEST_LAYER_FACTOR,
    )
    momentum: float | Auto = setting(
        AUTO, "momentum, or AdamW's beta 1; auto: by optimizer", "training", at_least=0, below=1
    )
    weight_decay: float | Auto = setting(
        AUTO,
        "weight decay, on weights but not on biases and normalisation; auto: by preset",
        "training",
        at_least=0,
        at_most=LARGEST_DECAY,
    )
    schedule: Literal["auto", "one-cycle", "triangular", "cosine", "step", "plateau", "constant"] = setting(
        AUTO, "learning-rate schedule; plateau: a tenth when validation stops improving; auto: by preset", "training"
    )
    warmup: float | Auto = setting(
        AUTO, "share of the steps with a rising learning rate; auto: by preset", "training", at_least=0, below=1
    )
    loss: Literal["auto", "softmax", "hinge", "logistic", "multi-label"] = setting(
        AUTO,
        "softmax (cross-entropy), hinge (SVM), logistic (one class against all others) or multi-label; "
        "auto: softmax, or multi-label where images have several labels",
        "training",
    )
    label_smoothing: float | Auto = setting(
        AUTO, "label smoothing; auto: by preset, and 0 with other losses than softmax", "training", at_least=0, below=1
    )
    class_weights: str = setting(
        "none", "class weights in the loss: none, balanced (inverse frequency), or by name: cat=2,dog=0.5", "training"
    )
    gradient_clip: float = setting(0.0, "gradient clipping: largest norm; 0: off", "training", at_least=0)
    patience: int | Auto = setting(
        AUTO, "early stopping: epochs without a better validation accuracy; 0: off; auto: 0", "training", at_least=0
    )

    seed: int = setting(
        0,
        "random seed of the split, the initial weights, the order and the augmentation",
        "machine",
        at_least=0,
        below=SEEDS,
    )
    split_seed: int | Auto = setting(
        AUTO,
        "seed of the split alone, so that runs of several seeds share it; auto: the seed",
        "machine",
        at_least=0,
        below=SEEDS,
        advanced=True,
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = setting(AUTO, "auto: cuda where there is one, else cpu", "machine")
    autotune: Literal["auto", "measure", "rules", "fp32"] = setting(
        AUTO,
        "how precision, memory_format, compile and threads at auto are chosen: auto: as measured before, or now where "
        "that pays; measure: anew; rules: without measuring; fp32: as auto, in fp32",
        "machine",
    )
    precision: Literal["auto", "fp32", "tf32", "bf16"] = setting(
        AUTO,
        "arithmetic of the training step; auto: the fastest whose loss is fp32's, by autotune",
        "machine",
        advanced=True,
    )
    memory_format: Literal["auto", "channels-last", "contiguous"] = setting(
        AUTO, "memory format of images and weights; auto: by autotune", "machine", advanced=True
    )
    compile: Literal["auto", "no", "yes", "graphs"] = setting(
        AUTO,
        "torch.compile, or with CUDA graphs; auto: on a GPU where the run is long enough to gain",
        "machine",
        advanced=True,
    )
    sync_batchnorm: bool = setting(
        False, "several processes normalise over the whole batch, not each over its own share", "machine"
    )
    threads: int | Auto = setting(
        AUTO, "CPU threads; auto: one for a small network, else by autotune", "machine", at_least=1, below=1025
    )

    if not TYPE_CHECKING:

        def __new__(cls, *given: object, **settings: object) -> Recipe:
            """Refuse what is no setting by its nearest name, before `__init__` does without one."""
            if given:
                raise RunError(f'{described(given[0])}: settings have names, such as Recipe(model="lenet5", epochs=3)')
            _require_known(settings)
            return super().__new__(cls)

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
                f"{settings_text(freeze='backbone')}"
            )
        if self.progressive_resize_start != AUTO and self.progressive_resize_start > 1:
            raise RunError(
                f"progressive_resize_start is {self.progressive_resize_start}: it is a share of the side, at most 1"
            )
        try:
            object.__setattr__(self, "layout", str(Layout.parse(self.layout)))
            if self.mean and self.std:
                Normalization.parse(self.mean, self.std)
            object.__setattr__(self, "image_ending", self.source_options.image_ending)
            object.__setattr__(self, "value_range", str(ValueRange.parse(self.value_range)))
        except DataError as error:
            raise RunError(str(error)) from error
        parse_options(self.model_options)
        parse_class_weights(self.class_weights)
        self._refuse_contradictions()

    @classmethod
    def from_preset(cls, name: str) -> Recipe:
        """Return the recipe of a preset: fast, classic, finetune or probe; raise RunError for another.

        >>> Recipe.from_preset("classic").preset
        'classic'
        """
        return cls.from_dict({"preset": name})

    @property
    def source_options(self) -> SourceOptions:
        """Return the columns of a table and the groups of images."""
        return SourceOptions(**{item.name: getattr(self, item.name) for item in fields(SourceOptions)})

    @property
    def seed_of_split(self) -> int:
        """Return the seed that decides which images are held back."""
        return self.seed if isinstance(self.split_seed, str) else self.split_seed

    @property
    def held_back(self) -> float:
        """Return the share of the training images for validation; 0 at auto, before the images are counted."""
        return 0.0 if isinstance(self.validation_fraction, str) else self.validation_fraction

    @property
    def left_open(self) -> frozenset[str]:
        """Return the names of the settings at auto."""
        return frozenset(name for name, value in self.to_dict().items() if value == AUTO)

    @property
    def given(self) -> dict[str, SettingValue]:
        """The settings that differ from their defaults, by name."""
        return {item.name: value for item in fields(self) if (value := getattr(self, item.name)) != item.default}

    def headline(self) -> str:
        """Return the settings that differ from their defaults."""
        return ", ".join(f"{name} {value}" for name, value in self.given.items()) or "every setting at its default"

    def document(self) -> Document:
        """Return what is shown: the settings that differ from their defaults, and on a page all of them."""
        from convscope.report.document import Details, Document, Paragraph

        given = self.table(only_given=True) if self.given else Paragraph("Every setting is at its default.")
        return Document("Recipe", (given, Details("Every setting", (self.table(),))))

    def table(self, *, only_given: bool = False) -> Table:
        """Return a row for each setting, or for each that differs from its default: name, value, what it does."""
        return settings_table(fields(self), self.given if only_given else self.to_dict())

    def to_dict(self) -> dict[str, SettingValue]:
        """Return every setting by name.

        Keys: the names of the settings, as `convscope.recipe.recipe.names()` returns them.
        """
        return {item.name: getattr(self, item.name) for item in fields(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Recipe:
        """Return the recipe of settings by name; what is left out has its default.

        Raises:
            RunError: an unknown name; the message has the nearest one.
        """
        _require_known(values)
        return cls(**values)

    def changed(self, settings: Mapping[str, SettingValue]) -> Recipe:
        """Return the recipe with some settings replaced."""
        return self.from_dict({**self.to_dict(), **settings})

    def filled(self, settings: Mapping[str, SettingValue]) -> Recipe:
        """Return the recipe with values for settings that are at auto; those that were given stay.

        >>> Recipe(epochs=3).filled({"epochs": 10, "batch_size": 64}).epochs
        3
        """
        return self.changed({name: settings[name] for name in settings.keys() & self.left_open})

    def _refuse_contradictions(self) -> None:
        """Raise RunError if settings contradict each other; the message says which to change."""
        if self.minutes not in (AUTO, 0):
            for name in ("epochs", "steps"):
                if (value := getattr(self, name)) != AUTO:
                    both = f"minutes {self.minutes:g} and {name} {value:,}"
                    raise RunError(f"{both} contradict each other: leave one of them at auto")
        if self.held_back + self.test_fraction >= 1:
            raise RunError(
                f"validation_fraction {self.validation_fraction} and test_fraction {self.test_fraction} leave no image "
                "to train on: let their sum be below 1"
            )
        if self.miss_rate and not self.good_class:
            named = settings_text(good_class="good")
            raise RunError(f"miss_rate {self.miss_rate:g}: say which class is not a defect, {named}")
        if bool(self.mean) != bool(self.std):
            raise RunError(f"{'mean' if self.mean else 'std'} is given alone: give mean and std")
        if self.mean and self.normalization not in (AUTO, "given"):
            raise RunError(
                f"normalization {self.normalization} and a mean contradict each other: leave one of them out"
            )
        if self.normalization == "given" and not self.mean:
            raise RunError("normalization given: give mean and std")
        if self.autotune == "fp32" and self.precision not in (AUTO, "fp32"):
            raise RunError(f"autotune fp32 and precision {self.precision} contradict each other: leave one of them out")
        if self.loss == "hinge" and self.label_smoothing not in (AUTO, 0):
            raise RunError(
                f"label_smoothing {self.label_smoothing} with the hinge loss: a margin needs the one right class; "
                "take 0, or loss softmax"
            )
        if self.loss == "hinge" and (self.mixup or self.cutmix):
            raise RunError(
                "mixup and cutmix make soft labels, and the hinge loss needs the one right class: take softmax"
            )


def _require_known(values: Mapping[str, Any]) -> None:
    known = names()
    for name in values:
        if name not in known:
            raise RunError(f"a recipe has no setting {name!r}.{did_you_mean(str(name), known)}")


def settings() -> Iterator[Field[Any]]:
    """Yield the fields of a recipe, in order: name, default, and the metadata of `setting`."""
    yield from fields(Recipe)


def names() -> tuple[str, ...]:
    """Return the settings' names."""
    return tuple(item.name for item in fields(Recipe))


def kinds(name: str) -> Kinds:
    """Return what the values of a setting may be."""
    return _KINDS[name]


def choices(name: str) -> tuple[str, ...]:
    """Return the words that a setting is limited to; empty where it is a number, a switch or free text."""
    return _KINDS[name].choices


def placeholder(name: str) -> str:
    """Return what `--help` shows for the value: INTEGER|auto, yes|no, crop|letterbox|squash."""
    return _KINDS[name].placeholder


def parse_setting(name: str, text: str) -> SettingValue:
    """Return the value of a setting's text: "12", "auto", "yes"; what is none stays text, and no recipe takes it.

    >>> parse_setting("epochs", "12"), parse_setting("flip", "no"), parse_setting("learning_rate", "auto")
    (12, False, 'auto')
    """
    return _KINDS[name].read(text)


_KINDS = {name: Kinds.of(hint) for name, hint in get_type_hints(Recipe).items()}
assert all(item.default is not MISSING for item in fields(Recipe)), "every setting has a default"
