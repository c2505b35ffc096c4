"""A network with the images of a data set: what every part of what it learned reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from torch import nn

from convscope.capture.load import ModelLike, load
from convscope.data.batches import to_floats
from convscope.data.memory.source import InMemory
from convscope.data.open import open_dataset, probe_given
from convscope.data.preprocessing import Normalization, Preprocessing
from convscope.data.records import Dataset, ImageSet
from convscope.data.streamed import Streamed
from convscope.errors import CaptureError
from convscope.interpret.explanation.explain import given_network
from convscope.interpret.explanation.given import GivenNetwork, image_preprocessing
from convscope.interpret.replay.on_images import first_input, on_pixels
from convscope.interpret.replay.own_probabilities import own_objective
from convscope.interpret.replay.replays import Replays
from convscope.interpret.subject import require_one_input
from convscope.report.printable import few
from convscope.report.progress import Progress, no_progress
from convscope.report.units import plural
from convscope.report.units import shape as shape_text
from convscope.report.usage import Placeholder, are_options, call_text, setting_name
from convscope.runs.model_spec import ModelSpec
from convscope.runs.run_directory import Run
from convscope.runs.run_images import choose_split, labelled_by_run, learned_note, name_without_split, open_split
from convscope.scoring.objective import Objective

NO_LABEL = -1
_NAMED = 6  # classes that a note names


@dataclass(frozen=True, kw_only=True, eq=False)
class NetworkOnData:
    """A network and the images that it is measured on.

    Args:
        network: the module, as its owner has it; it is never run itself.
        name: the network's.
        data: the name of the images with their split, such as "digits, test".
        split: which of the data they are.
        images: those that there are; each part takes some of them.
        normalization: of the network's input.
        classes: the names of its outputs.
        train: the images that it learned from; None where they are not known, or are streamed.
        spec: what the network's run says of it; None where it has no run.
        run: its run directory; None where it has none.
        notes: remarks, such as that the weights are random.
    """

    network: nn.Module
    name: str
    data: str
    split: str
    images: ImageSet
    normalization: Normalization
    classes: tuple[str, ...]
    train: ImageSet | None = None
    spec: ModelSpec | None = None
    run: Run | None = None
    notes: tuple[str, ...] = field(default=())

    @cached_property
    def replays(self) -> Replays:
        """The network on any batch of pixels, by its operations; one of half precision is computed in float32."""
        return on_pixels(Replays(self.network, name=self.name))

    @cached_property
    def objective(self) -> Objective:
        """How its scores become probabilities: as its run says, else by its last operation, see `own_objective`."""
        if self.spec is not None:
            return self.spec.objective
        graph, _ = self.replays.graph_on(first_input(self.replays, self.images, self.normalization))
        return own_objective(graph)

    def some(self, most: int) -> ImageSet:
        """Return `most` of the images or fewer, evenly spaced.

        >>> images = ImageSet(np.zeros((10, 4, 4, 1), np.uint8), np.arange(10), [""] * 10)
        >>> given = NetworkOnData(network=nn.Identity(), name="", data="", split="test", images=images,
        ...                       normalization=Normalization.default(1), classes=())
        >>> given.some(4).labels.tolist(), len(given.some(20))
        ([0, 3, 6, 9], 10)
        """
        return self.images.spaced(most)

    def data_of(self, images: ImageSet) -> str:
        """Return the name of some of the images, with how many there are where these are fewer."""
        return self.data if len(images) == len(self.images) else f"{self.data} ({len(self.images):,} in all)"


def network_on_data(
    model: ModelLike,
    data: str | Path | InMemory | None = None,
    *,
    split: str | None = None,
    input_shape: Sequence[int] | None = None,
    seed: int = 0,
    progress: Progress = no_progress,
    network: GivenNetwork | None = None,
) -> NetworkOnData:
    """Return a network with images: a run's own, unless others are given.

    Args:
        model: a run, in any form, or with `data` any model that `explain` takes.
        data: what `convscope.evaluate` takes: images in class folders, a table, or images in memory.
        split: test, val or train; test, or else val, or else train, unless given.
        input_shape: of one sample, (C, H, W); the model's own unless given.
        seed: of the weights of a model that has none of its own.
        progress: called after each decoded image.
        network: the model, where it is built already.

    Raises:
        CaptureError: no such model, or it is no run and no images are given, or takes no images or several inputs, or
            does not say its input's shape.
        DataError: the images can't be read or are gone, or there is no such split.
        RunError: a run that can't be used.
    """
    loaded = load(model)
    run = loaded.run
    if run is None and data is None:
        others = _call(loaded.name or Placeholder("MODEL"), "FOLDER")
        raise CaptureError(f"{loaded.name or 'the model'} is no run, so it has no images: give an image, or {others}")
    built = network or given_network(loaded, input_shape, seed)
    require_one_input(loaded, built)
    if run is not None:
        if input_shape is not None and tuple(input_shape) != loaded.input_shape:
            own = shape_text(loaded.own_input_shape())
            raise CaptureError(f"{built.name} was trained on images of {own}: leave {setting_name('input_shape')} out")
        return _of_run(built, run, data, split, progress)
    assert data is not None
    prepared = image_preprocessing(built)
    dataset = open_dataset(
        probe_given(data, to_learn=False),
        decoding=prepared.decoding,
        validation_fraction=0.0,
        test_fraction=0.0,
        progress=progress,
    )
    name, images = choose_split(dataset, split)
    images, classes, notes = _labels(images, dataset, built, prepared)
    name = name_without_split(dataset, name) if split is None else name
    return NetworkOnData(
        network=built.module,
        name=built.name,
        data=f"{dataset.source}, {name}",
        split=name,
        images=images,
        normalization=prepared.normalization,
        classes=classes,
        notes=tuple(filter(None, (loaded.weights_note(seed), *notes))),
    )


def _of_run(
    network: GivenNetwork, run: Run, data: str | Path | InMemory | None, split: str | None, progress: Progress
) -> NetworkOnData:
    spec, recipe = run.spec(), run.recipe()
    found = None
    if data is not None:
        found = probe_given(data, to_learn=False, earlier=spec.classes, value_range=spec.decoding.value_range)
    opened = open_split(run, found, recipe, spec, split, None, progress, on_others=_call(run, "DATA"))
    dataset, name, train = opened.dataset, opened.name, opened.dataset.train
    learned = learned_note(run, recipe, opened, held_back=_call(run))
    known = opened.own and train is not None and len(train) > 0 and not isinstance(train.images, Streamed)
    return NetworkOnData(
        network=network.module,
        name=network.name,
        data=f"{dataset.source}, {name}",
        split=name,
        images=opened.images,
        normalization=spec.normalization,
        classes=spec.classes,
        train=labelled_by_run(train, dataset, spec) if known and train is not None and name != "train" else None,
        spec=spec,
        run=run,
        notes=tuple(filter(None, (*_notes(name, own=opened.own, asked=split), learned))),
    )


def _call(model: object, data: str = "") -> str:
    """Return the call, or the command, that measures a model on its own images, or on others."""
    others = {"data": Placeholder(data)} if data else {}
    return call_text("look" if are_options() else "learned", model, **others)


def _notes(split: str, *, own: bool, asked: str | None) -> Iterator[str]:
    """Yield which images these are, where that is not what a reader expects."""
    if own and split == "val" and asked is None:
        yield "measured on the validation images: there are no test images"
    if own and split == "train":
        why = ": there are no others" if asked is None else ""
        yield f"measured on the training images{why}; figures on images that it learned from flatter it"


def _labels(
    images: ImageSet, dataset: Dataset, network: GivenNetwork, prepared: Preprocessing
) -> tuple[ImageSet, tuple[str, ...], tuple[str, ...]]:
    """Return images whose labels are a network's outputs, the names of the outputs, and what to say of them.

    Where the network's classes are not those of the images, the images have no labels: -1.
    """
    if images.targets is not None or prepared.classes == dataset.classes:
        return images, dataset.classes, ()
    if prepared.classes and set(dataset.classes) <= set(prepared.classes):
        places = np.array([prepared.classes.index(name) for name in dataset.classes], np.int64)
        return replace(images, labels=places[images.labels]), prepared.classes, ()
    pixels = to_floats(np.asarray(images.images[np.arange(1)]), prepared.normalization)
    outputs = int(on_pixels(Replays(network.module, name=network.name)).class_scores(pixels).shape[1])
    named = f"{plural(len(dataset.classes), 'class', 'classes')} ({few(dataset.classes, _NAMED)})"
    if not prepared.classes and outputs == len(dataset.classes):
        return images, dataset.classes, (f"the network's outputs are taken as the {named}, in this order",)
    note = (
        f"the images have {named}, and the network {plural(outputs, 'other', 'others')}: what needs labels is left out"
    )
    return replace(images, labels=np.full(len(images), NO_LABEL)), prepared.classes, (note,)
