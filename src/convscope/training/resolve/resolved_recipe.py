"""A recipe with nothing left at "auto": what the loop reads, and the record of what was chosen and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from typing import Any, Generic, Literal, TypeVar, cast

from convscope.data.augment import Augmentation
from convscope.data.augmentation.mixing import Mixing
from convscope.data.preprocessing import Normalization
from convscope.data.records import Decoding
from convscope.hardware.mode import Compile, ComputeMode, MemoryFormat, Precision
from convscope.nets.build import Architecture
from convscope.nets.own_code import without_folders
from convscope.recipe.recipe import Recipe
from convscope.recipe.setting import AUTO, Auto, SettingValue, parse_size, plain
from convscope.report.document import Block, Details, Document, Paragraph
from convscope.report.documented import Documented
from convscope.report.json_values import json_dict
from convscope.report.short_repr import short_path
from convscope.report.table import Column, Table
from convscope.report.units import plural
from convscope.runs.events import Level
from convscope.training.start import architecture_of, starts_trained
from convscope.training.timing.step_plan import StepPlan

T = TypeVar("T")
Chosen = TypeVar("Chosen", bound=SettingValue)
Topic = Literal["", "auto", "data", "forecast", "memory", "network", "plan"]


@dataclass(frozen=True)
class Choice(Generic[Chosen]):
    """The value of a setting, and the reason where it was left at auto; `shown` names both in the text.

    Without a reason and a text of its own it is not shown. `notices` say what became of something that was asked for.
    """

    setting: str
    value: Chosen
    reason: str = ""
    shown: str = ""
    notices: tuple[str, ...] = ()

    @classmethod
    def of(cls, setting: str, asked: Chosen | Auto, usual: Chosen, reason: str) -> Choice[Chosen]:
        """Return what was asked for, or the usual value with its reason in the place of auto.

        >>> Choice.of("epochs", 3, 10, "by preset"), Choice.of("epochs", "auto", 10, "by preset").text
        (Choice(setting='epochs', value=3, reason='', shown='', notices=()), 'epochs 10: by preset')
        """
        return cls(setting, usual, reason) if asked == AUTO else cls(setting, asked)

    @property
    def text(self) -> str:
        """The choice as a line.

        >>> Choice("batch_size", 64, "for about 5,000 training images").text
        'batch size 64: for about 5,000 training images'
        """
        return f"{self.what}: {self.reason}" if self.reason else self.what

    @property
    def what(self) -> str:
        """The setting and its value."""
        return self.shown or f"{self.setting.replace('_', ' ')} {self.value}"


@dataclass(frozen=True, kw_only=True)
class Notice:
    """A message for the user before the training starts, and its topic."""

    message: str
    topic: Topic = ""
    level: Level = "info"

    @property
    def text(self) -> str:
        """The notice as a line."""
        return f"{self.topic}: {self.message}" if self.topic else self.message


def choice_lines(choices: Iterable[Choice[Any]]) -> tuple[str, ...]:
    """Return a line for each reason; neighbours that share one share its line.

    >>> reason = "for about 5,000 training images"
    >>> choice_lines([Choice(name, 64, reason) for name in ("epochs", "batch_size")])
    ('epochs 64, batch size 64: for about 5,000 training images',)
    """
    grouped = [list(group) for _, group in groupby(choices, key=lambda choice: choice.reason)]
    return tuple(replace(group[0], shown=", ".join(choice.what for choice in group)).text for group in grouped)


def decoding_of(recipe: Recipe) -> Decoding:
    """Return how images are decoded by a recipe whose size and channels are not at auto."""
    return Decoding(
        size=parse_size(recipe.image_size),
        channels=plain(recipe.channels),
        resize_mode=recipe.resize_mode,
        value_range=recipe.value_range,
        max_megapixels=recipe.max_megapixels,
    )


class _Setting(Generic[T]):
    """Reads a setting of `recipe` by its own name, as the type that it has once it is not "auto"."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, resolved: Any, owner: type | None = None) -> T:
        return cast(T, getattr(resolved.recipe, self._name))


@dataclass(frozen=True, kw_only=True, repr=False)
class ResolvedRecipe(Documented):
    """A recipe with no setting at "auto", which the loop reads as it is.

    Each setting is stored once, in `recipe`; what the loop reads of it has its plain type here, and `decoding`,
    `augmentation` and `mode` are made of several.

    Args:
        recipe: every setting.
        classes: how many the data has.
        parameters: of the network, frozen ones included.
        choices: what became of the settings that were at auto.
        notices: what became of something that the user asked for.

    Raises:
        AssertionError: a setting is still at auto.
    """

    recipe: Recipe
    classes: int
    parameters: int
    choices: tuple[Choice[Any], ...] = ()
    notices: tuple[Notice, ...] = ()

    epochs = _Setting[int]()
    batch_size = _Setting[int]()
    optimizer = _Setting[str]()
    learning_rate = _Setting[float]()
    layer_lr_decay = _Setting[float]()
    momentum = _Setting[float]()
    weight_decay = _Setting[float]()
    schedule = _Setting[str]()
    warmup = _Setting[float]()
    gradient_clip = _Setting[float]()
    patience = _Setting[int]()
    ema_epochs = _Setting[float]()
    progressive_resize_start = _Setting[float]()
    progressive_resize_share = _Setting[float]()
    tta = _Setting[str]()
    model = _Setting[str]()
    loss = _Setting[str]()
    label_smoothing = _Setting[float]()
    seed = _Setting[int]()
    device = _Setting[str]()
    head = _Setting[str]()
    head_views = _Setting[str]()
    head_l2 = _Setting[float]()
    neighbors = _Setting[int]()

    def __post_init__(self) -> None:
        left = self.recipe.left_open - {"layout", "value_range", "steps"}
        assert not left, f"{', '.join(sorted(left))} left at auto"

    def headline(self) -> str:
        """Return the network, the data and the size of the training."""
        return (
            f"{without_folders(self.model)} on {short_path(self.recipe.data)}: {plural(self.epochs, 'epoch')}, "
            f"batch size {self.batch_size}, {self.optimizer}, learning rate {self.learning_rate:g}"
        )

    def document(self) -> Document:
        """Return what is shown: the choices with their reasons, and on a page every setting."""
        columns = [Column("setting"), Column("value"), Column("why")]
        rows = [(choice.setting, str(choice.value), choice.reason) for choice in self.choices]
        blocks: list[Block] = [Table.of(columns, rows), *(Paragraph(notice.text) for notice in self.notices)]
        blocks.append(Details("Every setting", (self.recipe.table(),)))
        return Document(self.headline(), tuple(blocks))

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe as JSON's types.

        Keys:
            recipe: every setting by name.
            classes: how many the data has.
            parameters: of the network.
            choices: setting, value and reason of each that was at auto.
            notices: messages on what was asked for.
        """
        return json_dict(
            {
                "recipe": self.recipe.to_dict(),
                "classes": self.classes,
                "parameters": self.parameters,
                "choices": [{"setting": c.setting, "value": c.value, "reason": c.reason} for c in self.choices],
                "notices": [notice.text for notice in self.notices],
            }
        )

    @property
    def decoding(self) -> Decoding:
        """The size, channels and resizing of every image."""
        return decoding_of(self.recipe)

    @property
    def normalization(self) -> Normalization | None:
        """The mean and standard deviation of each channel; None where they are measured on the training images."""
        recipe, channels = self.recipe, self.decoding.channels
        if recipe.normalization == "data":
            return None
        if recipe.normalization == "imagenet":
            return Normalization.default(3).averaged(channels)
        return Normalization.parse(recipe.mean, recipe.std).of_channels(channels)

    @property
    def architecture(self) -> Architecture:
        """The network without its weights."""
        recipe = self.recipe
        return architecture_of(
            recipe.model,
            recipe.model_options,
            classes=self.classes,
            decoding=self.decoding,
            freeze=recipe.freeze,
        )

    @property
    def starts_trained(self) -> bool:
        """Whether training starts from weights that were trained before."""
        return starts_trained(self.recipe.model, self.recipe.model_options, self.recipe.weights)

    @property
    def augmentation(self) -> Augmentation:
        """What is done to training images, before it is fitted to them."""
        recipe = self.recipe
        return Augmentation(
            flip=bool(recipe.flip),
            flip_mode="alternating" if recipe.flip_mode == "alternating" else "random",
            random_crop_padding=int(recipe.random_crop_padding),
            random_resized_crop=bool(recipe.random_resized_crop),
            cutout=recipe.cutout,
            trivial_augment=recipe.trivial_augment,
            pca_lighting=float(recipe.pca_lighting),
            mixing=Mixing(mixup=recipe.mixup, cutmix=recipe.cutmix, classes=self.classes),
        )

    @property
    def mode(self) -> ComputeMode:
        """How a training step is computed."""
        recipe = self.recipe
        return ComputeMode(
            precision=cast(Precision, recipe.precision),
            memory_format=cast(MemoryFormat, recipe.memory_format),
            compile=cast(Compile, recipe.compile),
            threads=int(recipe.threads),
        )

    @property
    def features_mode(self) -> ComputeMode:
        """How the features of a solved head are computed.

        Exactly, as all is at the end, unless features are all there is and another arithmetic was asked for.
        """
        mode = self.mode
        return replace(mode, compile="no", precision="fp32" if self.epochs else mode.precision)

    def changed(self, **settings: SettingValue) -> ResolvedRecipe:
        """Return the recipe with some settings replaced by other values, none of them auto."""
        return replace(self, recipe=self.recipe.changed(settings))

    def planned(self, plan: StepPlan, reason: str) -> ResolvedRecipe:
        """Return the recipe with the steps of a plan and the reason for their number; whole epochs need no steps."""
        whole = plan.steps == plan.epochs * plan.epoch_steps
        choice: Choice[Any] = Choice("steps", plan.steps, reason, shown=f"steps {plan.steps:,}")
        if whole:
            choice = Choice("epochs", plan.epochs, reason)
        choices = tuple(other for other in self.choices if other.setting != "epochs")
        changed = self.changed(epochs=plan.epochs, steps=AUTO if whole else plan.steps)
        return replace(changed, choices=(choice, *choices))

    def introduction(self, *, processes: int) -> Iterator[Notice]:
        """Yield the network, with a loss other than softmax; what became of what was asked for; what was chosen."""
        together = f"{processes} processes, each " if processes > 1 else ""
        weights = f"{without_folders(self.model)}, {self.parameters:,} weights"
        # One that follows from the labels is named with its reason, among the choices.
        named = self.loss == "softmax" or any(choice.setting == "loss" for choice in self.choices)
        loss = "" if named else f"{self.loss} loss, "
        yield Notice(topic="network", message=f"{weights}, {loss}{together}on {self.device}, {self.mode}")
        yield from self.notices
        yield from (Notice(topic="auto", message=line) for line in choice_lines(self.choices))

    def in_mode(self, mode: ComputeMode) -> ResolvedRecipe:
        """Return the recipe in another mode of computing a step, which nothing chose by rules."""
        choices = tuple(choice for choice in self.choices if choice.setting != "precision")
        return replace(self.changed(**asdict(mode)), choices=choices)
