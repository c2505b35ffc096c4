"""A run's network with a split of the run's own images, for what is measured over a data set."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from convscope.api.generators import generators_restored
from convscope.capture.load import load
from convscope.data.preprocessing import Normalization
from convscope.data.records import ImageSet
from convscope.errors import RunError
from convscope.interpret.explanation.explain import given_network
from convscope.interpret.replay.replays import Replays
from convscope.report.progress import Progress, ProgressOption, progress_of
from convscope.runs.model_spec import ModelSpec
from convscope.runs.predictor import Predictor
from convscope.runs.run_images import own_images
from convscope.runs.run_like import RunLike


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenedRun:
    """A run's network with a split of its images.

    Args:
        replays: the network.
        images: of the split.
        normalization: of their pixels.
        spec: what the run says of its model.
        data: the name of the images: those of the recipe, and the split.
        progress: called after each step.
    """

    replays: Replays
    images: ImageSet
    normalization: Normalization
    spec: ModelSpec
    data: str
    progress: Progress


@contextmanager
def opened_run(run: RunLike | Predictor, split: str | None, progress: ProgressOption) -> Iterator[OpenedRun]:
    """Open a run and a split of its images; a bar of the progress is closed at the end.

    Random generators are restored after: a network may draw from them when it is evaluated too.

    Args:
        run: its directory, what `convscope.train` returned, or a predictor of it.
        split: test, val or train; test, or else val, unless given.
        progress: as of the public functions.

    Raises:
        RunError: it is no run.
        DataError: its images can't be read, or there is no such split.
    """
    loaded = load(run)
    if loaded.run is None:
        raise RunError(f"{loaded.name or 'the model'} is no run, so its images are not known: give the run's directory")
    network, spec = given_network(loaded, None, 0), loaded.run.spec()
    with generators_restored(), progress_of(progress) as report:
        name, images = own_images(loaded.run, split, progress=report)
        yield OpenedRun(
            replays=Replays(network.module, name=network.name),
            images=images,
            normalization=spec.normalization,
            spec=spec,
            data=f"{loaded.run.recipe().data}, {name}",
            progress=report,
        )
