"""Training from Python: a source of images and a recipe become a run directory."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from convscope.api.public import public
from convscope.data.memory.source import InMemory
from convscope.recipe.recipe import Recipe
from convscope.report.progress import ProgressOption
from convscope.runs.events import OnEpoch
from convscope.runs.run_like import RunLike, run_to_resume

if TYPE_CHECKING:
    from convscope.runs.events import Listener
    from convscope.training.interrupt import StopRequest
    from convscope.training.outcome import Outcome
    from convscope.training.training_events import TrainingEvents


@public
def train(
    data: str | Path | InMemory | None = None,
    recipe: Recipe | None = None,
    *,
    classes: Sequence[str] | None = None,
    resume: RunLike | None = None,
    name: str | None = None,
    runs_directory: str | Path = "runs",
    cache_directory: str | Path | None = None,
    on_epoch: OnEpoch | None = None,
    progress: ProgressOption = False,
) -> Outcome:
    """Train a network on labelled images, and write a run directory; or resume one.

    Args:
        data: a folder of images, a CSV file, shards, a folder of IDX files or of CIFAR binaries, "digits"; or images in
            memory: (images, labels), a list of (image, label) or of (path, label), a map-style torch Dataset, or a dict
            of these by "train", "val" and "test"; with a group after each label, which no split parts: (images, labels,
            groups). Images are uint8, or floating-point numbers of 0 to 1; labels integers, names, or rows of 0 and 1
            for each class. With `resume` it is left out, but for images that were in memory.
        recipe: every setting; what is left out follows from the data. With `resume`, the settings that change: epochs,
            steps, minutes (added), patience, threads, device or compile.
        classes: the names of the classes of images in memory, where labels are numbers from 0 or rows of 0 and 1.
        resume: a run to go on with from its newest checkpoint, by its path or its outcome.
        name: of the run directory; the next free name is taken where it exists.
        runs_directory: where run directories are made.
        cache_directory: where decoded images are kept.
        on_epoch: is called with each epoch's measures, an EpochRow, once they are written. In it
            `raise convscope.StopTraining` ends the training there, with an outcome whose `ending` is "stopped". Any
            other exception ends it in the same way, and is raised again once the run is written; either run can be
            resumed.
        progress: True shows a bar, on a terminal or in a notebook; a function is called as
            `progress(done, total, what)`. What is done is in any case logged by the logger named "convscope".

    The first Ctrl-C ends the training after the step that it is in: the outcome's `ending` is "interrupted", its
    `interrupted` is True, and a warning is given. A second one raises KeyboardInterrupt at once. In a thread other than
    the main one, no signal is received.

    Raises:
        ConvscopeError: data, a network or a setting that can't be used, or a loss that became NaN.

    >>> import convscope, tempfile
    >>> from convscope.data.sources.digits import load_digits
    >>> images, labels = load_digits()  # uint8 (1797, 8, 8, 1), int64 (1797,)
    >>> with tempfile.TemporaryDirectory() as runs:
    ...     recipe = convscope.Recipe(model="lenet5", epochs=1)
    ...     outcome = convscope.train((images, labels), recipe, runs_directory=runs)
    ...     longer = convscope.train((images, labels), convscope.Recipe(epochs=2), resume=outcome)
    >>> outcome.ending, outcome.scores.images, longer.epochs
    ('done', 179, 2)
    """
    began = time.monotonic()
    from convscope.hardware.allocator import prepare_memory

    prepare_memory()  # before torch takes any
    from convscope.runs.training_display import listening
    from convscope.training.interrupt import warn_if_interrupted

    with listening(progress) as listener:
        outcome = _train(
            data,
            recipe,
            classes,
            resume,
            name,
            runs_directory,
            cache_directory,
            listener=listener,
            on_epoch=on_epoch,
            began=began,
        )
    warn_if_interrupted(outcome.run, interrupted=outcome.interrupted)
    return outcome


@public
def training_events(
    data: str | Path | InMemory | None = None,
    recipe: Recipe | None = None,
    *,
    classes: Sequence[str] | None = None,
    resume: RunLike | None = None,
    name: str | None = None,
    runs_directory: str | Path = "runs",
    cache_directory: str | Path | None = None,
    progress: ProgressOption = False,
) -> TrainingEvents:
    """Return the events of a training, to go through: Message and EpochRow records, and a Status as the last.

    Arguments and errors are those of `train`. It trains in a thread of its own from the first event on, and waits while
    the caller looks at an event, with torch's settings as the caller has them. Leaving the loop ends the training
    there, and its run is kept and can be resumed.
    `outcome` is what it came to; `with` and `close()` end it where the loop's end does not. Ctrl-C while an event is
    waited for ends the loop with a Status "interrupted".

    >>> import convscope, tempfile
    >>> with tempfile.TemporaryDirectory() as runs:
    ...     recipe = convscope.Recipe(model="lenet5", epochs=2)
    ...     with convscope.training_events("digits", recipe, runs_directory=runs) as events:
    ...         epochs = [event.epoch for event in events if isinstance(event, convscope.EpochRow)]
    >>> epochs, events.outcome.ending
    ([1, 2], 'done')
    """
    began = time.monotonic()
    from convscope.hardware.allocator import prepare_memory

    prepare_memory()
    from convscope.training.training_events import Channel, TrainingEvents

    def train_in_thread(channel: Channel) -> Outcome:
        return _train(
            data,
            recipe,
            classes,
            resume,
            name,
            runs_directory,
            cache_directory,
            listener=channel,
            on_epoch=channel.on_epoch,
            request=channel.request,
            began=began,
        )

    return TrainingEvents(train_in_thread, progress=progress)


def _train(
    data: str | Path | InMemory | None,
    recipe: Recipe | None,
    classes: Sequence[str] | None,
    resume: RunLike | None,
    name: str | None,
    runs_directory: str | Path,
    cache_directory: str | Path | None,
    *,
    listener: Listener,
    on_epoch: OnEpoch | None,
    request: StopRequest | None = None,
    began: float,
) -> Outcome:
    """Train or resume a run; the arguments are those of `train`, beside a listener, a request to stop and the time."""
    from convscope.training.given_data import changes_of, images_again, recipe_on, require_resumable
    from convscope.training.train_run import train_new, train_on

    cache = None if cache_directory is None else Path(cache_directory)
    if resume is not None:
        require_resumable(name, runs_directory)
        run = run_to_resume(resume)
        given = images_again(run, data, classes, run.spec().classes)
        changes = changes_of(recipe, run)
        return train_on(
            run,
            changes,
            listener=listener,
            cache_directory=cache,
            given=given,
            on_epoch=on_epoch,
            request=request,
            began=began,
        )
    recipe, given = recipe_on(data, recipe, classes)
    return train_new(
        recipe,
        listener=listener,
        name=name,
        runs_directory=Path(runs_directory),
        cache_directory=cache,
        given=given,
        on_epoch=on_epoch,
        request=request,
        began=began,
    )
