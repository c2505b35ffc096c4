"""The start of a training whose head is solved: features of every image, a fit, and the network with it as epoch 0.

The network outside its head stays bit for bit as it is. What follows is the ordinary loop, of none or more epochs: it
begins with the solved head as the best weights so far, and keeps them unless an epoch is better on validation.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from convscope.arrays import Floats
from convscope.data.pixels.cache_budget import cache_directory as default_cache_directory
from convscope.data.records import ImageSet, Labels
from convscope.errors import RunError
from convscope.report.units import exact, percent, plural, seconds
from convscope.report.usage import settings_text
from convscope.runs.events import EpochRow
from convscope.scoring.answer import evaluation_batch
from convscope.scoring.linear_penalty import HeadFit, Samples, fit_head
from convscope.scoring.measured import name_of_measure, one_measure
from convscope.training.job import Job
from convscope.training.kept_state import keep_epoch
from convscope.training.loop.state import Best, copy_weights
from convscope.training.probe.backbone import backbone_of
from convscope.training.probe.features import Backbone, FeatureSet, StoppedError, compute_features
from convscope.training.probe.linear_head import LinearHead
from convscope.training.probe.neighbors import neighbor_scores
from convscope.training.resolve.head import SOLVE


def is_to_solve(job: Job) -> bool:
    """Return whether the recipe asks for a solved head and the run has none yet."""
    return job.resolved.head == SOLVE and job.state.best is None


def solve_head(job: Job, stop: Callable[[], bool], cache_directory: Path | None = None) -> bool:
    """Solve the head and keep it as epoch 0; return False where `stop()` ended it before.

    Of several processes each computes the features of a part of the images, and all take the fit of the first.

    Raises:
        RunError: features that are not finite.
    """
    began = time.perf_counter()
    try:
        row, found = _solved(job, stop, cache_directory or default_cache_directory())
    except StoppedError:
        return False
    state = job.state
    state.seconds += time.perf_counter() - began
    row = replace(row, seconds=state.seconds)
    state.best = Best(0, row.val_accuracy, row.val_loss, copy_weights(state.evaluated))
    state.rows.append(row)
    for line in found:
        job.notify(line)
    job.listener.epoch_ended(row)
    keep_epoch(job)
    return True


def _solved(job: Job, stop: Callable[[], bool], cache: Path) -> tuple[EpochRow, list[str]]:
    """Solve the head in place; return the row of epoch 0 and lines for the log."""
    state, resolved, train, val = job.state, job.resolved, job.session.train, job.dataset.val
    mode = resolved.features_mode
    backbone = backbone_of(state.network, job.spec, train, mode=mode, device=resolved.device, cache=cache)
    head = backbone.head
    began = time.perf_counter()
    learned = _features(job, backbone, train, resolved.head_views, stop, "computing features of train")
    held = None
    if val is not None and len(val):
        held = _features(job, backbone, val, "one", stop, "computing features of val")
    passed = time.perf_counter() - began
    _require_finite(learned, "train")
    if held is not None:
        _require_finite(held, "val")
    lines = _of_features(learned, held, passed)
    began = time.perf_counter()
    found = _fitted(job, learned, held, head, stop)
    head.set(found.fit)
    job.group.copy_from_first(state.network)
    if state.average is not None:
        state.average.network.load_state_dict(state.network.state_dict())
    row = _row(job, head, learned, held, passed)
    lines.append(_of_fit(found, row, head, time.perf_counter() - began, job))
    if resolved.neighbors and held is not None and val is not None:
        lines.append(_of_neighbors(job, learned, held, val))
    return row, lines


def _features(
    job: Job, backbone: Backbone, images: ImageSet, views: str, stop: Callable[[], bool], what: str
) -> FeatureSet:
    """Return the features of images; of several processes each computes those of some whole batches."""
    progress, group = job.listener.progressed, job.group
    if group.size == 1:
        return compute_features(backbone, images, views=views, progress=progress, what=what, stop=stop)
    own: list[FeatureSet] = []

    def of_part(part: ImageSet) -> Floats:
        # Without a stop: the others would wait for this process's part.
        found = compute_features(backbone, part, views=views, progress=progress, what=what)
        own.append(found)
        columns = [part.labels[found.rows][:, None], *(view.numpy() for view in found.views)]
        return np.concatenate(columns, 1, dtype=np.float64)

    # A part has its rows' numbers in the place of labels.
    numbered = replace(images, labels=np.arange(len(images)), targets=None)
    together = group.each_part(numbered, of_part, evaluation_batch(images.images.shape[1:]))
    if group.total(torch.tensor([float(stop())])).item():
        raise StoppedError
    of_all = torch.split(torch.from_numpy(together[:, 1:].astype(np.float32)), own[0].views[0].shape[1], 1)
    computed = int(group.total(torch.tensor([float(own[0].computed)])).item())
    return replace(own[0], views=of_all, rows=together[:, 0].astype(np.int64), computed=computed)


def _require_finite(found: FeatureSet, split: str) -> None:
    """Raise RunError where features are not numbers: nothing can be fitted to them."""
    finite = torch.stack([view.isfinite().all(1) for view in found.views]).all(0)
    if wrong := int((~finite).sum()):
        raise RunError(
            f"head solve: the features of {plural(wrong, 'image')} of {split} are not finite: look for NaN and "
            f"infinity in the weights, or take {settings_text(precision='fp32')}"
        )


def _fitted(
    job: Job, learned: FeatureSet, held: FeatureSet | None, head: LinearHead, stop: Callable[[], bool]
) -> HeadFit:
    """Return the fit to the features of every view of the training images."""
    resolved, train, val = job.resolved, job.session.train, job.dataset.val
    objective = replace(job.settings.objective, class_weights=_on_cpu(job.settings.objective.class_weights))
    views = len(learned.views)
    samples = Samples(
        features=torch.cat(learned.views),
        targets=torch.cat([learned.answers(train)] * views),
        units=np.tile(_units(train)[learned.rows], views),
    )
    of_val = None
    if held is not None and val is not None:
        of_val = Samples(features=held.views[0], targets=held.answers(val), units=held.rows)
    found = fit_head(
        samples,
        of_val,
        objective,
        classes=len(job.spec.classes),
        biased=head.layer.bias is not None,
        l2=resolved.head_l2,
        seed=resolved.seed,
        stop=stop,
    )
    if stop():
        raise StoppedError
    return found


def _units(images: ImageSet) -> Labels:
    """Return a number for each image, the same for images of one group."""
    if images.groups is None:
        return np.arange(len(images))
    numbers: Labels = np.unique(np.array(images.groups), return_inverse=True)[1]
    return numbers


def _on_cpu(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.cpu()


def _row(job: Job, head: LinearHead, learned: FeatureSet, held: FeatureSet | None, passed: float) -> EpochRow:
    """Return the measures of the solved head, as an epoch has them: on plain views, and without smoothing."""
    train, val, objective = job.session.train, job.dataset.val, job.spec.objective
    scores, targets = head.scores(learned.views[0].to(job.resolved.device)).cpu(), learned.answers(train)
    val_loss = val_accuracy = None
    images = len(learned.rows)
    if held is not None and val is not None:
        of_val = head.scores(held.views[0].to(job.resolved.device)).cpu().double().numpy()
        job.solved_scores = of_val
        val_accuracy, val_loss = one_measure(of_val, val), objective.plain_of_scores(of_val, val.answers)
        images += len(held.rows)
    return EpochRow(
        epoch=0,
        seconds=0.0,
        train_loss=float(objective.plain(scores.double(), targets)),
        train_accuracy=float(objective.count_right(scores, targets)) / len(scores),
        val_loss=val_loss,
        val_accuracy=val_accuracy,
        learning_rate=0.0,
        images_per_second=images / max(passed, 1e-9),
        data_wait=0.0,
        best=True,
        multi_label=train.targets is not None,
    )


def _of_features(learned: FeatureSet, held: FeatureSet | None, passed: float) -> list[str]:
    """Return what the pass over the images came to."""
    views, width = len(learned.views), learned.views[0].shape[1]
    images = len(learned.rows) + (0 if held is None else len(held.rows))
    wanted = len(learned.rows) * views + (0 if held is None else len(held.rows))
    computed = learned.computed + (0 if held is None else held.computed)
    kept = f", {exact(wanted - computed)} of {exact(wanted)} from the cache" if computed < wanted else ""
    of_views = f" in {plural(views, 'view')}" if views > 1 else ""
    lines = [f"features: {exact(width)} of each of {plural(images, 'image')}{of_views} in {seconds(passed)}{kept}"]
    if problem := learned.problem or (held.problem if held else ""):
        lines.append(f"features are not kept for another run: {problem}")
    return lines


def _of_fit(found: HeadFit, row: EpochRow, head: LinearHead, passed: float, job: Job) -> str:
    chosen = f", the best of {len(found.trials)} on {found.chosen_on}" if found.trials else ""
    measured = name_of_measure(multi_label=job.dataset.multi_label)
    validation = "" if row.val_accuracy is None else f"; validation {measured} {percent(row.val_accuracy, decimals=2)}"
    return (
        f"head: {head.name or 'the network'} solved in {seconds(passed)}, L2 penalty {found.l2:.2g}{chosen}{validation}"
    )


def _of_neighbors(job: Job, learned: FeatureSet, held: FeatureSet, val: ImageSet) -> str:
    """Measure k-nearest-neighbour classification on validation."""
    k = min(job.resolved.neighbors, len(learned.rows))
    scores = neighbor_scores(
        learned.views[0],
        learned.answers(job.session.train),
        held.views[0],
        k=k,
        classes=len(job.spec.classes),
    )
    found = one_measure(scores.double().numpy(), val)
    measured = name_of_measure(multi_label=job.dataset.multi_label)
    value = "none" if found is None else percent(found, decimals=2)
    return f"k-nearest neighbours (k {k}) instead of the head: validation {measured} {value}"
