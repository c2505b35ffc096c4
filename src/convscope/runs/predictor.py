"""A trained network that names the classes of images, prepared exactly as in training. Imports no trainer."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import nn

from convscope.api.annotations import Positive
from convscope.api.public import checked, public
from convscope.api.torch_state import known_steps
from convscope.api.warning_filters import warnings_ignored
from convscope.arrays import Floats
from convscope.data.image_item import ImageItem
from convscope.data.pixels.sniff import advised
from convscope.data.records import Decoding, ImageSet, Pixels
from convscope.errors import DataError, RunError
from convscope.files.regular import UnreadableError
from convscope.hardware.device import usable_device
from convscope.hardware.memory_errors import is_out_of_memory, too_large
from convscope.report.document import Document, Fact, Facts
from convscope.report.documented import Documented
from convscope.report.json_values import json_dict
from convscope.report.printable import few
from convscope.report.progress import Progress, ProgressOption, no_progress, progress_of
from convscope.report.units import exact, plural
from convscope.report.units import shape as shape_text
from convscope.report.usage import setting_name
from convscope.runs.image_items import image_items
from convscope.runs.model_spec import ModelSpec
from convscope.runs.predictions import ClassProbability, Prediction, Predictions
from convscope.runs.run_directory import Run
from convscope.runs.run_like import RunLike, run_of
from convscope.scoring.answer import scores_of_images
from convscope.scoring.multi_label import THRESHOLD
from convscope.scoring.test_time_augmentation import ONE, require_views

BATCH_SIZE = 64
MOST_THREADS = 16
NAMED = 10  # classes that a document names


class Predictor(Documented):
    """A network with its classes and preprocessing, ready to predict; several threads may share one.

    >>> from dataclasses import replace
    >>> from convscope.data.preprocessing import Preprocessing
    >>> prepared = replace(Preprocessing.default((1, 32, 32)), classes=("cat", "dog"))
    >>> spec = ModelSpec(name="lenet5", options={}, preprocessing=prepared)
    >>> predictor = Predictor(spec.build(), spec)
    >>> black = np.zeros((40, 60), np.uint8)
    >>> predictor(black).label in ("cat", "dog")
    True
    >>> [bool(found.problem) for found in predictor.predict([black, b"no image", black])]
    [False, True, False]
    """

    @checked
    def __init__(self, network: nn.Module, spec: ModelSpec, *, device: str = "cpu", run: Run | None = None) -> None:
        self.spec = spec
        self.run = run  # whose weights these are; None where they are no run's
        self.device = usable_device(device)
        self.network = network.to(self.device).eval()

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the network's outputs."""
        return self.spec.classes

    def headline(self) -> str:
        """Return the network, its classes and its device."""
        return f"{self.spec.name}: {plural(len(self.classes), 'class', 'classes')}, {self.device}"

    def document(self) -> Document:
        """Return what is shown: the network, its input, its classes and its device."""
        values = self.to_dict()
        facts = (
            Fact("network", self.spec.name),
            Fact("parameters", exact(values["parameters"]), values["parameters"]),
            Fact("input", shape_text(values["input_shape"]), values["input_shape"]),
            Fact("classes", few(self.classes, NAMED), list(self.classes)),
            Fact("labels", "several for an image" if self.spec.multi_label else "one for each image"),
            Fact("test-time augmentation", self.spec.tta),
            Fact("temperature", f"{self.spec.temperature:.3g}", self.spec.temperature),
            *([Fact("defects", self.spec.defect_rule.headline())] if self.spec.defect_rule else []),
            Fact("device", self.device),
        )
        return Document(f"Predictor of {self.spec.name}", (Facts(facts),))

    def to_dict(self) -> dict[str, Any]:
        """Return what the predictor is as JSON's types.

        Keys:
            network: its name.
            parameters: how many.
            input_shape: channels, height and width of what it takes.
            classes: the names, in the order of the network's outputs.
            multi_label: whether an image may show several classes.
            tta: the test-time augmentation by name.
            temperature: what scores are divided by before they become probabilities; 1 where it was not fitted.
            device: where it computes.
            defects: good_class, threshold, miss_rate, validation_defects; None where no class is the good one.
        """
        return json_dict(
            {
                "network": self.spec.name,
                "parameters": sum(weights.numel() for weights in self.network.parameters()),
                "input_shape": (self.spec.decoding.channels, *self.spec.decoding.size),
                "classes": self.classes,
                "multi_label": self.spec.multi_label,
                "tta": self.spec.tta,
                "temperature": self.spec.temperature,
                "device": self.device,
                "defects": self.spec.defect_rule.to_dict() if self.spec.defect_rule else None,
            }
        )

    @public
    def __call__(
        self,
        image: Any,
        *,
        top: Positive = 5,
        tta: str | bool | None = None,
        threshold: float | None = None,
    ) -> Prediction:
        """Return the prediction of one image; arguments as for `predict`. Raises DataError where it can't be read."""
        found = list(islice(self.predict(image, top=top, tta=tta, threshold=threshold, batch_size=1), 2))
        if len(found) != 1:
            raise DataError("these are several images, or none: use predictor.predict(...), and go through its items")
        _ = found[0].label  # raises where there is none
        return found[0]

    @public
    def predict(
        self,
        items: Any,
        *,
        top: Positive = 5,
        tta: str | bool | None = None,
        threshold: float | None = None,
        batch_size: Positive = BATCH_SIZE,
        progress: ProgressOption = False,
    ) -> Iterator[Prediction]:
        """Return the predictions of images, in order, as they are asked for; a batch is in memory at a time.

        Args:
            items: an image as a path, "digits/7", an image file's bytes, a binary file object, a PIL image, or an array
                or tensor (H, W), (H, W, C) or (C, H, W), uint8 or floating-point numbers of 0 to 1; a folder
                (everything below it) or a glob pattern; or an iterable of any of them, which may be endless.
            top: classes to list for each image.
            tta: the test-time augmentation by name; the run's own unless given, and none for False.
            threshold: of several labels an image, list those with this probability (0.5) and more; with a good class,
                the defect score from which on an image is a defect, the run's own unless given.
            batch_size: images that are decoded and computed together; 1 takes no item before it is needed.
            progress: True shows a bar; a function is called as `progress(done, total, what)` for each image, with a
                total of 0 where `items` is not a list.

        Raises:
            RunError: arguments that do not fit the run; at once. What can't be read is a prediction with a `problem`.
        """
        views, threshold = self._views(tta), self._threshold(threshold)
        total = len(items) if isinstance(items, (list, tuple)) else 0
        found = self._stream(image_items(items), top, views, threshold, batch_size)
        return known_steps(_counted(found, total, progress) if progress else found)

    @public
    def scores(
        self,
        images: ImageSet,
        *,
        tta: str | bool | None = None,
        progress: Progress = no_progress,
        what: str = "predicting",
    ) -> Floats:
        """Return scores (N, 2, classes) of decoded images: without test-time augmentation, and with it.

        Raises:
            GeometryError: the network does not take images of the size that the spec has.
            RunError: the network answers something else than scores of its classes, or fails.
        """
        found = scores_of_images(
            self.network,
            images,
            self.spec.normalization,
            device=self.device,
            views=self._views(tta),
            forward=self._forward,
            progress=progress,
            what=what,
        )
        if found.shape[2] != len(self.classes):
            raise RunError(f"the network answers {found.shape[2]} scores an image, for {len(self.classes)} classes")
        return found

    def _forward(self, pixels: torch.Tensor) -> Any:
        """Run the network, whatever the caller has hooked to it."""
        try:
            return self.network(pixels)
        except Exception as error:
            if is_out_of_memory(error):
                raise RunError(too_large(self.spec.name, error)) from error
            self.spec.build(check=True)  # says so where the size is the reason
            raise RunError(f"{self.spec.name} failed in its forward: {type(error).__name__}: {error}") from error

    def _views(self, tta: str | bool | None) -> str:
        if tta is None or tta is True:
            return self.spec.tta
        return require_views(tta) if tta else ONE

    def _threshold(self, threshold: float | None) -> float | None:
        """Return the probability from which on a class is a label, or the defect score from which on it is flagged.

        None where an image has one class, and none of them is the good one.
        """
        rule = self.spec.defect_rule
        if threshold is None:
            return THRESHOLD if self.spec.multi_label else None if rule is None else rule.threshold
        if not self.spec.multi_label and rule is None:
            raise RunError(
                "threshold: the run names one class for each image; it is for runs that give several labels, or have "
                "a good class"
            )
        if not 0 <= threshold <= 1:
            raise RunError(f"{setting_name('threshold')} is {threshold:g}: a probability is 0 to 1")
        return threshold

    def _stream(
        self,
        items: Iterator[ImageItem],
        top: int,
        views: str,
        threshold: float | None,
        batch_size: int,
    ) -> Generator[Prediction]:
        threads = min(MOST_THREADS, batch_size, os.cpu_count() or 1)
        with ThreadPoolExecutor(threads) as pool:
            while batch := list(islice(items, batch_size)):
                decode = partial(_decoded, decoding=self.spec.decoding)
                with warnings_ignored():  # a damaged image is a problem of its own here
                    decoded = list(pool.map(decode, batch)) if len(batch) > 1 else [decode(batch[0])]
                pixels = [item for item in decoded if not isinstance(item, str)]
                rows = iter(self._scores(pixels, views) if pixels else ())
                found = [
                    Prediction(image=item.name, problem=what)
                    if isinstance(what, str)
                    else self._prediction(item.name, next(rows), top, threshold)
                    for item, what in zip(batch, decoded, strict=True)
                ]
                # Before the next batch is read, so that one batch of pixels is in memory at a time.
                del batch, decoded, pixels
                yield from found

    def _scores(self, pixels: list[Pixels], views: str) -> Floats:
        images = ImageSet(np.stack(pixels), np.zeros(len(pixels), np.int64), [""] * len(pixels))
        return self.scores(images, tta=views)[:, 1]

    def _prediction(self, image: str, scores: Floats, top: int, threshold: float | None) -> Prediction:
        probabilities = self.spec.objective.probabilities_of(scores[None])[0]
        if not np.isfinite(probabilities).all():
            raise DataError(f"{image}: the network gives NaN, so its weights are not finite numbers")
        order = np.argsort(-scores, kind="stable")
        several, rule = self.spec.multi_label, self.spec.defect_rule
        shown = int((probabilities >= threshold).sum()) if several and threshold is not None else 1
        ranked = tuple(
            ClassProbability(self.classes[place], float(probabilities[place])) for place in order[: max(top, shown)]
        )
        found = Prediction(
            image=image,
            top=ranked[:top],
            labels=ranked[:shown],
            classes=self.classes,
            shares=probabilities,
            multi_label=several,
        )
        if rule is None or threshold is None:
            return found
        score = float(rule.scores(probabilities[None], self.classes)[0])
        return replace(found, defect_score=score, verdict=replace(rule, threshold=threshold).verdict(score))


@public
def load(
    run: RunLike,
    *,
    device: str = "cpu",
    max_megapixels: Positive | None = None,
    model: str = "",
    trust_code: bool = False,
) -> Predictor:
    """Return the predictor of a run or an ensemble, with its best weights, or of a checkpoint in a run.

    `predictor("rose.jpg")` is the prediction of one image, `predictor.predict("photos/")` those of many, in order.

    Args:
        run: its directory, or what `convscope.train` or `train_ensemble` returned; or a checkpoint in it, such as
            "runs/seven/checkpoint/step-000000084".
        device: to run the network on.
        max_megapixels: the largest image that is read, 1 to 178. Unless given it is the run's limit, and at most 50: a
            run may be a stranger's, and a large image takes much memory.
        model: where the code of the run's network is, `file.py:factory`, if that is your own; it is run.
        trust_code: whether the copy of that code that the run holds may be run instead.

    Raises:
        RunError: no such run or device, or the run's files don't fit together.
        DataError: no such limit.

    >>> import convscope, numpy, tempfile
    >>> with tempfile.TemporaryDirectory() as runs:
    ...     outcome = convscope.train("digits", convscope.Recipe(model="lenet5", epochs=1), runs_directory=runs)
    ...     predictor = convscope.load(outcome)
    >>> prediction = predictor(numpy.zeros((8, 8), numpy.uint8))
    >>> prediction.label in predictor.classes
    True
    """
    device = usable_device(device)
    opened = run_of(run, model=model, trust_code=trust_code)
    spec = opened.spec()
    limited = spec.preprocessing.limited(max_megapixels)
    return Predictor(opened.network(), replace(spec, preprocessing=limited), device=device, run=opened)


def predictor_of(
    given: RunLike | Predictor,
    device: str | None,
    max_megapixels: int | None = None,
    *,
    model: str = "",
    trust_code: bool = False,
) -> Predictor:
    """Return a predictor as it is, and a run's as `load` does; raises RunError for what is not a predictor's own."""
    if not isinstance(given, Predictor):
        return load(
            given,
            device="cpu" if device is None else device,
            max_megapixels=max_megapixels,
            model=model,
            trust_code=trust_code,
        )
    if model or trust_code:
        raise RunError("model and trust_code are a run's, and the predictor has its network: leave them out")
    if max_megapixels not in (None, own := given.spec.decoding.max_megapixels):
        raise RunError(f"max_megapixels {max_megapixels}: the predictor has {own}: leave it out, or load it with that")
    if device is not None and usable_device(device) != given.device:
        raise RunError(f"device {device}: the predictor is on {given.device}: leave device out, or load it there")
    return given


@public
def predict(
    run: RunLike | Predictor,
    images: Any,
    *,
    top: Positive = 5,
    tta: str | bool | None = None,
    threshold: float | None = None,
    device: str | None = None,
    max_megapixels: Positive | None = None,
    model: str = "",
    trust_code: bool = False,
    progress: ProgressOption = False,
) -> Predictions:
    """Return the predictions of images by a run's weights, in order; arguments as for `Predictor.predict`.

    An image that can't be read has a `problem`, and stops nothing. `run` is what `load` takes, or a predictor;
    `device` is that of a run's network, cpu unless given, `max_megapixels` the largest image that is read, 50 unless
    given, and `model` and `trust_code` are as for `load`.

    Raises:
        RunError: no such run or device, or the run's files don't fit together; a threshold that does not apply.

    >>> import convscope
    >>> [found.label for found in convscope.predict("lenet5-digits", ["digits/0", "digits/7"])]
    ['0', '7']
    """
    items = list(image_items(images))
    predictor = predictor_of(run, device, max_megapixels, model=model, trust_code=trust_code)
    return Predictions(tuple(predictor.predict(items, top=top, tta=tta, threshold=threshold, progress=progress)))


def _counted(found: Generator[Prediction], total: int, progress: ProgressOption) -> Generator[Prediction]:
    """Yield the predictions, and report how many there are."""
    with progress_of(progress) as report, closing(found):
        for done, prediction in enumerate(found, 1):
            report(done, total, "predicting")
            yield prediction


def _decoded(item: ImageItem, decoding: Decoding) -> Pixels | str:
    """Return the pixels of an image, or why it can't be read, and what would read it."""
    try:
        return item.decode(decoding)
    except UnreadableError as reason:
        return advised(str(reason))
