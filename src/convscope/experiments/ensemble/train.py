"""Train an ensemble: the same recipe, data and split with several seeds, one member after the other.

recipe.toml  model.json (which lists the members)  members.csv  report.html  log.txt  [split.csv]
seed-0/  seed-1/ ...   each member's run directory
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from convscope.api.public import public
from convscope.data.memory.source import InMemory
from convscope.data.open import Probe
from convscope.data.records import Dataset
from convscope.errors import RunError
from convscope.experiments.ensemble.members_ahead import MembersClock, forecast_members, share_left
from convscope.experiments.ensemble.mending import in_order, look_at_begun, usable_members, with_members
from convscope.experiments.ensemble.outcome import EnsembleOutcome
from convscope.experiments.ensemble.scores import measure
from convscope.hardware.rank import Rank
from convscope.recipe.recipe import Recipe
from convscope.recipe.setting import following_seeds
from convscope.report.progress import ProgressOption
from convscope.report.units import percent
from convscope.report.usage import call_text, settings_text
from convscope.runs.atomic_files import WriteError, write_file
from convscope.runs.events import Level, Listener, OnEpoch, Silent, State, Status
from convscope.runs.model_spec import Members, ModelSpec, fitted_on
from convscope.runs.predictor import Predictor
from convscope.runs.run_directory import Run
from convscope.runs.run_like import RunLike, run_to_resume
from convscope.runs.training_display import listening
from convscope.scoring.measured import cautions
from convscope.training.distributed.process_group import ProcessGroup
from convscope.training.forecasts import forecast_notices
from convscope.training.given_data import images_again, recipe_on, require_resumable
from convscope.training.interrupt import warn_if_interrupted
from convscope.training.new_run import new_run
from convscope.training.opening import Opening
from convscope.training.outcome import Outcome
from convscope.training.session import held_out, prepare, spec_of
from convscope.training.timing.forecast import Forecast
from convscope.training.train_run import train_new, train_on

FEWEST = 2
MEMBERS = "members.csv"


@public
def train_ensemble(
    data: str | Path | InMemory | None = None,
    recipe: Recipe | None = None,
    *,
    members: int | None = None,
    classes: Sequence[str] | None = None,
    resume: RunLike | None = None,
    name: str | None = None,
    runs_directory: str | Path = "runs",
    cache_directory: str | Path | None = None,
    on_epoch: OnEpoch | None = None,
    progress: ProgressOption = False,
) -> EnsembleOutcome:
    """Train several networks that differ in their seed alone, and measure the average of their probabilities.

    The members' seeds are the recipe's, the next, and so on; what is held back is the same for all. Averaging seven
    networks took a point and a half off AlexNet's error (Krizhevsky et al. 2012, section 6).

    Args:
        data: as `convscope.train` takes it.
        recipe: every setting; what is left out follows from the data. An ensemble that is resumed keeps its own.
        members: how many, at least 2; with `resume`, as many as were planned unless given.
        classes: as `convscope.train` takes them.
        resume: an ensemble to go on with, or to add members to, by its path or its outcome.
        name: of the directory; the next free name is taken where it exists.
        runs_directory: where it is made.
        cache_directory: where decoded images are kept.
        on_epoch: is called with each epoch of each member, as by `convscope.train`; `StopTraining` ends the ensemble.
        progress: True shows a bar; a function is called as `progress(done, total, what)`.

    Raises:
        RunError: fewer than 2 members, or settings that can't be used.

    >>> import convscope, tempfile
    >>> with tempfile.TemporaryDirectory() as runs:
    ...     recipe = convscope.Recipe(model="lenet5", epochs=1)
    ...     outcome = convscope.train_ensemble("digits", recipe, members=2, runs_directory=runs)
    >>> outcome.ending, [member.path.name for member in outcome.members]
    ('done', ['seed-0', 'seed-1'])
    """
    from convscope.hardware.allocator import prepare_memory

    prepare_memory()
    cache = None if cache_directory is None else Path(cache_directory)
    with listening(progress) as listener:
        if resume is not None:
            require_resumable(name, runs_directory, recipe)
            outcome = train_ensemble_on(
                resume,
                data,
                classes=classes,
                members=members,
                cache_directory=cache,
                listener=listener,
                on_epoch=on_epoch,
            )
        else:
            if members is None:
                raise RunError("members: say how many networks to train, at least 2")
            recipe, given = recipe_on(data, recipe, classes)
            outcome = begin_ensemble(
                recipe,
                members=members,
                name=name,
                runs_directory=Path(runs_directory),
                cache_directory=cache,
                listener=listener,
                given=given,
                on_epoch=on_epoch,
            )
    warn_if_interrupted(outcome.run, interrupted=outcome.interrupted)
    return outcome


def begin_ensemble(
    recipe: Recipe,
    *,
    members: int,
    listener: Listener,
    name: str | None = None,
    runs_directory: Path,
    cache_directory: Path | None = None,
    given: Probe | None = None,
    on_epoch: OnEpoch | None = None,
    began: float | None = None,
) -> EnsembleOutcome:
    """Start an ensemble on `recipe.data`, or on `given` images in memory; arguments and errors as `train_ensemble`.

    Its forecast counts from `began`, on the monotonic clock, or from now.
    """
    began = time.monotonic() if began is None else began
    _check_count(members)
    following_seeds(recipe.seed, members)
    session = prepare(
        recipe,
        Opening(listener=listener, cache_directory=cache_directory, name=name, check=_check_labels, given=given),
    )
    spec = replace(session.spec, members=Members(names=(), planned=members))
    opened = new_run(
        session, runs_directory=runs_directory, default_name="{}-ensemble", spec=spec, group=ProcessGroup()
    )
    with opened as run:
        forecast = forecast_members(session, [1.0] * members, planned=members, began=began)
        for notice in (*session.notices, *forecast_notices(forecast)):
            _notify(run, listener, notice.text, level=notice.level)
        series = _MemberSeries(
            run, session.recipe, session.dataset, given, listener, cache_directory, on_epoch, forecast
        )
        return series.train(spec, {})


def _check_labels(found: Probe) -> None:
    if found.multi_label:
        raise RunError(
            f"{found.source} has several labels an image: members are compared by the one class they predict; "
            "train one network instead"
        )


def train_ensemble_on(
    resume: RunLike,
    data: InMemory | None = None,
    *,
    classes: Sequence[str] | None = None,
    members: int | None = None,
    cache_directory: str | Path | None = None,
    listener: Listener | None = None,
    on_epoch: OnEpoch | None = None,
    began: float | None = None,
) -> EnsembleOutcome:
    """Go on with an ensemble that was stopped, or add members to one; what is trained is not trained again.

    Members are checked first: what was damaged is written again where it follows from the rest, else trained again.

    Raises:
        RunError: not an ensemble, fewer members than there are, or one that is complete.
    """
    listener, began = listener or Silent(), time.monotonic() if began is None else began
    run = run_to_resume(resume)
    with run.locked():
        run.require_code()
        recipe, spec = run.recipe(), run.spec()
        if spec.source is not None:
            run.require_same_code(spec.code, spec.source)
            recipe = recipe.changed({"model": spec.code})
        if spec.members is None:
            raise RunError(f"{run} is one network's run, not an ensemble: resume it as one network, by train")
        listed = spec.members.names
        planned = spec.members.planned if members is None else members
        _check_count(planned)
        if planned < len(listed):
            raise RunError(f"{run} has {len(listed)} members already: give more, not {planned}")
        trained = usable_members(run, recipe, spec, following_seeds(recipe.seed, planned))
        if planned == len(trained.names) and not trained.notes and _is_measured(run):
            raise RunError(f"{run} has all of its {planned} members: add some, {settings_text(members=planned + 1)}")
        spec = with_members(spec, trained.names, planned)
        run.write_spec(spec)
        for note in trained.notes:
            _notify(run, listener, note, level="warning")
        cache = None if cache_directory is None else Path(cache_directory)
        given = images_again(run, data, classes, spec.classes)
        session = prepare(
            recipe, Opening(listener=listener, cache_directory=cache, resumed=spec.of_training, given=given)
        )
        if spec_of(session.resolved, session.dataset) != session.spec:
            raise RunError(f"the images of {recipe.data} have changed since {run} was begun: start a new ensemble")
        shares = [
            share_left(run.member(name_of(seed)))
            for seed in following_seeds(recipe.seed, planned)
            if seed not in trained.names
        ]
        forecast = forecast_members(session, shares, planned=planned, began=began, resumed=True)
        for notice in forecast_notices(forecast):
            _notify(run, listener, notice.text, level=notice.level)
        series = _MemberSeries(run, recipe, session.dataset, given, listener, cache, on_epoch, forecast)
        return series.train(spec, trained.names)


def name_of(seed: int) -> str:
    """Return the name of a member's run directory."""
    return f"seed-{seed}"


def _is_measured(run: Run) -> bool:
    """Return whether the ensemble's page and its members' accuracies are there."""
    return run.report.is_file() and (run.path / MEMBERS).is_file()


def _notify(run: Run, listener: Listener, line: str, *, level: Level = "info") -> None:
    (listener.warn if level == "warning" else listener.notify)(line)
    run.log(line, level=level)


@dataclass(frozen=True)
class _MemberSeries:
    """The trainings of an ensemble's members in one call."""

    run: Run
    recipe: Recipe
    dataset: Dataset
    given: Probe | None  # the images, where they are in memory
    listener: Listener
    cache: Path | None
    on_epoch: OnEpoch | None
    forecast: Forecast
    started: float = field(default_factory=time.time)

    def train(self, spec: ModelSpec, names: Mapping[int, str]) -> EnsembleOutcome:
        """Train the members that are not among the names by seed, then measure all of them; keep status.json true."""
        trained = dict(names)
        assert spec.members is not None
        planned = spec.members.planned
        self._write_status("training", trained, planned)
        try:
            outcome = self._train(spec, trained, planned)
        except BaseException as error:
            with suppress(WriteError):
                ended: State = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
                self._write_status(ended, trained, planned, reason=str(error))
            raise
        self._write_status(outcome.ending, trained, planned)
        return outcome

    def _write_status(self, state: State, trained: Mapping[int, str], planned: int, *, reason: str = "") -> None:
        started = round(self.started, 3)
        self.run.write_status(Status(state=state, epoch=len(trained), epochs=planned, reason=reason, started=started))

    def _train(self, spec: ModelSpec, trained: dict[int, str], planned: int) -> EnsembleOutcome:
        run, clock, seeds = self.run, MembersClock(), following_seeds(self.recipe.seed, planned)
        for number, seed in enumerate(seeds, 1):
            if seed in trained:
                continue
            share, began = share_left(run.member(name_of(seed))), time.monotonic()
            _notify(run, self.listener, f"member {number} of {planned}, seed {seed}, of the ensemble {run}")
            begun, outcome = self._train_member(self.recipe.changed({"seed": seed}), spec)
            if outcome is not None and outcome.ending in ("stopped", "interrupted"):
                go_on = call_text("train", resume=run)
                _notify(run, self.listener, f"{len(trained)} of {planned} members are trained; to go on: {go_on}")
                return EnsembleOutcome(
                    run=run,
                    ending="interrupted" if outcome.interrupted else "stopped",
                    exit_code=outcome.exit_code,
                    members=tuple(map(run.member, in_order(trained))),
                    planned=planned,
                    scores=None,
                    forecast=self.forecast,
                )
            trained[seed] = begun.path.name
            spec = with_members(spec, trained, planned)
            run.write_spec(spec)
            self._write_status("training", trained, planned)
            clock.ended(took=time.monotonic() - began, share=share)
            left = clock.left([share_left(run.member(name_of(one))) for one in seeds if one not in trained])
            _notify(run, self.listener, f"{len(trained)} of {planned} members are trained{left}")
        return replace(_finish(run, self.recipe, spec, self.dataset, self.listener), forecast=self.forecast)

    def _train_member(self, recipe: Recipe, spec: ModelSpec) -> tuple[Run, Outcome | None]:
        """Train a member, or go on with it; the outcome is None where it was complete already."""
        name = name_of(recipe.seed)
        begun = self.run.member(name)
        if begun.path.is_dir():
            with begun.locked():
                state, notes = look_at_begun(begun, self.run, recipe, spec)
            for note in notes:
                _notify(self.run, self.listener, note, level="warning")
            if state == "complete":
                return begun, None
            if state == "begun":
                return begun, train_on(
                    begun,
                    {},
                    listener=self.listener,
                    cache_directory=self.cache,
                    given=self.given,
                    on_epoch=self.on_epoch,
                )
        outcome = train_new(
            recipe,
            listener=self.listener,
            name=name,
            runs_directory=self.run.path,
            cache_directory=self.cache,
            earlier=spec.classes,
            given=self.given,
            on_epoch=self.on_epoch,
        )
        return outcome.run, outcome


def _finish(run: Run, recipe: Recipe, spec: ModelSpec, dataset: Dataset, listener: Listener) -> EnsembleOutcome:
    from convscope.experiments.ensemble.page import ensemble_document
    from convscope.report.html import document_page

    assert spec.members is not None
    planned = spec.members.planned
    members = tuple(map(run.member, spec.members.names))
    measured = held_out(dataset)
    scores = None
    hidden: tuple[str, ...] = ()
    if measured is not None:
        split, images = measured
        device, val = str(recipe.device), dataset.val
        if (recipe.calibrate or recipe.miss_rate) and val is not None and len(val):
            predictor = Predictor(run.network(), spec, device=device)
            of_val = predictor.scores(val, progress=listener.progressed, what="measuring on val")[:, 1]
            spec = fitted_on(spec, of_val, val, calibrate=recipe.calibrate, miss_rate=recipe.miss_rate)
            run.write_spec(spec)
        scores = measure(run, members, images, spec=spec, split=split, device=device, progress=listener.progressed)
        header = ("member", "seed", f"{split}/accuracy_top1")
        rows = [
            (member.path.name, member.recipe().seed, f"{accuracy:.6g}")
            for member, accuracy in zip(members, scores.members, strict=True)
        ]
        run.write_table(run.path / MEMBERS, header, rows)
        run.log(f"{len(members)} members: {percent(scores.ensemble.accuracy_top1, decimals=2)} on {split}")
        hidden = cautions(scores.ensemble, class_weights=recipe.class_weights)
        report = ensemble_document(run, recipe, members, scores, images, cautions=hidden)
        write_file(run.report, document_page(report))
    return EnsembleOutcome(
        run=run,
        ending="done",
        exit_code=0,
        members=members,
        planned=planned,
        scores=scores,
        cautions=hidden,
    )


def _check_count(members: int) -> None:
    if members < FEWEST:
        raise RunError(
            f"an ensemble of {members}: averaging takes at least {FEWEST} members; {call_text('train')} trains one"
        )
    if Rank.of().size > 1:
        raise RunError(
            "the members of an ensemble are trained one after the other, not under torchrun: start it plainly"
        )
