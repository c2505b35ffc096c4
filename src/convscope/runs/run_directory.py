"""The run directory as it is read: its recipe, spec, code, network, status and scores.

Opening and listing one imports no torch; its weights do. Which files it has, and how they are written, is in
`run_files`.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from convscope.api.annotations import REFUSED, described, needed, taken
from convscope.api.public import checked
from convscope.errors import ArgumentError, RunError
from convscope.files.checked import parse_json, read_json
from convscope.files.fields import Fields
from convscope.files.regular import UnreadableError, read_part, refused_as
from convscope.nets.own_code import changed_since, is_own, lasting_name, or_trust, without_folders
from convscope.nets.source_file import SourceFile
from convscope.recipe.recipe import Recipe
from convscope.recipe.recipe_file import read_recipe
from convscope.report.printable import from_here, printable
from convscope.report.short_repr import short_path
from convscope.report.units import plural
from convscope.report.usage import are_options, call_text, setting_name, settings_text
from convscope.runs.built_in import built_in_of
from convscope.runs.events import Event, Status, read_event, read_status, this_host
from convscope.runs.kept_code import require_as_kept
from convscope.runs.layer_norms import NormSample, norms_at
from convscope.runs.lock import is_held
from convscope.runs.model_spec import Members, ModelSpec, read_spec
from convscope.runs.progress import measures
from convscope.runs.run_files import SCORES_FORMAT, RunFiles
from convscope.runs.runs_in_folder import named_runs, no_run_at

if TYPE_CHECKING:
    from torch import Tensor, nn

_LOG = logging.getLogger("convscope")
FOLLOW_SECONDS = 0.2  # between two looks at events.jsonl while a training writes it


@dataclass(frozen=True, repr=False)
class Run(RunFiles):
    """A run directory by its path, which is made absolute; every file in it has a property or a method here.

    Args:
        path: of the directory.
        model: where the code of its network is, as `file.py:factory` or `package.module:factory`, for a run of the
            user's own code; it is imported where the network is built.
        trust_code: whether the copy of that code which the run holds may be run instead.
        checkpoint: the name of a folder in `checkpoints`, whose weights are read in place of the best ones.
    """

    model: str = field(default="", compare=False)
    trust_code: bool = field(default=False, compare=False)
    checkpoint: str = ""

    def __post_init__(self) -> None:
        for name, kind in (("path", str | Path), ("model", str), ("trust_code", bool), ("checkpoint", str)):
            if taken(given := getattr(self, name), kind) is REFUSED:
                raise ArgumentError(f"Run: {name} is {described(given)}: give {needed(kind)}")
        if self.model and self.trust_code:
            model, trust = setting_name("model"), setting_name("trust_code")
            raise RunError(f"{model} names the code to run, and {trust} is the run's own copy of it: give one")
        if self.model and not is_own(self.model):
            raise RunError(f"{setting_name('model')} {self.model}: name the code of the run, as file.py:factory")
        object.__setattr__(self, "path", Path(self.path).absolute())
        object.__setattr__(self, "model", lasting_name(self.model))

    def headline(self) -> str:
        """Return the path."""
        return short_path(self, longest=100)

    def __str__(self) -> str:
        built_in = built_in_of(self.path)
        if built_in is not None and not os.path.lexists(built_in.name):
            return built_in.name  # opens it as well, and shorter
        return from_here(self.opened_path)

    @property
    def opened_path(self) -> Path:
        """The directory, or the checkpoint in it whose weights are read."""
        return self.checkpoints / self.checkpoint if self.checkpoint else self.path

    def norms(self) -> tuple[NormSample, ...]:
        """Return the norms of each layer at some steps of the training, oldest first; empty where there are none.

        Raises:
            RunError: the file can't be read.
        """
        return norms_at(self.norms_path)

    def status(self) -> Status | None:
        """Return how far the training is, or how it ended; None where that is not known.

        Of a training whose process is gone, by kill -9 or a power cut, the state is "interrupted".
        """
        status = read_status(self.status_path)
        if status is None or status.state != "training" or status.host != this_host() or is_held(self.path):
            return status
        # The training may have ended while the lock was looked at.
        if read_status(self.status_path) != status:
            return self.status()
        return replace(status, state="interrupted", reason=f"process {status.pid} is gone")

    @checked
    def events(self, *, follow: bool = False) -> Iterator[Event]:
        """Yield the events of the training so far, oldest first; with `follow` wait for more until it ends.

        Raises:
            RunError: events.jsonl can't be read.
        """
        done = 0
        while True:
            ended = (status := self.status()) is not None and status.state != "training"
            with refused_as(RunError, self.events_path):
                there = self.events_path.stat().st_size if self.events_path.exists() else 0
                written = read_part(self.events_path, done, there - done) if there > done else b""
            whole = written.rfind(b"\n") + 1  # the last line may be half written
            done += whole
            for line in written[:whole].splitlines():
                if (event := read_event(line.decode("utf-8", "replace"))) is not None:
                    yield event
            if not follow or ended:
                return
            time.sleep(FOLLOW_SECONDS)

    @property
    def has_diverged(self) -> bool:
        """Whether the training ended because a loss or gradient was not finite."""
        status = self.status()
        return status is not None and status.state == "diverged"

    def recipe(self) -> Recipe:
        """Return the settings, without data for a network that comes with convscope, which has no file of them.

        Raises:
            RunError: the file can't be used, or is cut off: half of one would parse as well.
        """
        return Recipe() if built_in_of(self.path) is not None else read_recipe(self.recipe_path, whole=True)

    def spec(self) -> ModelSpec:
        """Return the architecture, classes and preprocessing, and where own code is, if this handle says so.

        Raises:
            RunError: model.json can't be used, or the copy of the code that is trusted was changed.
        """
        spec = read_spec(self.spec_path)
        return replace(spec, code=self.code_of(spec.name, spec.source))

    def require_spec(self) -> None:
        """Raise RunError where the directory is no run's: model.json is missing, of another format, or cut off."""
        if not os.path.lexists(self.spec_path):
            raise RunError(no_run_at(self.path))
        self.spec()

    def code_of(self, name: str, source: SourceFile | None) -> str:
        """Return where the code of a network of this directory is, if this handle says so, else "".

        Raises:
            RunError: the copy is trusted, and is not as it was written.
        """
        if source is None or not self.trust_code:
            return self.model
        try:
            require_as_kept(self.code_path, source, whose=str(self))
        except RunError as error:
            raise RunError(f"{error}; name the code, {settings_text(model=name)}") from None
        return self._copy_of(name, source)

    def require_code(self) -> None:
        """Raise RunError unless the network's code may be run; log where the named file is not as it was in training.

        The code of a network of convscope or timm may be.
        """
        spec = self.spec()
        self.require_code_of(spec.name, spec.source)
        if spec.source is not None and (file := changed_since(spec.code, spec.source)):
            named = without_folders(spec.code)
            not_it = f"{named} is not the {file}" if file == spec.source.file else f"{file} of {named} is not the one"
            _LOG.warning(printable(f"note: {not_it} that {self} was trained with"))
        elif spec.source is not None and spec.code.rpartition(":")[2] != spec.name.rpartition(":")[2]:
            named = without_folders(spec.code)
            _LOG.warning(printable(f"note: {named} is not the {spec.name} that {self} was trained with"))

    def require_code_of(self, name: str, source: SourceFile | None) -> None:
        """Raise RunError unless code of this name and source may be run, as this handle says."""
        if source is None:
            if self.model or self.trust_code:
                given = setting_name("model" if self.model else "trust_code")
                raise RunError(f"{self} is {name}, which is not of your own code: leave {given} out")
            return
        if not self.code_of(name, source):
            place, _, factory = name.rpartition(":")
            named = f"{source.file}:{factory}" if place == PurePath(source.file).name else name
            how = (
                f"give {settings_text(model=named)}{or_trust()}"
                if are_options()
                else f"open it as {self._opened_with(named)}, or with trust_code=True"
            )
            raise RunError(
                f"{self} is a network of {name}, and its code is not run unless you say so: {how} to run the copy "
                "that it holds"
            )

    def _opened_with(self, model: str) -> str:
        """Return the call that opens this run with code of the user's."""
        if not self.checkpoint:
            return call_text("Run", self, model=model)
        of_run = f"{from_here(self.path)!r}, checkpoint={self.checkpoint!r}"
        return f"convscope.Run({of_run}, {settings_text(model=model)})"

    def spec_of_one(self) -> ModelSpec:
        """Return the spec of a run of one network; raises RunError for an ensemble's."""
        spec = self.spec()
        if spec.members is not None:
            members = [self.path / name for name in spec.members.names]
            named = f", {named_runs(members)}" if members else ", once one is trained"
            raise RunError(
                f"{self} is an ensemble of {plural(spec.members.planned, 'network')}: name one of them{named}"
            )
        return spec

    def require_same_code(self, name: str, source: SourceFile) -> None:
        """Raise RunError unless the code of this name is that of which a copy is kept: networks here are compared."""
        if file := changed_since(name, source):
            other = "" if file == source.file else f" ({file} differs)"
            raise RunError(
                f"{without_folders(name)} is not the code that {self} was begun with{other}: give "
                f"{setting_name('trust_code')} to run the copy that it holds, or start anew"
            )

    def _copy_of(self, name: str, source: SourceFile) -> str:
        """Return the name by which this directory's copy of own code is imported."""
        return f"{self.code_path / source.file}:{name.rpartition(':')[2]}"

    def member(self, name: str) -> Run:
        """Return a member of this ensemble by its folder, with the same code; it need not be there."""
        return Run(self.path / name, model=self.spec().code)

    def network(self) -> nn.Module:
        """Return the network with its weights, in evaluation mode; torch's generator is left as it was.

        They are the best ones, or those of the checkpoint that this handle names.

        Raises:
            RunError: a file is missing or damaged, or they don't fit together.
        """
        from convscope.runs.tensor_files import averaged, trained_network

        self.require_code()
        spec = self.spec()
        if spec.members is not None:
            return averaged(self._members(spec, spec.members), spec)
        weights = self.read_weights()
        return trained_network(spec, weights, spec_path=self.spec_path, where=from_here(self.weights_source))

    @property
    def weights_source(self) -> Path:
        """Where the weights are read from: the file of the best ones, or the checkpoint that this handle names."""
        return self.opened_path if self.checkpoint else self.weights

    def read_weights(self) -> dict[str, Tensor]:
        """Return the best weights, or those that were measured at the checkpoint, checked against their digest.

        Raises:
            RunError: they are missing or damaged.
        """
        from convscope.runs.checkpoint import read_checkpoint
        from convscope.runs.tensor_files import read_sealed

        self.require_weights()
        if self.checkpoint:
            return dict(read_checkpoint(self.weights_source).measured)
        return read_sealed(self.weights)

    def require_weights(self) -> None:
        """Raise RunError where there are no weights yet; they are not read."""
        if not self.checkpoint and not os.path.lexists(self.weights):
            again = (
                f"its training diverged in its first epoch: train anew, at a lower rate "
                f"({from_here(self.log_path)} says why)"
                if self.has_diverged
                else f"go on training with {call_text('train', resume=self)}, which writes them"
            )
            raise RunError(f"{self} has no weights.safetensors: {again}")

    def _members(self, spec: ModelSpec, members: Members) -> list[nn.Module]:
        """Return the networks of an ensemble; they must have learned the same classes from images alike."""
        if not members.names:
            raise RunError(
                f"none of the {members.planned} members of the ensemble {self} is trained yet: "
                f"go on with {call_text('train', resume=self)}"
            )
        networks = []
        for name in members.names:
            on = call_text("train", resume=self)
            if not os.path.lexists(Run(self.path / name).weights):
                lacks = "has no weights" if (self.path / name).is_dir() else "is missing"
                raise RunError(f"member {name} of the ensemble {self} {lacks}: {on} trains it again")
            try:
                member = self.member(name)
                member.require_spec()
                networks.append(member.network())
            except RunError as error:
                raise RunError(f"{error}; to mend the ensemble, or train its member again: {on}") from error
            if member.spec().of_training != spec.of_training:
                raise RunError(
                    f"{member} does not belong to the ensemble {self}: its network, classes or preprocessing differ"
                )
        return networks

    def scores(self) -> Fields | None:
        """Return the scores as `write_scores` wrote them; None where nothing was measured yet.

        Raises:
            RunError: the file is damaged.
        """
        if not os.path.lexists(self.scores_path):
            return None
        with refused_as(RunError, self.scores_path):
            fields = read_json(self.scores_path)
            fields.require_format(SCORES_FORMAT, remedy="train again")
            return fields

    def measures_of_weights(self) -> dict[str, Any] | None:
        """Return how good the best weights are, as `write_weights` wrote it; None where that is not known."""
        from convscope.runs.tensor_files import read_note

        try:
            return measures(Fields.of(parse_json(read_note(self.weights))))
        except UnreadableError:
            return None
