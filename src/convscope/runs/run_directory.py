"""The run directory: all that predict, look, export and serve need, and all that a reader wants to see.

    recipe.toml  model.json  weights.safetensors  checkpoint/  metrics.csv  report.html  log.txt  [split.csv]

It is never overwritten: a new run takes the next free name.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path, PurePath
from typing import Any

import torch
from torch import nn

from convscope.data.batches import Normalization
from convscope.data.records import Dataset, Decoding
from convscope.data.sources.table import KIND, is_table
from convscope.errors import CaptureError, ConvscopeError, RunError
from convscope.files.checked import parse_json
from convscope.files.fields import Fields
from convscope.files.regular import UnreadableError, append_bytes, read_bytes, refused_as
from convscope.nets.build import build
from convscope.nets.modules import preserved_rng
from convscope.nets.weights.digest import SEALED_SPEC
from convscope.nets.weights.read import as_tensor, read_weights
from convscope.recipe.recipe import Recipe
from convscope.recipe.recipe_file import load_recipe
from convscope.report.csv_table import csv_text
from convscope.report.printable import printable
from convscope.report.shell import shell_quote
from convscope.runs.atomic_files import WriteError, remove_left_over, write_file
from convscope.runs.checkpoint import load_weights, read_note, sealed_bytes
from convscope.runs.lock import locked
from convscope.runs.model_file import FORMAT, ModelFile, read_model_file
from convscope.runs.progress import measures
from convscope.scoring.ensemble import Averaged
from convscope.scoring.objective import Objective
from convscope.scoring.test_time_augmentation import ONE, require_views

SHOWN = 5  # runs that an error names
# How the log says that a training diverged.
DIVERGED = re.compile(r"(?:loss|gradient) became (?:nan|-?inf) at epoch")
# Names of files and checkpoints while they are written or removed.
LEFT_OVER = re.compile(r"\.(?:tmp|old)-(?:[a-z]+\.(?:toml|json|csv|html|safetensors)|step-\d{9})-\d+")


@dataclass(frozen=True, kw_only=True)
class Members:
    """The members of an ensemble that are trained, by their folders' names, and how many there are to be."""

    names: tuple[str, ...]
    planned: int

    def __post_init__(self) -> None:
        for name in self.names:
            if name != Path(name).name or name in ("", ".", ".."):
                raise RunError(f"its member {name!r} is not the name of a folder in it")
        if len(set(self.names)) < len(self.names) or len(self.names) > self.planned:
            raise RunError(f"it names {len(self.names)} members of {self.planned}, or one of them twice")


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """What `model.json` holds: the architecture by name and arguments, the classes, and how an image is prepared."""

    name: str
    options: Mapping[str, object]
    classes: tuple[str, ...]
    decoding: Decoding
    normalization: Normalization
    loss: str = "softmax"
    members: Members | None = None
    views: str = ONE

    @property
    def objective(self) -> Objective:
        """What the network learned by, which says how its scores become probabilities."""
        return Objective(loss=self.loss)

    def build(self) -> nn.Module:
        """The network with fresh weights from torch's generator."""
        return build(
            self.name,
            num_classes=len(self.classes),
            in_channels=self.decoding.channels,
            image_size=self.decoding.size,
            options=dict(self.options),
        )

    def to_dict(self) -> dict[str, Any]:
        """The card as JSON can hold it."""
        return {
            "format": FORMAT,
            "network": {
                "name": self.name,
                "num_classes": len(self.classes),
                "in_channels": self.decoding.channels,
                "image_size": list(self.decoding.size),
                "options": dict(self.options),
            },
            "classes": list(self.classes),
            "loss": self.loss,
            **({} if self.members else SEALED_SPEC),
            **({} if self.members is None else {"ensemble": {**vars(self.members), "names": list(self.members.names)}}),
            "preprocessing": {
                **self.decoding.to_dict(),
                "mean": list(self.normalization.mean),
                "std": list(self.normalization.std),
                "views": self.views,
            },
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelSpec:
        """The card that `to_dict` wrote. Raises RunError where something is missing or does not fit."""
        with refused_as(RunError, "the model card"):
            return cls.of(ModelFile.of(Fields(values)))

    @classmethod
    def of(cls, file: ModelFile) -> ModelSpec:
        """Return the card that a model.json holds; raises RunError for a loss or views that do not exist."""
        spec = cls(
            name=file.name,
            options=file.options,
            classes=file.classes,
            # Cards from before there was a choice say nothing: it was softmax, and one view.
            loss=file.loss or "softmax",
            members=None if file.members is None else Members(names=file.members, planned=file.planned),
            views=require_views(file.views or ONE),
            decoding=file.decoding,
            normalization=Normalization(mean=file.mean, std=file.std),
        )
        _ = spec.objective  # a loss that does not exist is refused here
        return spec


@dataclass(frozen=True)
class Run:
    """A run directory by its path; every file in it has a property or a method here."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    @property
    def report(self) -> Path:
        """The page that shows the run."""
        return self.path / "report.html"

    @property
    def weights(self) -> Path:
        """The best weights."""
        return self.path / "weights.safetensors"

    @property
    def checkpoints(self) -> Path:
        """The folder of what is needed to go on."""
        return self.path / "checkpoint"

    @property
    def recipe_path(self) -> Path:
        """The settings."""
        return self.path / "recipe.toml"

    @property
    def spec_path(self) -> Path:
        """The architecture, classes and preprocessing."""
        return self.path / "model.json"

    @property
    def metrics_path(self) -> Path:
        """A row an epoch."""
        return self.path / "metrics.csv"

    @property
    def log_path(self) -> Path:
        """What was said, with the time."""
        return self.path / "log.txt"

    @property
    def split_path(self) -> Path:
        """Which image went where, when the split was made here."""
        return self.path / "split.csv"

    @property
    def has_diverged(self) -> bool:
        """Whether the last that the log tells of the training is that a loss or gradient stopped being a number."""
        try:
            told = read_bytes(self.log_path).decode("utf-8", "replace")
        except UnreadableError:
            return False
        return DIVERGED.search(told.rpartition("  resuming ")[2]) is not None

    def recipe(self) -> Recipe:
        """The settings; raises RunError, also where the file is cut off, for half of one is a recipe as well."""
        return load_recipe(self.recipe_path, whole=True)

    def spec(self) -> ModelSpec:
        """The architecture, classes and preprocessing; raises RunError."""
        file = read_model_file(self.spec_path, error=RunError)
        try:
            return ModelSpec.of(file)
        except ConvscopeError as error:
            raise RunError(f"{self.spec_path} can't be used: {error}") from error

    def network(self) -> nn.Module:
        """The network with the best weights, ready to answer (evaluation mode), leaving torch's generator alone."""
        spec = self.spec()
        if spec.members is not None:
            return self._averaged(spec, spec.members)
        weights = self.read_weights()
        with preserved_rng():
            try:
                network = spec.build()
            except ConvscopeError as error:
                raise RunError(f"{self.spec_path} can't be used: {error}") from None
        load_weights(network, weights, where=str(self.weights))
        return network.eval()

    def read_weights(self) -> dict[str, torch.Tensor]:
        """The best weights, checked against their digest. Raises RunError where they are missing or damaged."""
        if not os.path.lexists(self.weights):
            again = (
                f"its training diverged in its first epoch: train anew, at a lower rate ({self.log_path} says why)"
                if self.has_diverged
                else f"go on training with {shell_quote('--resume', self)}, which writes them"
            )
            raise RunError(f"{self} has no weights.safetensors: {again}")
        try:
            tensors = read_weights(self.weights, sealed=self._has_sealed_weights()).tensors
        except CaptureError as error:
            raise RunError(str(error)) from error
        return {name: as_tensor(tensor) for name, tensor in tensors.items()}

    def _has_sealed_weights(self) -> bool:
        """Whether model.json says that the weights carry a digest, as it has since they do."""
        try:
            return read_model_file(self.spec_path, error=RunError).sealed
        except RunError:
            return False

    def _averaged(self, spec: ModelSpec, members: Members) -> nn.Module:
        """The members of an ensemble as one network; they must have learned the same classes from images alike."""
        if not members.names:
            raise RunError(
                f"none of the {members.planned} members of the ensemble {self} is trained yet: "
                f"go on with {shell_quote('--resume', self)}"
            )
        networks = []
        for name in members.names:
            on = shell_quote("convscope", "train", "--resume", self)
            if (self.path / name).is_dir() and not os.path.lexists(Run(self.path / name).weights):
                raise RunError(f"member {name} of the ensemble {self} has no weights: {on} trains it again")
            try:
                member = open_run(self.path / name)
                networks.append(member.network())
            except RunError as error:
                raise RunError(f"{error}; to mend the ensemble, or train its member again: {on}") from error
            if replace(member.spec(), members=None) != replace(spec, members=None):
                raise RunError(
                    f"{member} does not belong to the ensemble {self}: its network, classes or preprocessing differ"
                )
        return Averaged(networks, independent=spec.objective.independent).eval()

    def write_spec(self, spec: ModelSpec) -> None:
        """Write model.json."""
        write_file(self.spec_path, json.dumps(spec.to_dict(), indent=2) + "\n")

    def write_weights(self, weights: Mapping[str, torch.Tensor], measures: Mapping[str, object]) -> None:
        """Write the best weights, and in the same file how good they are: epoch, accuracy, loss."""
        write_file(self.weights, sealed_bytes(weights, note=json.dumps(measures)))

    def measures_of_weights(self) -> dict[str, Any] | None:
        """How good the best weights are, as `write_weights` was told; None where that is not known."""
        try:
            return measures(Fields.of(parse_json(read_note(self.weights))))
        except UnreadableError:
            return None

    def write_table(self, path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Write a CSV file, whole."""
        write_file(path, csv_text(header, rows))

    def log(self, line: str) -> None:
        """Add a line to log.txt, with the time; raises WriteError."""
        stamp = time.strftime("%Y-%m-%d %H:%M:%S")
        with refused_as(WriteError, f"{self.log_path} can't be written"):
            append_bytes(self.log_path, f"{stamp}  {printable(line)}\n".encode("utf-8", "backslashreplace"))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep every other process from training in this directory meanwhile; raises RunError where one does.

        Temporary files that a killed process left here are removed: while the lock is held, no other process writes.
        """
        with locked(self.path) as held:
            if held:
                for folder in (self.path, self.checkpoints):
                    remove_left_over(folder, LEFT_OVER)
            yield


def require_name(name: str | None) -> None:
    """Raise RunError where a run can't be called so; None lets the run be named for its data and network."""
    if name is not None and (not name.strip() or name != Path(name).name or name == ".." or not name.isprintable()):
        raise RunError(f"a run can't be called {name!r}: give the name of one folder; --runs says where it goes")


def create_run(parent: Path, name: str) -> Run:
    """Make `parent/name`, or the next free name (`name-2`, `name-3`, ...); raises RunError where none can be made."""
    try:
        parent.mkdir(parents=True, exist_ok=True)
        for number in count(1):
            path = parent / (name if number == 1 else f"{name}-{number}")
            try:
                path.mkdir()  # fails where it exists: two runs that start together get two names
            except FileExistsError:
                continue
            return Run(path)
    except OSError as error:
        raise RunError(f"no run directory can be made in {parent}: {error.strerror or error}") from error
    raise AssertionError("unreachable: count() does not end")


def open_run(path: Path) -> Run:
    """An existing run directory. Raises RunError where there is none; the message says what is near."""
    if not path.exists():
        runs = sorted(folder.parent for folder in Path("runs").glob("*/model.json"))
        more = f" and {len(runs) - SHOWN:,} more" if len(runs) > SHOWN else ""
        there = f" Runs here: {', '.join(map(str, runs[:SHOWN]))}{more}"
        raise RunError(f"there is no run at {path}.{there if runs else ' `convscope train DATA` makes one'}")
    run = Run(path)
    if not os.path.lexists(run.spec_path):
        raise RunError(f"{path} is not a run directory: it has no model.json")
    return run


def run_name(data: str, model: str) -> str:
    """A folder name from the data's and the network's.

    >>> run_name("/data/My photos!/", "resnet18"), run_name("labels.csv", "lenet5")
    ('My-photos-resnet18', 'labels-lenet5')
    """
    path = Path(data)
    stem = re.sub(r"[^\w.]+", "-", (path.stem if is_table(path) else path.name) or "data").strip("-.") or "data"
    return f"{stem[:60]}-{model}"


def short_name(name: str, dataset: Dataset) -> str:
    """An image's name below its source, or below its table's folder: it stays the same however the source is named."""
    folder = str(PurePath(dataset.source).parent) if dataset.kind == KIND else dataset.source
    return name.removeprefix(folder).lstrip("/")
