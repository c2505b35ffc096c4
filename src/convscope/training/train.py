"""Training from Python: a source of images and a recipe become a run directory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from convscope.public import public

if TYPE_CHECKING:
    from convscope.recipe.recipe import Recipe
    from convscope.runs.events import Listener
    from convscope.training.finish import Outcome


@public
def train(
    data: str | Path,
    recipe: Recipe | None = None,
    *,
    name: str | None = None,
    runs_directory: str | Path = "runs",
    cache_directory: str | Path | None = None,
    listener: Listener | None = None,
) -> Outcome:
    """Train a network on labelled images, and write a run directory.

    Args:
        data: a folder of images, a CSV file, an IDX file, a folder of CIFAR binaries, or "digits".
        recipe: every setting; what is left out follows from the data.
        name: of the run directory; the next free name is taken where it exists.
        runs_directory: where run directories are made.
        cache_directory: where decoded images are kept.
        listener: receives messages, progress and epochs; None ignores them.

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
    from convscope.recipe.recipe import Recipe
    from convscope.runs.events import Silent

    prepare_memory()  # before torch takes any
    from convscope.training.train_run import train_new

    return train_new(
        (recipe or Recipe()).changed({"data": str(data)}),
        listener=listener or Silent(),
        name=name,
        runs_directory=Path(runs_directory),
        cache_directory=None if cache_directory is None else Path(cache_directory),
    )
