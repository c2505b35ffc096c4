"""A whole run: from a source and a recipe to a run directory, and on from a checkpoint."""

from __future__ import annotations

import hashlib
import json
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from convscope import __version__
from convscope.data.batches import measure_normalization
from convscope.data.open import BUILT_IN, Probe, open_dataset, probe
from convscope.data.records import Dataset, ImageSet
from convscope.errors import RunError
from convscope.report.units import plural
from convscope.train.checkpoint import (
    Checkpoint,
    load_checkpoint,
    load_optimizer,
    load_weights,
    optimizer_tensors,
    save_checkpoint,
)
from convscope.train.choose import Settled, settle
from convscope.train.events import COLUMNS, EpochRow, Listener, table_row
from convscope.train.files import write_file
from convscope.train.interrupt import StopRequest, heeding_interrupts
from convscope.train.loop import Best, Diverged, Settings, State, answer, fit, new_state
from convscope.train.metrics import Scores, score
from convscope.train.optimizers import default_learning_rate
from convscope.train.recipe import Recipe, Value
from convscope.train.report import Story, write_report
from convscope.train.run import ModelCard, Run, create_run, open_run, run_name, short_name
from convscope.train.start import lasting_start, network_options, read_start, resumed_network, starting_network

# A checkpoint is written at the end of an epoch, but not again within so many seconds: epochs of small sets are short.
CHECKPOINT_EVERY_SECONDS = 10.0
# What a resumed run may change; anything else would make it another run.
CHANGEABLE = ("epochs", "patience", "threads", "device")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a run came to: where it lies, how it ended ("done", "early", "stopped"), its best epoch, its scores."""

    run: Run
    ending: str
    exit_code: int
    best: Best | None
    epochs: int
    seconds: float
    scores: Scores | None


@dataclass
class _Job:
    """Everything that one call of `train` works with."""

    run: Run
    settled: Settled
    dataset: Dataset
    train: ImageSet
    card: ModelCard
    state: State
    listener: Listener
    saved_at: float = 0.0

    def say(self, line: str) -> None:
        """Tell the listener and the log."""
        self.listener.said(line)
        self.run.log(line)


def train_new(
    recipe: Recipe, *, listener: Listener, name: str | None, runs_directory: Path, cache_directory: Path | None
) -> Outcome:
    """Train `recipe.data` into a new run directory; an impossible recipe is refused before an image is read."""
    if not recipe.data:
        raise RunError("there is nothing to train on: name a folder of images, a file, or digits")
    found = probe(recipe.data)
    settled = settle(recipe.changed({"data": _lasting(found), "weights": lasting_start(recipe)}), found)
    weights = read_start(settled.recipe, classes=len(found.classes), decoding=settled.decoding)
    dataset, train = _open(found, settled, listener, cache_directory)
    card = ModelCard(
        name=str(settled.recipe.model),
        options=network_options(settled.recipe),
        classes=dataset.classes,
        decoding=settled.decoding,
        normalization=measure_normalization(train),
    )
    run = create_run(runs_directory, name or run_name(recipe.data, card.name))
    with run.locked(), _own_torch(settled):
        torch.default_generator.manual_seed(settled.recipe.seed)
        network, of_weights = starting_network(card, settled.recipe, weights)
        job = _Job(run, settled, dataset, train, card, new_state(network, _settings(settled, card)), listener)
        write_file(run.recipe_path, settled.recipe.to_toml())
        run.write_card(card)
        _write_split(run, dataset)
        job.run.log(f"convscope {__version__}, torch {torch.__version__}, {platform.platform()}")
        for line in (*_introduction(job), *of_weights):
            job.say(line)
        return _train(job)


def train_on(path: Path, changes: dict[str, Value], *, listener: Listener, cache_directory: Path | None) -> Outcome:
    """Go on with a run from its newest checkpoint, as if it had never stopped; `changes` may add epochs."""
    run = open_run(path)
    recipe = run.recipe()
    if fixed := sorted(name for name in changes if name not in CHANGEABLE):
        raise RunError(
            f"{fixed[0]} can't change when a run is resumed, only {', '.join(CHANGEABLE)}: start a new run instead"
        )
    recipe = recipe.changed(changes)
    found = probe(recipe.data)
    settled = settle(recipe, found)
    card = run.card()
    if found.classes != card.classes:
        raise RunError(f"{recipe.data} no longer has the classes that {run} was trained on: start a new run")
    with run.locked(), _own_torch(settled):
        dataset, train = _open(found, settled, listener, cache_directory)
        torch.default_generator.manual_seed(settled.recipe.seed)
        network = resumed_network(card, settled.recipe)
        job = _Job(run, settled, dataset, train, card, new_state(network, _settings(settled, card)), listener)
        _restore(job)
        if job.state.epoch >= settled.epochs:
            raise RunError(
                f"{run} has all of its {settled.epochs} epochs: add some with --epochs {settled.epochs + 10}"
            )
        write_file(run.recipe_path, settled.recipe.to_toml())
        job.say(f"resuming {run} after epoch {job.state.epoch} of {settled.epochs}")
        return _train(job)


def _train(job: _Job) -> Outcome:
    """Fit, then write down everything; what was reached is kept however it ends."""
    settings = _settings(job.settled, job.card)

    def warn() -> None:
        job.say("stopping: the best weights and the report are being written (again to stop at once)")

    with heeding_interrupts(warn) as request:
        try:
            ending = fit(
                job.state,
                settings,
                job.train,
                job.dataset.val,
                listener=job.listener,
                keep=lambda state: _keep(job),
                stop=lambda: bool(request),
            )
        except Diverged as error:
            _finish(job, "diverged", request)
            kept = job.state.best
            raise Diverged(
                f"{error}: "
                + (f"the best weights, of epoch {kept.epoch}, are kept in {job.run}" if kept else "no weights are kept")
                + f"; lower the rate, say --learning-rate {_lower_rate(settings):.2g}, or set --gradient-clip 1"
            ) from None
        except torch.OutOfMemoryError as error:
            raise RunError(
                f"the device ran out of memory with {settings.batch_size} images a step: lower --batch-size"
            ) from error
        return _finish(job, ending, request)


def _lower_rate(settings: Settings) -> float:
    return min(settings.learning_rate, default_learning_rate(settings.optimizer, settings.batch_size)) / 5


def _finish(job: _Job, ending: str, request: StopRequest) -> Outcome:
    """Write the best weights, the metrics and the report; measure on the test part once the training is complete."""
    state, run = job.state, job.run
    if state.rows:
        _write_metrics(job)
    if state.best is not None:
        run.write_weights(state.best.weights)
    if ending in ("done", "early"):
        _checkpoint(job)
    scores = None if state.best is None or ending == "diverged" else _measure(job, whole=ending in ("done", "early"))
    story = Story(
        run=run,
        recipe=job.settled.recipe,
        reasons=job.settled.reasons,
        weights=job.settled.weights,
        dataset=job.dataset,
        card=job.card,
        augmentation=job.settled.augmentation,
        batch_size=job.settled.batch_size,
        rows=tuple(state.rows),
        best_epoch=state.best.epoch if state.best else None,
        best_accuracy=state.best.accuracy if state.best else None,
        best_weights=state.best.weights if state.best else None,
        ending=ending,
        scores=scores,
    )
    write_report(story)
    return Outcome(
        run=run,
        ending=ending,
        exit_code=request.exit_code if ending == "stopped" else 0,
        best=state.best,
        epochs=state.epoch,
        seconds=state.seconds,
        scores=scores,
    )


def _measure(job: _Job, *, whole: bool) -> Scores | None:
    """Scores of the best weights: on the test part when the training is complete, else on the validation part."""
    assert job.state.best is not None
    parts = {"test": job.dataset.test if whole else None, "val": job.dataset.val}
    split, images = next(((name, part) for name, part in parts.items() if part is not None and len(part)), ("", None))
    if images is None:
        return None
    network = job.state.network
    load_weights(network, job.state.best.weights, where="the best weights")
    probabilities = answer(
        network,
        images,
        job.card.normalization,
        device=job.settled.device,
        progress=job.listener.progressed,
        what=f"measuring on {split}",
    )
    return score(probabilities, images.labels, classes=job.card.classes, names=images.names, split=split)


def _keep(job: _Job) -> None:
    """At the end of an epoch: the row at once, the weights and the checkpoint when it is time."""
    row = job.state.rows[-1]
    job.run.log("  ".join(f"{name} {cell}" for (name, _), cell in zip(COLUMNS, table_row(row), strict=True)))
    _write_metrics(job)
    now = time.monotonic()
    if now - job.saved_at >= CHECKPOINT_EVERY_SECONDS:
        assert job.state.best is not None
        job.run.write_weights(job.state.best.weights)
        _checkpoint(job)
        job.saved_at = time.monotonic()


def _write_metrics(job: _Job) -> None:
    header = [name for name, _ in COLUMNS]
    job.run.write_table(job.run.metrics_path, header, [table_row(row) for row in job.state.rows])


def _checkpoint(job: _Job) -> None:
    state = job.state
    assert state.best is not None
    best = {"epoch": state.best.epoch, "accuracy": state.best.accuracy, "loss": state.best.loss}
    values: dict[str, Any] = {
        "step": state.step,
        "epoch": state.epoch,
        "seconds": state.seconds,
        "best": best,
        "rows": [asdict(row) for row in state.rows],
        "data": _data_hash(job.dataset),
        "bits_depend_on": _bits_depend_on(job.settled),
    }
    save_checkpoint(
        job.run.checkpoints,
        Checkpoint(
            model=state.network.state_dict(),
            best=state.best.weights,
            optimizer=optimizer_tensors(state.network, state.optimizer),
            values=values,
        ),
    )


def _restore(job: _Job) -> None:
    """Put the newest checkpoint into the job's state; a run that was stopped before its first starts over."""
    saved = load_checkpoint(job.run.checkpoints)
    if saved is None:
        job.say(f"{job.run} has no checkpoint yet: it starts over")
        return
    values, state = saved.values, job.state
    if values["data"] != _data_hash(job.dataset):
        raise RunError(f"the images of {job.dataset.source} have changed since {job.run} was trained: start a new run")
    if values["bits_depend_on"] != (here := _bits_depend_on(job.settled)):
        differing = ", ".join(
            f"{name} {values['bits_depend_on'].get(name)} -> {here[name]}"
            for name in here
            if values["bits_depend_on"].get(name) != here[name]
        )
        job.say(f"the result may differ in its last digits from an unbroken run's: {differing}")
    where = str(job.run.checkpoints)
    load_weights(state.network, saved.model, where=where)
    load_optimizer(state.network, state.optimizer, saved.optimizer)
    state.epoch, state.step, state.seconds = values["epoch"], values["step"], values["seconds"]
    state.best = Best(weights=saved.best, **values["best"])
    state.rows = [EpochRow(**row) for row in values["rows"]]


def _settings(settled: Settled, card: ModelCard) -> Settings:
    recipe = settled.recipe
    return Settings(
        epochs=settled.epochs,
        batch_size=settled.batch_size,
        optimizer=recipe.optimizer,
        learning_rate=settled.learning_rate,
        depth_decay=recipe.depth_decay,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        schedule=recipe.schedule,
        warmup=recipe.warmup,
        label_smoothing=recipe.label_smoothing,
        gradient_clip=recipe.gradient_clip,
        patience=recipe.patience,
        seed=recipe.seed,
        device=settled.device,
        bf16=settled.precision == "bf16",
        augmentation=settled.augmentation,
        normalization=card.normalization,
    )


def _open(found: Probe, settled: Settled, listener: Listener, cache_directory: Path | None) -> tuple[Dataset, ImageSet]:
    recipe = settled.recipe
    dataset = open_dataset(
        found,
        decoding=settled.decoding,
        validation_fraction=recipe.validation_fraction,
        test_fraction=recipe.test_fraction,
        seed=recipe.seed,
        strict=recipe.strict,
        cache_directory=cache_directory,
        progress=listener.progressed,
    )
    if dataset.train is None or not len(dataset.train):
        raise RunError(f"{recipe.data} has no images to train on: put them in class folders, or in train/ by class")
    return dataset, dataset.train


def _introduction(job: _Job) -> Iterator[str]:
    dataset, settled = job.dataset, job.settled
    counts = ", ".join(f"{count:,} {split}" for split, count in dataset.counts.items())
    yield f"data: {dataset.source}: {len(dataset.classes)} classes, images: {counts}"
    yield from dataset.notes
    if dataset.problems:
        shown = "; ".join(f"{problem.path}: {problem.reason}" for problem in dataset.problems[:3])
        more = f"; and {len(dataset.problems) - 3} more" if len(dataset.problems) > 3 else ""
        yield f"{plural(len(dataset.problems), 'image')} kept out: {shown}{more}"
    threads = plural(settled.threads, "thread")
    yield f"network: {job.card.name}, {settled.weights:,} weights, on {settled.device}, {threads}"
    for reason in settled.reasons:
        yield f"auto: {reason}"
    yield f"run: {job.run}"


def _lasting(found: Probe) -> str:
    """The source as it can be found again from another folder."""
    return found.source if found.source in BUILT_IN else str(Path(found.source).resolve())


def _write_split(run: Run, dataset: Dataset) -> None:
    if dataset.made_splits:
        rows = [(short_name(name, dataset), split) for split, images in dataset.splits.items() for name in images.names]
        run.write_table(run.split_path, ("image", "split"), rows)


def _data_hash(dataset: Dataset) -> str:
    """A hash of which image is in which split with which label."""
    digest = hashlib.sha256()
    for split, images in dataset.splits.items():
        names = (short_name(name, dataset) for name in images.names)
        rows = [[split, name, int(label)] for name, label in zip(names, images.labels, strict=True)]
        digest.update(json.dumps(rows).encode())
    return digest.hexdigest()


def _bits_depend_on(settled: Settled) -> dict[str, object]:
    """What a result's last digits depend on, on one kind of machine."""
    return {
        "torch": torch.__version__,
        "machine": platform.machine(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "device": settled.device,
        "precision": settled.precision,
        "threads": settled.threads,
    }


@contextmanager
def _own_torch(settled: Settled) -> Iterator[None]:
    """Our own generators and thread count inside; the user's are put back."""
    threads = torch.get_num_threads()
    devices = list(range(torch.cuda.device_count())) if settled.device == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.set_num_threads(settled.threads)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
