"""model.json: which network a run is, of which classes, and how an image is prepared for it. The one parser of it.

The file may be a stranger's. So every field is checked, and what it builds is a network of the catalogue or of timm,
whose weights lie beside it: nothing is fetched, and no code or file is reached by a name that stands in it. A network
of the user's own code is built where the user names the code, and not else. Reading the file imports no torch; building
the network does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convscope.arrays import Floats
from convscope.data.preprocessing import Normalization, Preprocessing
from convscope.data.records import Decoding, ImageSet
from convscope.errors import RunError
from convscope.files.checked import read_json
from convscope.files.fields import Fields, in_short
from convscope.files.regular import UnreadableError, refused_as
from convscope.nets import catalogue
from convscope.nets.entry import TIMM
from convscope.nets.own_code import is_kept_name
from convscope.nets.source_file import SourceFile
from convscope.recipe.recipe import choices
from convscope.recipe.setting import AUTO
from convscope.report.short_repr import ShortRepr
from convscope.scoring.defect_rule import DefectRule

if TYPE_CHECKING:
    from torch import nn

    from convscope.scoring.objective import Objective

NAME = "model.json"
FORMAT = 2
LARGEST = 8_000_000  # bytes: a hundred thousand class names
MOST_MEMBERS = 1_000
MOST_TEMPERATURE = 1_000.0  # any more, or its inverse, is no fit of ours
MULTI_LABEL = "multi-label"
_TIMM_NAME = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)?")
# With these options timm fetches weights, or reads them from a path.
FETCHING = frozenset(
    {"cache_dir", "checkpoint_path", "file", "hf_hub_filename", "hf_hub_id", "model_dir", "pretrained",
     "pretrained_cfg", "pretrained_cfg_overlay", "pretrained_strict", "state_dict", "url"}
)  # fmt: skip
_ELSEWHERE = re.compile(r"[:/\\]")  # stands in every address and path, and in no word that a network takes


@dataclass(frozen=True, kw_only=True)
class Members:
    """The members of an ensemble that are trained, by their folders' names, and how many there are to be."""

    names: tuple[str, ...]
    planned: int

    def __post_init__(self) -> None:
        for name in self.names:
            if name != Path(name).name or name in ("", ".", ".."):
                raise RunError(f"its member {in_short(name)} is not the name of a folder in it")
        if len(set(self.names)) < len(self.names) or len(self.names) > self.planned:
            raise RunError(f"it names {len(self.names)} members of {self.planned}, or one of them twice")


@dataclass(frozen=True, kw_only=True, repr=False)
class ModelSpec(ShortRepr):
    """What model.json holds.

    Args:
        name: of the network: the catalogue's, timm/NAME, or that of the user's own code, file.py:factory.
        options: the network's own settings.
        preprocessing: how an image becomes its input, and the names of its classes in the order of its outputs.
        loss: what it was trained with, which says how scores become probabilities.
        members: the networks of an ensemble; None for one network.
        tta: the test-time augmentation that it predicts with; "one" is none.
        temperature: what scores are divided by before they become probabilities, fitted on validation images (see
            `convscope.scoring.calibration`); 1 where it was not.
        defect_rule: which images are flagged as defects; None where no class is the good one.
        source: of own code, its file and the file's hash; None for any other network.
        code: where the user says that this code is; "" where it is not to be run. It is not in the file.
    """

    name: str
    options: Mapping[str, object]
    preprocessing: Preprocessing
    loss: str = "softmax"
    members: Members | None = None
    tta: str = "one"
    temperature: float = 1.0
    defect_rule: DefectRule | None = None
    source: SourceFile | None = None
    code: str = field(default="", compare=False)

    def headline(self) -> str:
        """Return the network, the number of classes and the input."""
        channels, (height, width) = self.decoding.channels, self.decoding.size
        return f"{self.name}: {len(self.classes):,} classes, input {channels}×{height}×{width}, {self.loss}"

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the network's outputs."""
        return self.preprocessing.classes

    @property
    def decoding(self) -> Decoding:
        """The size and channels of the input, and how an image is brought to them."""
        return self.preprocessing.decoding

    @property
    def normalization(self) -> Normalization:
        """The mean and deviation of each channel."""
        return self.preprocessing.normalization

    @property
    def objective(self) -> Objective:
        """The loss that the network was trained with, as a function, and its probabilities at the temperature."""
        from convscope.scoring.objective import Objective

        return Objective(loss=self.loss, temperature=self.temperature)

    @property
    def multi_label(self) -> bool:
        """Whether an image may show several classes, or none."""
        return self.loss == MULTI_LABEL

    @property
    def of_training(self) -> ModelSpec:
        """What a training of one network begins with: without members, and without what is chosen on validation."""
        rule = None if self.defect_rule is None else DefectRule(good_class=self.defect_rule.good_class)
        return replace(self, members=None, defect_rule=rule, temperature=1.0)

    def build(self, *, check: bool = True) -> nn.Module:
        """Return the network with fresh weights from torch's generator.

        `check` runs an input's shape through it first. Where trained weights follow, it has passed long ago, and
        leaving it out saves the second that torch takes to import what shapes are computed with.

        Raises:
            CaptureError: no network has this name, or it has not these options.
            GeometryError: it can't take images of this size.
            RunError: its code is the user's own, and the user did not say where it is.
        """
        from convscope.nets.build import build

        if self.source is not None and not self.code:
            raise RunError(f"it is a network of {self.name}, whose code is not run unless its file is named")
        return build(
            self.code or self.name,
            num_classes=len(self.classes),
            in_channels=self.decoding.channels,
            image_size=self.decoding.size,
            options=dict(self.options),
            check=check,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the spec as JSON can hold it."""
        members = {} if self.members is None else {"names": list(self.members.names), "planned": self.members.planned}
        return {
            "format": FORMAT,
            "network": {
                "name": self.name,
                "options": dict(self.options),
                **({"source": self.source.to_dict()} if self.source else {}),
            },
            "classes": list(self.classes),
            "preprocessing": self.preprocessing.to_dict(),
            "loss": self.loss,
            "tta": self.tta,
            "temperature": self.temperature,
            **({"defects": self.defect_rule.to_dict()} if self.defect_rule else {}),
            **({"ensemble": members} if members else {}),
        }

    @classmethod
    def of(cls, fields: Fields) -> ModelSpec:
        """Return what the fields of a model.json say; raises UnreadableError where one is missing or does not fit."""
        fields.require_format(FORMAT, remedy="train again")
        classes = fields.texts("classes")
        if not classes:
            raise UnreadableError("it names no classes")
        if len(set(classes)) < len(classes):
            raise UnreadableError("it names a class twice")
        network = fields.object("network")
        name, options = network.text("name"), network.object("options")
        source = SourceFile.of(network.object("source")) if "source" in network else None
        _require_known(name, source)
        if name.startswith(TIMM):
            _require_local(options)
        return cls(
            name=name,
            options=options.values,
            preprocessing=Preprocessing.from_fields(fields.object("preprocessing"), classes=classes),
            loss=fields.text("loss", one_of=_resolved("loss")),
            members=_members(fields.object("ensemble")) if "ensemble" in fields else None,
            tta=fields.text("tta", one_of=_resolved("tta")),
            # A run of an earlier version has none.
            temperature=_temperature(fields) if "temperature" in fields else 1.0,
            defect_rule=_defect_rule(fields, classes),
            source=source,
        )


def fitted_on(spec: ModelSpec, scores: Floats, images: ImageSet, *, calibrate: bool, miss_rate: float) -> ModelSpec:
    """Return the spec with what is chosen by scores (N, classes) of validation images: the temperature, the threshold.

    Raises:
        RunError: too few of the images are defects for this miss rate.
    """
    from convscope.scoring.calibration import temperature_of

    if calibrate:
        spec = replace(spec, temperature=temperature_of(scores, images, spec.objective))
    return with_threshold(spec, miss_rate, scores, images) if miss_rate else spec


def with_threshold(spec: ModelSpec, miss_rate: float, scores: Floats, images: ImageSet) -> ModelSpec:
    """Return the spec with the threshold for a wanted miss rate, from scores (N, classes) of validation images.

    Raises:
        RunError: too few of the images are defects for this rate.
    """
    assert spec.defect_rule is not None
    probabilities = spec.objective.probabilities_of(scores)
    of_defects = images.labels != spec.classes.index(spec.defect_rule.good_class)
    found = spec.defect_rule.scores(probabilities[of_defects], spec.classes)
    return replace(spec, defect_rule=spec.defect_rule.chosen_for(miss_rate, found))


def read_spec(path: Path) -> ModelSpec:
    """Return the spec in a model.json; raises RunError, with the path and the reason, where it can't be used."""
    with refused_as(RunError, f"{path} can't be used"):
        return ModelSpec.of(read_json(path, limit=LARGEST))


def _resolved(setting: str) -> tuple[str, ...]:
    """Return the values that a recipe's setting has once it is resolved."""
    return tuple(word for word in choices(setting) if word != AUTO)


def _temperature(fields: Fields) -> float:
    return fields.number("temperature", at_least=1 / MOST_TEMPERATURE, at_most=MOST_TEMPERATURE)


def _defect_rule(fields: Fields, classes: tuple[str, ...]) -> DefectRule | None:
    if "defects" not in fields:
        return None
    if fields.text("loss") == MULTI_LABEL:
        raise UnreadableError("it has defects, and several labels an image: these have no good class")
    return DefectRule.from_fields(fields.object("defects"), classes)


def _members(fields: Fields) -> Members:
    try:
        planned = fields.integer("planned", at_least=1, at_most=MOST_MEMBERS)
        return Members(names=fields.texts("names"), planned=planned)
    except RunError as error:
        raise UnreadableError(str(error)) from None


def _require_known(name: str, source: SourceFile | None) -> None:
    """Raise UnreadableError unless the name is the catalogue's, or can be one of timm's registry or of own code."""
    if source is not None:
        if not is_kept_name(name):
            raise UnreadableError(
                f"network.name is {in_short(name)}: of a source it is FILE.py:FACTORY or MODULE:FACTORY"
            )
        return
    if name.startswith(TIMM):
        if not _TIMM_NAME.fullmatch(name.removeprefix(TIMM)):
            raise UnreadableError(
                f"network.name is {in_short(name)}: it must be timm/ and the name of a network of timm"
            )
        return
    if name not in catalogue.names():
        raise UnreadableError(f"network.name is {in_short(name)}: no network of the catalogue has this name")


def _require_local(options: Fields) -> None:
    """Raise UnreadableError for options that make timm fetch weights, or read them from a path."""
    for name, value in options.values.items():
        if name in FETCHING:
            raise UnreadableError(f"network.options.{name} makes timm fetch or read other weights: the run has its own")
        parts = value if isinstance(value, list) else [value]
        if any(isinstance(part, (dict, list)) or (isinstance(part, str) and _ELSEWHERE.search(part)) for part in parts):
            raise UnreadableError(f"network.options.{name} is {in_short(value)}: it must be numbers, words or switches")
