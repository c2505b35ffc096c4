"""model.json: which network a run is, of which classes, and how an image is prepared for it.

The file may be a stranger's. So every field is checked, and what it builds is a network of the catalogue or of timm,
whose weights lie beside it: nothing is fetched, and no code or file is reached by a name that stands in it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from convscope.data.records import Decoding
from convscope.errors import ConvscopeError
from convscope.files.checked import read_json
from convscope.files.fields import Fields, in_short
from convscope.files.regular import UnreadableError, refused_as
from convscope.nets import catalogue
from convscope.nets.build import build
from convscope.nets.entry import TIMM
from convscope.nets.weights.digest import is_sealed

NAME = "model.json"
FORMAT = 1
LARGEST = 8_000_000  # bytes: a hundred thousand class names
MOST_MEMBERS = 1_000
_TIMM_NAME = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)?")
# With these options timm fetches weights, or reads them from a path.
FETCHING = frozenset(
    {"cache_dir", "checkpoint_path", "file", "hf_hub_filename", "hf_hub_id", "model_dir", "pretrained",
     "pretrained_cfg", "pretrained_cfg_overlay", "pretrained_strict", "state_dict", "url"}
)  # fmt: skip
_ELSEWHERE = re.compile(r"[:/\\]")  # stands in every address and path, and in no word that a network takes


@dataclass(frozen=True, kw_only=True)
class ModelFile:
    """What a model.json says.

    Args:
        name: of the network: the catalogue's, or timm/NAME.
        options: the network's own settings.
        classes: the names of its classes, in the order of its outputs.
        decoding: the size and channels of its input, and how an image is brought to them.
        mean: of each channel, in units of full intensity.
        std: its standard deviation, above 0.
        views: by which views of an image it answers; "" where the file does not say.
        loss: what it was trained with; "" where the file does not say.
        members: the folders of an ensemble's networks; None for one network.
        planned: how many members the ensemble is to have.
        sealed: whether the weights beside it must carry a digest.
    """

    name: str
    options: Mapping[str, object]
    classes: tuple[str, ...]
    decoding: Decoding
    mean: tuple[float, ...]
    std: tuple[float, ...]
    views: str = ""
    loss: str = ""
    members: tuple[str, ...] | None = None
    planned: int = 0
    sealed: bool = False

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """The shape of one sample: (C, H, W)."""
        return (self.decoding.channels, *self.decoding.size)

    def build(self) -> nn.Module:
        """Return the network with fresh weights from torch's generator.

        Raises:
            CaptureError: no network has this name, or it has not these options.
            GeometryError: it can't take images of this size.
        """
        return build(
            self.name,
            num_classes=len(self.classes),
            in_channels=self.decoding.channels,
            image_size=self.decoding.size,
            options=dict(self.options),
        )

    @classmethod
    def of(cls, fields: Fields) -> ModelFile:
        """Return what the fields of a model.json say; raises UnreadableError where one is missing or does not fit."""
        if (version := fields.integer("format")) != FORMAT:
            raise UnreadableError(f"it has format {version}, and this version reads {FORMAT}")
        network, preparation, classes = (
            fields.object("network"),
            fields.object("preprocessing"),
            fields.texts("classes"),
        )
        decoding = Decoding.from_fields(preparation)
        if not classes:
            raise UnreadableError("it names no classes")
        if len(set(classes)) < len(classes):
            raise UnreadableError("it names a class twice")
        stated = {
            "num_classes": (network.integer("num_classes"), len(classes), "there are class names"),
            "in_channels": (network.integer("in_channels"), decoding.channels, "preprocessing.channels"),
            "image_size": (network.integers("image_size"), decoding.size, "preprocessing.size"),
        }
        for name, (got, needed, what) in stated.items():
            if got != needed:
                raise UnreadableError(f"network.{name} is {got}, and {what} {needed}: they must agree")
        name, options = network.text("name"), network.object("options")
        _require_known(name)
        if name.startswith(TIMM):
            _require_local(options)
        mean = preparation.numbers("mean", at_least=0, at_most=1)
        std = preparation.numbers("std", at_least=1e-9, at_most=10)
        if not len(mean) == len(std) == decoding.channels:
            raise UnreadableError("its mean and std are not one number per channel")
        members, planned = None, 0
        if fields.values.get("ensemble") is not None:
            ensemble = fields.object("ensemble")
            members, planned = ensemble.texts("names"), ensemble.integer("planned", at_least=1, at_most=MOST_MEMBERS)
            _require_folders(members)
        return cls(
            name=name,
            options=options.values,
            classes=classes,
            decoding=decoding,
            mean=mean,
            std=std,
            views=preparation.text("views", default=""),
            loss=fields.text("loss", default=""),
            members=members,
            planned=planned,
            sealed=is_sealed(fields.values),
        )


def read_model_file(path: Path, *, error: type[ConvscopeError]) -> ModelFile:
    """Read a model.json; raises `error`, with the path and the reason, where it can't be read or used."""
    with refused_as(error, f"{path} can't be used"):
        return ModelFile.of(read_json(path, limit=LARGEST))


def _require_known(name: str) -> None:
    """Raise UnreadableError unless the name is one of the catalogue, or can be one of timm's own registry."""
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


def _require_folders(members: tuple[str, ...]) -> None:
    for name in members:
        if name != Path(name).name or name in ("", ".", ".."):
            raise UnreadableError(f"its member {in_short(name)} is not the name of a folder in it")
