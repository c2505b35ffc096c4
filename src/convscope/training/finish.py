"""The end of a run, however it came: the last files, the measuring, the report, and what the run came to."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from convscope.arrays import Floats
from convscope.data.records import ImageSet
from convscope.errors import RunError
from convscope.interpret.learned.in_training import LearnedInTraining, learned_in_training, seconds_allowed
from convscope.report.usage import call_text, settings_text
from convscope.runs.atomic_files import WriteError
from convscope.runs.checkpoint import STATE, saved_checkpoints
from convscope.runs.events import State
from convscope.runs.layer_norms import NormSample
from convscope.runs.model_spec import ModelSpec, fitted_on
from convscope.runs.run_directory import Run
from convscope.runs.tensor_files import load_weights
from convscope.scoring.answer import evaluation_batch, scores_of_images
from convscope.scoring.measured import AnyScores, caution_on_validation, cautions, measure, name_of_measure, one_measure
from convscope.scoring.test_time_augmentation import ONE
from convscope.training.end_views import choose_views
from convscope.training.interrupt import EXIT_OFFSET, StopRequest
from convscope.training.job import Job
from convscope.training.kept_state import keep_reached, notify_unreadable, unreadable, write_best
from convscope.training.loop.nonfinite import remark_on
from convscope.training.loop.state import batches_of
from convscope.training.outcome import Outcome
from convscope.training.report.report import UNWRITTEN, TrainingReport, write_report
from convscope.training.report.time_taken import TimeTaken
from convscope.training.resolve.resolved_recipe import choice_lines
from convscope.training.session import held_out
from convscope.training.timing.rates import REPORT_SECONDS

# The state in status.json for each way that a training ends.
STATES: Mapping[str, State] = {
    "done": "done",
    "early": "done",
    "stopped": "stopped",
    "interrupted": "interrupted",
    "diverged": "diverged",
    "lost": "failed",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class _EndMeasures:
    """What was measured at the end of a training.

    Args:
        spec: the job's, with what is chosen on validation: the temperature, the threshold of the defect score.
        scores: of the best weights; None where there are no images to measure, or no time.
        one_view: the measure with one view of each image, where the run looks at several.
        learned: what the report shows of what was learned; None but in the process that writes it.
    """

    spec: ModelSpec
    scores: AnyScores | None = None
    one_view: float | None = None
    learned: LearnedInTraining | None = None


def finish(job: Job, ending: str, request: StopRequest, *, reason: str = "", advice: str = "") -> Outcome:
    """Write what was reached and the report; measure on the test part once the training is complete.

    `reason` and `advice` say why it could not go on, and what to do.
    """
    began_to_finish = time.monotonic()
    state, run, group = job.state, job.run, job.group
    complete = ending in ("done", "early")
    remark = remark_on(state.rows, job.settings, state.network, classes=len(job.spec.classes)) if complete else None
    if remark:
        job.warn(remark)
    # Those of an epoch that did not come to its end.
    notify_unreadable(job)
    if group.first:
        keep_reached(job)
    measured = _EndMeasures(spec=job.spec)
    if state.best is not None and ending not in ("diverged", "lost"):
        # A machine that is being taken away (SIGTERM) gives seconds: enough to write, not to measure. torchrun gives
        # its processes no more than that after Ctrl-C either.
        hurried = request.signal_number == signal.SIGTERM or (group.size > 1 and not complete)
        # Not through the store: torchrun may be gone.
        if not group.total(torch.tensor([float(hurried)])).item():
            if complete:
                choose_views(job)
            measured = _measure(job, whole=complete)
    if group.first:
        # After the weights that its temperature and threshold are for. Where nothing was measured, what it says stays.
        if measured.spec != job.spec:
            run.write_spec(measured.spec)
        run.write_scores(None if measured.scores is None else _kept(measured.scores))
        write_report(
            _report(
                job,
                ending,
                reason=reason,
                advice=advice,
                remark=remark,
                measured=measured,
                finish_seconds=time.monotonic() - began_to_finish,
            )
        )
    job.write_status(
        "diverged" if remark else "failed" if request.error else STATES[ending], reason=reason or remark or ""
    )
    return Outcome(
        run=run,
        ending=ending,
        # Where another process of the group got the signal, this one did not.
        exit_code=(request.exit_code or EXIT_OFFSET + signal.SIGTERM) if ending == "interrupted" else 0,
        best=state.best,
        epochs=state.epoch,
        seconds=state.seconds,
        scores=measured.scores,
        measured=name_of_measure(multi_label=job.dataset.multi_label),
        one_view=measured.one_view,
        cautions=_cautions(job, measured.scores),
        remark=remark or "",
        rows=tuple(state.rows),
        loss_name=job.spec.objective.measured,
        forecast=job.session.forecast,
        command_seconds=job.command_seconds,
    )


def is_finished(run: Run, best: Mapping[str, object]) -> bool:
    """Return whether a run with all epochs has its best weights, with these metrics, and their report.

    A process that is killed after the last checkpoint leaves neither, or those of an earlier epoch.
    """
    saved = saved_checkpoints(run.checkpoints)
    if not saved or run.measures_of_weights() != best:
        return False
    try:
        run.read_weights()
        return run.report.stat().st_mtime_ns >= (saved[-1] / STATE).stat().st_mtime_ns
    except (OSError, RunError):
        return False


def finish_unwritten(job: Job, error: WriteError) -> str:
    """Write what still fits where the disk refused a file: the best weights, then the report, then the checkpoint.

    Returns the error with what is kept and how to go on, for the user and the log.
    """
    kept = []
    run, best = job.run, job.state.best
    if not run.path.exists():
        return f"{error}; the run's folder is gone, and nothing of it is kept"
    if best is not None:
        _fits(lambda: write_best(job, best))
    # Those of an earlier epoch, where there is room for one file of weights, and not for two while they are replaced.
    if measures := run.measures_of_weights():
        is_best = best is not None and measures == best.measures
        kept.append(f"the weights of epoch {measures['epoch']}{', the best' if is_best else ''}")
    if _fits(lambda: write_report(_report(job, UNWRITTEN, reason=str(error)))):
        kept.append("the report")
    _fits(lambda: keep_reached(job))
    if job.saved_epoch:
        kept.append(f"the checkpoint of epoch {job.saved_epoch}")
    if not saved_checkpoints(run.checkpoints) and run.weights.exists():
        on = f"start a new run with {settings_text(recipe=run.recipe_path)}"
    else:
        on = f"go on with {call_text('train', resume=run)}"
    line = f"{error}; kept: {', '.join(kept) or 'nothing'}; make room, and {on}"
    _fits(lambda: run.log(line))
    _fits(lambda: job.write_status("failed", reason=str(error)))
    return line


def _fits(write: Callable[[], object]) -> bool:
    """Return whether the disk takes what `write` writes."""
    try:
        write()
    except WriteError:
        return False
    return True


def _report(
    job: Job,
    ending: str,
    *,
    reason: str = "",
    advice: str = "",
    remark: str | None = None,
    measured: _EndMeasures | None = None,
    finish_seconds: float = 0.0,
) -> TrainingReport:
    """Return the content of the report of a run that has ended."""
    best = job.state.best
    found = measured or _EndMeasures(spec=job.spec)
    return TrainingReport(
        run=job.run,
        recipe=job.resolved.recipe,
        reasons=(
            *(notice.text for notice in job.resolved.notices),
            *choice_lines(job.resolved.choices),
            f"forecast: {job.session.forecast.text}" if job.session.forecast else "",
        ),
        weights=job.resolved.parameters,
        dataset=replace(job.dataset, problems=job.dataset.problems + unreadable(job.session.train)),
        spec=job.spec,
        batches=batches_of(job.settings, job.session.train),
        rows=tuple(job.state.rows),
        best_epoch=best.epoch if best else None,
        best_accuracy=best.accuracy if best else None,
        best_weights=best.weights if best else None,
        ending=ending,
        reason=reason,
        advice=advice,
        remark=remark,
        scores=found.scores,
        one_view=found.one_view,
        cautions=_cautions(job, found.scores),
        steps=(job.steps_done, job.plan.steps),
        time=TimeTaken(
            whole=job.command_seconds,
            training=job.state.seconds - job.earlier_seconds,
            finish=finish_seconds,
            forecast=job.session.forecast,
            complete=ending in ("done", "early"),
            minutes=job.session.budget.text if job.session.budget else "",
            plan=job.plan,
            reasons=job.state.reasons,
        ),
        norms=_norms(job.run),
        learned=found.learned,
    )


def _kept(scores: AnyScores) -> dict[str, object]:
    """Return the scores that runs are compared by: by class, without the mistakes, the curves and the matrix."""
    left_out = ("confusion_matrix", "most_confused", "worst_mistakes", "curves")
    return {name: value for name, value in scores.to_dict(mistakes=0).items() if name not in left_out}


def _norms(run: Run) -> tuple[NormSample, ...]:
    """Return the norms of the run's layers; none where the file can't be read, which is no reason to lose a report."""
    try:
        return run.norms()
    except RunError:
        return ()


def _cautions(job: Job, scores: AnyScores | None) -> tuple[str, ...]:
    """Return the cautions of the scores; classes without validation images are named once."""
    if scores is None:
        return ()
    of_validation = caution_on_validation(job.dataset) if scores.split != "val" else ()
    if job.resolved.recipe.calibrate and (job.dataset.val is None or not len(job.dataset.val)):
        of_validation = ("no validation images: probabilities are not calibrated",)
    return (*of_validation, *cautions(scores, class_weights=job.resolved.recipe.class_weights))


def _measure(job: Job, *, whole: bool) -> _EndMeasures:
    """Measure the best weights, on the test split if the training is complete, else on validation."""
    assert job.state.best is not None
    part = held_out(job.dataset, test=whole)
    if part is None:
        return _EndMeasures(spec=job.spec)
    split, images = part
    load_weights(job.state.network, job.state.best.weights, where="the best weights")
    both = _answers(job, images, f"measuring on {split}")
    spec, recipe, val = job.spec, job.resolved.recipe, job.dataset.val
    if (recipe.calibrate or recipe.miss_rate) and val is not None and len(val):
        of_val = both if val is images else _answers_of_val(job, val)
        spec = fitted_on(spec, of_val[:, 1], val, calibrate=recipe.calibrate, miss_rate=recipe.miss_rate)
    rule = spec.defect_rule
    return _EndMeasures(
        spec=spec,
        scores=measure(both[:, 1], images, classes=spec.classes, split=split, objective=spec.objective, rule=rule),
        one_view=None if spec.tta == ONE else one_measure(both[:, 0], images),
        learned=_learned(job, spec, images, split, both[:, 0]) if job.group.first else None,
    )


def _learned(job: Job, spec: ModelSpec, images: ImageSet, split: str, scores: Floats) -> LearnedInTraining:
    """Return what the report shows of what was learned, within its share of the time.

    `scores` are of one view of each image, as its maps are.
    """
    budget = job.session.budget
    left = budget.deadline - time.monotonic() - REPORT_SECONDS if budget is not None and budget.given else None
    return learned_in_training(
        job.state.network,
        images,
        spec.normalization,
        scores,
        allowed=seconds_allowed(job.state.seconds - job.earlier_seconds, left),
        name=spec.name,
        objective=spec.objective,
        classes=spec.classes,
        data=f"{job.dataset.source}, {split}",
    )


def _answers_of_val(job: Job, val: ImageSet) -> npt.NDArray[np.float64]:
    """Return `_answers` of the validation images: where the solved head is kept, its scores of their features."""
    assert job.state.best is not None
    if job.solved_scores is not None and not job.state.best.epoch and job.spec.tta == ONE:
        return np.stack([job.solved_scores] * 2, axis=1)
    return _answers(job, val, "measuring on val")


def _answers(job: Job, images: ImageSet, what: str) -> npt.NDArray[np.float64]:
    """Return the scores (N, 2, classes) of images, each process computing a part: of one view, and of all."""

    def of_part(part: ImageSet) -> npt.NDArray[np.float64]:
        return scores_of_images(
            job.state.network,
            part,
            job.spec.normalization,
            views=job.spec.tta,
            device=job.resolved.device,
            progress=job.listener.progressed,
            what=what,
        )

    return job.group.each_part(images, of_part, evaluation_batch(images.images.shape[1:]))
