"""Training from Python: a source of images and a recipe become a run directory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from convscope.public import public
from convscope.recipe.recipe import Recipe
from convscope.report.progress import ProgressOption
from convscope.runs.events import OnEpoch

if TYPE_CHECKING:
    from convscope.training.outcome import Outcome


@public
def train(
    data: str | Path,
    recipe: Recipe | None = None,
    *,
    name: str | None = None,
    runs_directory: str | Path = "runs",
    cache_directory: str | Path | None = None,
    on_epoch: OnEpoch | None = None,
    progress: ProgressOption = False,
) -> Outcome:
    """Train a network on labelled images, and write a run directory.

    Args:
        data: a folder of images, a CSV file, an IDX file, a folder of CIFAR binaries, or "digits".
        recipe: every setting; what is left out follows from the data.
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
    >>> from convscope.recipe.recipe import Recipe
    >>> with tempfile.TemporaryDirectory() as runs:
    ...     outcome = convscope.train("digits", Recipe(model="lenet5", epochs=1), runs_directory=runs)
    >>> outcome.ending, outcome.scores.images
    ('done', 179)
    """
    from convscope.hardware.allocator import prepare_memory

    prepare_memory()  # before torch takes any
    from convscope.runs.training_display import listening
    from convscope.training.interrupt import warn_if_interrupted
    from convscope.training.train_run import train_new

    with listening(progress) as listener:
        outcome = train_new(
            (recipe or Recipe()).changed({"data": str(data)}),
            listener=listener,
            name=name,
            runs_directory=Path(runs_directory),
            cache_directory=None if cache_directory is None else Path(cache_directory),
            on_epoch=on_epoch,
        )
    warn_if_interrupted(outcome.run, interrupted=outcome.interrupted)
    return outcome
