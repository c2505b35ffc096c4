"""The models that the page can open: their keys, and what each names. No torch.

A key is a name of the catalogue (`resnet18`) or of a built-in trained network (`lenet5-digits`), `run:NAME`,
`run:NAME@best` or `run:NAME@step-N` for a run below the runs folder, or `given` for what the command line named. A run
whose own name ends as such a key does always has `@best` after it. The page never names a path: a key is looked up
among what is there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from convscope.data.image_item import is_digit
from convscope.data.inputs.array_file import is_array_file
from convscope.data.inputs.sound import is_sound
from convscope.data.pixels.sniff import format_of
from convscope.errors import CaptureError, DataError, did_you_mean
from convscope.files.regular import open_regular, refused_as
from convscope.nets import catalogue
from convscope.nets.entry import TIMM
from convscope.nets.own_code import suggested_factories
from convscope.runs.built_in import BuiltIn, built_in_networks, find_built_in
from convscope.runs.run_like import names_checkpoint, run_of
from convscope.runs.runs_in_folder import CHECKPOINTS
from convscope.studio.protocol import StudioError

GIVEN = "given"
RUN_PREFIX = "run:"
BEST = "best"
HEAD = 512  # bytes of a file that tell its format
MOST_RUNS = 1000  # that the page lists, the newest

ModelKind = Literal["built-in", "catalogue", "run", "given"]
WeightsOrigin = Literal["trained", "random", "own"]
"""Where a network's weights are from: a run, a random draw of ours, or its own factory or file, which may hold weights
of a training or not."""
_CHECKPOINT = re.compile(r"step-\d{1,12}")
# The end of a key that is no part of the run's name.
_WEIGHTS = re.compile(rf"@({BEST}|{_CHECKPOINT.pattern})?\Z", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Openable:
    """What this studio may open, as the command line said.

    Args:
        runs: the folder of the runs.
        given: a model in any form that `convscope.capture.load` takes as text; "" where none was named.
        code: where the code of a given run's network is, as file.py:factory.
        trust_code: whether the copy of that code which the given run holds may be run.
        input_text: the shape of the given model's input, such as "3x224x224"; "" where it says so itself.
        image: an image file, or the name of a built-in digit, as "digits/7"; "" where none was named.
        data: folders below which a training's images may be.
        deadline: seconds that a model may take for one forward pass before it is stopped.
    """

    runs: Path
    given: str = ""
    code: str = ""
    trust_code: bool = False
    input_text: str = ""
    image: str = ""
    data: tuple[Path, ...] = ()
    deadline: float = 60.0

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON's types."""
        fields = {name: getattr(self, name) for name in ("given", "code", "trust_code", "input_text", "image")}
        return {**fields, "runs": str(self.runs), "data": [str(root) for root in self.data], "deadline": self.deadline}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Openable:
        """Return what `to_dict` wrote."""
        return cls(**{**values, "runs": Path(values["runs"]), "data": tuple(map(Path, values["data"]))})


@dataclass(frozen=True, kw_only=True)
class ModelSource:
    """A model that the page can open.

    Args:
        key: names it in requests and links.
        title: what the page shows; hostile text, as a run's name may be anything.
        kind: where it is from.
        load: what `convscope.capture.load` finds it by: a catalogue name, a path, file.py:factory, timm/NAME.
        weights: where they are from.
    """

    key: str
    title: str
    kind: ModelKind
    load: str
    weights: WeightsOrigin

    def to_dict(self) -> dict[str, Any]:
        """Return what the page shows of it; never a path."""
        return {"key": self.key, "title": self.title, "kind": self.kind, "weights": self.weights}


def require_openable(openable: Openable) -> None:
    """Raise ConvscopeError where the model or the image that the command named can't be opened, without torch.

    What needs torch or runs code to be known shows when the page opens it.
    """
    name, path = openable.given, Path(openable.given)
    if openable.image and not is_digit(openable.image):
        with refused_as(DataError, openable.image), open_regular(openable.image) as stream:
            _require_input(stream.read(HEAD))
    if not name or name.startswith(TIMM):
        return
    if names_checkpoint(path) or path.is_dir():
        run_of(path, model=openable.code, trust_code=openable.trust_code).require_spec()
    elif ".py:" in name or name.lower().endswith(".onnx"):
        file = name if name.lower().endswith(".onnx") else f"{name.rpartition('.py:')[0]}.py"
        with refused_as(CaptureError, file), open_regular(file, limit=None):
            pass
    elif path.is_file():
        raise CaptureError(f"{name} is a file: say what in it makes the model, {suggested_factories(path)}")
    elif ":" not in name and find_built_in(name) is None:
        catalogue.find(name)


def _require_input(start: bytes) -> None:
    """Raise UnreadableError where a file's first bytes are those of no image, array or sound."""
    if not is_array_file(start) and not is_sound(start):
        format_of(start)


def brings_weights(name: str) -> bool:
    """Return whether a model's text names a function or a file that makes the weights itself.

    >>> [brings_weights(name) for name in ("net.py:make", "net.onnx", "timm/resnet18", "resnet18")]
    [True, True, False, False]
    """
    return not name.startswith(TIMM) and (":" in name or name.lower().endswith(".onnx"))


def list_models(openable: Openable) -> list[ModelSource]:
    """Return the models that the page can open: given, built-in and trained, the runs, newest first, the catalogue."""
    given = [model_source(GIVEN, openable)] if openable.given else []
    runs = [_of_run(run_key(name), name, openable.runs / name) for name in run_folders(openable.runs)]
    built_in = map(_of_built_in, built_in_networks().values())
    return [*given, *built_in, *runs, *(_of_catalogue(name) for name in _pictured())]


def model_source(key: str, openable: Openable) -> ModelSource:
    """Return the model of a key.

    Raises:
        StudioError: there is none; of kind "gone", the nearest keys named.
    """
    if key == GIVEN:
        if not openable.given:
            raise StudioError("the command named no model: choose one of the list", "gone")
        name, path = openable.given, Path(openable.given)
        trained = path.is_dir() or find_built_in(name) is not None
        weights: WeightsOrigin = "trained" if trained else "own" if brings_weights(name) else "random"
        return ModelSource(key=GIVEN, title=path.name or name, kind="given", load=name, weights=weights)
    if key.startswith(RUN_PREFIX):
        names = run_folders(openable.runs)
        name, checkpoint = run_and_checkpoint(key, names)
        if name not in names:
            raise StudioError(f"there is no run {name!r} below the runs folder.{did_you_mean(name, names)}", "gone")
        folder = openable.runs / name
        if checkpoint in ("", BEST):
            return _of_run(key, name, folder)
        if not _CHECKPOINT.fullmatch(checkpoint) or not (folder / CHECKPOINTS / checkpoint).is_dir():
            raise StudioError(f"run {name!r} has no checkpoint {checkpoint!r}", "gone")
        return _of_run(key, f"{name} ({checkpoint})", folder / CHECKPOINTS / checkpoint)
    if (built_in := find_built_in(key)) is not None:
        return _of_built_in(built_in)
    known = _pictured()
    if key not in known:
        near = did_you_mean(key, [*built_in_networks(), *known])
        raise StudioError(f"there is no model {key[:80]!r} in the catalogue.{near}", "gone")
    return _of_catalogue(key)


def run_key(name: str) -> str:
    """Return the key of a run's best weights, from which its name is read back whatever it is.

    >>> run_key("photos"), run_key("photos@home"), run_key("photos@best")
    ('run:photos', 'run:photos@home', 'run:photos@best@best')
    """
    return f"{RUN_PREFIX}{name}{f'@{BEST}' if _WEIGHTS.search(name) else ''}"


def run_and_checkpoint(key: str, names: Collection[str]) -> tuple[str, str]:
    """Return the names of a run and of its checkpoint in a run's key; the checkpoint is "" where none is named.

    Args:
        key: with its prefix; a run's own name may hold an @.
        names: of the runs that there are.

    >>> run_and_checkpoint("run:photos@step-40", ["photos"]), run_and_checkpoint("run:photos@best", ["photos@best"])
    (('photos', 'step-40'), ('photos@best', ''))
    """
    text = key.removeprefix(RUN_PREFIX)
    name, _, checkpoint = text.rpartition("@")
    is_weights = _WEIGHTS.search(text) is not None
    is_whole = not is_weights or (text in names and name not in names)
    return (text, "") if is_whole else (name, checkpoint)


def run_folders(root: Path) -> list[str]:
    """Return the names of the run directories in a folder, the newest first; links are not followed out of it."""
    found = []
    with suppress(OSError), os.scandir(root) as entries:
        for entry in entries:
            with suppress(OSError):  # it is closed to this user, or was removed meanwhile
                if entry.is_dir(follow_symlinks=False) and (Path(entry.path) / "model.json").is_file():
                    found.append((-entry.stat(follow_symlinks=False).st_mtime, entry.name))
    return [name for _, name in sorted(found)[:MOST_RUNS]]


def _of_run(key: str, title: str, path: Path) -> ModelSource:
    return ModelSource(key=key, title=title, kind="run", load=str(path), weights="trained")


def _of_built_in(found: BuiltIn) -> ModelSource:
    return ModelSource(key=found.name, title=found.title, kind="built-in", load=str(found.path), weights="trained")


def _of_catalogue(name: str) -> ModelSource:
    return ModelSource(key=name, title=catalogue.find(name).title, kind="catalogue", load=name, weights="random")


def _pictured() -> list[str]:
    """Return the names of the catalogue's networks that take an image, oldest first."""
    return [entry.name for entry in catalogue.ENTRIES if len(entry.input_shape) == 3]
