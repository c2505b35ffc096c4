"""Run the trainings that are still to do, and write each result as it arrives."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from convscope.errors import RunError
from convscope.experiments.ablation.findings import compare_with_notes, find, is_the_notes_case
from convscope.experiments.ablation.plan import AblationPlan
from convscope.experiments.ablation.record import Ablation
from convscope.experiments.ablation.results import RESULTS, read_results, write_results
from convscope.experiments.ablation.trial import Trial, measured_on, own_settings
from convscope.experiments.ablation.trials_ahead import forecast_trials
from convscope.experiments.ablation.variants import Variant
from convscope.experiments.ablation.worker_pool import trials
from convscope.nets.own_code import without_folders
from convscope.recipe.recipe_file import to_toml
from convscope.report.units import percent, plural, seconds
from convscope.report.usage import call_text, setting_name
from convscope.runs.atomic_files import WriteError, write_file
from convscope.runs.events import Listener, Silent, State, Status
from convscope.runs.run_directory import Run
from convscope.training.forecasts import forecast_notices
from convscope.training.interrupt import StopRequest, handling_interrupts
from convscope.training.optim.optimizers import against_divergence
from convscope.training.resolve.memory import halved, with_backoff
from convscope.training.resolve.resolved_recipe import Notice
from convscope.training.session import Session
from convscope.training.timing.forecast import Forecast

FAILED = 2  # the exit code of an ablation that found nothing


class OpeningListener(Silent):
    """Passes on the progress of opening the images."""

    def __init__(self, listener: Listener) -> None:
        self.progressed = listener.progressed  # type: ignore[method-assign]


@dataclass(frozen=True, kw_only=True)
class Series:
    """The trainings of a plan in one call, `jobs` at once."""

    run: Run
    plan: AblationPlan
    session: Session
    listener: Listener
    cache_directory: Path | None
    jobs: int
    # When the command began, on the monotonic clock, and whether it goes on with an ablation.
    began: float
    resumed: bool = False
    # The caller's function, which is given each training's result once it is written.
    on_trial: Callable[[Trial], object] | None = None
    started: float = field(default_factory=time.time)

    def train(self, done: list[Trial]) -> Ablation:
        """Train what the plan still lacks, write each result as it comes, and compare them all.

        Where a step does not fit the memory, all trainings get half the batch, a quarter, ...: with different batches
        they would not compare.

        Raises:
            RunError: a step does not fit, and a training is complete already or there is nothing left to halve.
        """
        return with_backoff(self, lambda series: series._train(done), Series._with_half_the_batch)

    def _with_half_the_batch(self, refused: str) -> Series:
        if read_results(self.run).trials:
            raise RunError(f"{refused}, and the complete trainings had this batch: free memory")
        resolved, notice = halved(self.session.resolved)
        self.notices([notice])
        write_file(self.run.recipe_path, to_toml(resolved.recipe))
        return replace(self, session=replace(self.session, resolved=resolved))

    def _train(self, done: list[Trial]) -> Ablation:
        tasks = self.plan.pending(done)
        resolved = self.session.resolved
        for line in self._differing():
            self.notify(line)
        at_once = f", {self.jobs} at once" if self.jobs > 1 else ""
        if tasks:
            self.notify(
                f"{plural(len(tasks), 'training')} of {without_folders(resolved.model)}, "
                f"{plural(resolved.epochs, 'epoch')} each, on {resolved.device} with "
                f"{plural(resolved.mode.threads, 'thread')} each{at_once}; "
                f"all at learning rate {resolved.learning_rate:g}"
            )
        forecast = None
        if tasks:
            forecast = forecast_trials(
                self.session, self.plan, tasks, jobs=self.jobs, began=self.began, resumed=self.resumed
            )
            self.notices(forecast_notices(forecast))
        self._write_status("training", done)
        try:
            return self._train_all(tasks, done, forecast)
        except BaseException as error:
            ended: State = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
            status = self.run.status()
            if status is not None and status.state == "training":
                with suppress(WriteError):
                    self._write_status(ended, read_results(self.run).trials, reason=str(error))
            raise

    def _train_all(self, tasks: list[tuple[Variant, int]], done: list[Trial], forecast: Forecast | None) -> Ablation:
        clock = _Clock(len(tasks), self.listener)
        everything = list(done)
        stopping = f"stopping; trainings that are not complete start over on {setting_name('resume')}"
        with handling_interrupts(lambda: self.notify(stopping)) as request:
            coming = trials(
                tasks,
                session=self.session,
                cache_directory=self.cache_directory,
                jobs=self.jobs,
                moved=clock.moved,
                stop=lambda: bool(request),
            )
            with closing(coming):  # however this ends, so do the workers
                for trial in coming:
                    everything.append(trial)
                    everything.sort(key=self._place)
                    self._write(everything)
                    self._write_status("training", everything)
                    self.notify(self._line(trial, len(everything), clock.left))
                    request.call(self.on_trial, trial)
                    if request.called:
                        break
            return replace(self._finish(everything, request), forecast=forecast)

    def _write(self, trials: list[Trial]) -> None:
        """Write all results; where the disk refuses, say what is kept."""
        try:
            write_results(self.run, trials)
        except WriteError as error:
            kept = f"{plural(len(read_results(self.run).trials), 'training')} in {self.run.path / RESULTS}"
            on = call_text("ablate", resume=self.run)
            raise WriteError(f"{error}; kept: {kept}; make room, and go on with {on}") from error

    def _differing(self) -> list[str]:
        """Describe the variants with settings of their own."""
        whole = self.session.resolved.architecture.on_meta()
        lines = (own_settings(self.session.resolved, variant, whole) for variant in self.plan.variants)
        return [line for line in lines if line]

    def _finish(self, done: list[Trial], request: StopRequest) -> Ablation:
        findings = find(self.plan, done)
        listing = self.session.found.listing
        notes = is_the_notes_case(self.session.resolved.model, listing, findings)
        complete = not self.plan.pending(done)
        trouble = self._trouble(done)
        ending: State = "done" if complete else "stopped" if request.called else "interrupted"
        ablation = Ablation(
            run=self.run,
            recipe=self.session.recipe,
            ending=ending,
            exit_code=(FAILED if trouble else 0) if complete else request.exit_code,
            plan=self.plan,
            trials=tuple(done),
            measured_on=measured_on(self.session)[0],
            findings=findings,
            claims=tuple(compare_with_notes(findings)) if notes else (),
            trouble=trouble,
        )
        if trouble:
            self.run.log(trouble)
        if done:
            write_file(self.run.report, ablation.to_html())
        self._write_status("failed" if request.error else ending, done, reason=trouble)
        request.raise_error(f"the ablation {self.run} is kept with {plural(len(done), 'training')}, and can be resumed")
        return ablation

    def _write_status(self, state: State, done: Sequence[Trial], *, reason: str = "") -> None:
        planned = len(self.plan.variants) * len(self.plan.seeds)
        started = round(self.started, 3)
        self.run.write_status(Status(state=state, epoch=len(done), epochs=planned, reason=reason, started=started))

    def _trouble(self, done: list[Trial]) -> str:
        """Return the advice if every training diverged."""
        if not done or any(trial.accuracy is not None for trial in done):
            return ""
        resolved = self.session.resolved
        advice = against_divergence(
            resolved.learning_rate,
            optimizer=resolved.optimizer,
            batch_size=resolved.batch_size,
            network=resolved.architecture.on_meta(),
        )
        return f"nothing to compare: {plural(len(done), 'training')} ended, and every one diverged; {advice}"

    def _place(self, trial: Trial) -> tuple[int, int]:
        names = [variant.name for variant in self.plan.variants]
        return names.index(trial.variant), trial.seed

    def _line(self, trial: Trial, done: int, left: float | None) -> str:
        label = next(variant.label for variant in self.plan.variants if variant.name == trial.variant)
        came_to = "diverged" if trial.accuracy is None else percent(trial.accuracy, decimals=2)
        of = len(self.plan.variants) * len(self.plan.seeds)
        more = f"; {seconds(left)} left" if left else ""
        return f"{done} of {of}  {label}, seed {trial.seed}: {came_to} in {seconds(trial.seconds)}{more}"

    def notify(self, line: str) -> None:
        """Notify the listener, and add the line to the log."""
        self.listener.notify(line)
        self.run.log(line)

    def notices(self, notices: Iterable[Notice]) -> None:
        """Pass on what was found while the images were opened."""
        for notice in notices:
            (self.listener.warn if notice.level == "warning" else self.listener.notify)(notice.text)
            self.run.log(notice.text, level=notice.level)


class _Clock:
    """How much of all trainings is done, and what that says of the time left."""

    def __init__(self, tasks: int, listener: Listener) -> None:
        self._shares = [0.0] * tasks
        self._listener = listener
        self._began = time.monotonic()

    @property
    def left(self) -> float | None:
        """Seconds to the end at the pace so far; None before there is a pace."""
        done = sum(self._shares)
        return (time.monotonic() - self._began) / done * (len(self._shares) - done) if done else None

    def moved(self, task: int, share: float) -> None:
        """Update the progress of a task."""
        self._shares[task] = max(self._shares[task], share)
        self._listener.moved(sum(self._shares) / len(self._shares), self.left)
