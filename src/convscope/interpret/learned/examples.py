"""Choose some images that a network has right and some that it has wrong, and compute what its answers rest on."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from convscope.arrays import Array, Floats
from convscope.data.batches import to_floats
from convscope.data.preprocessing import Normalization
from convscope.data.records import ImageSet, spaced_rows
from convscope.errors import CaptureError, ConvscopeError, DataError, GeometryError
from convscope.interpret.attribution.methods import attribute
from convscope.interpret.attribution.record import Attribution
from convscope.interpret.behaviour.labelled_images import class_names
from convscope.interpret.learned.explained_images import ExplainedImage, ExplainedImages
from convscope.interpret.replay.replays import Replays
from convscope.interpret.subject import Subject
from convscope.scoring.multi_label import THRESHOLD
from convscope.scoring.objective import Objective

EACH = 4
"""Images that are right, and images that are wrong, at most."""

# Tried in this order: a network without a map in its layers has a gradient at its input all the same.
_METHODS = ("grad-cam", "gradient")


def explained_images(
    replays: Replays,
    images: ImageSet,
    normalization: Normalization,
    scores: Floats,
    *,
    objective: Objective | None = None,
    each: int = EACH,
    data: str = "the images",
    classes: Sequence[str] = (),
    go_on: Callable[[], bool] = lambda: True,
) -> ExplainedImages:
    """Return some images that a network has right and some that it has wrong, with maps of the predicted classes.

    By Grad-CAM; of a network without a map by the gradient at the input.

    Args:
        replays: the network.
        images: the data set.
        normalization: of the network's input.
        scores: the network's, of all images, (N, classes).
        objective: how they become probabilities; a softmax unless given.
        each: images of either kind at most.
        data: what to call the images.
        classes: the names of the network's outputs.
        go_on: is asked before each image but the first; False leaves the others out.

    Raises:
        DataError: no images.
        CaptureError: neither method has a map of the network, or no image has finite scores.

    >>> from torch import nn
    >>> network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))
    >>> pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 1), dtype=np.uint8)
    >>> given = ImageSet(pixels, np.array([0, 1, 0, 1, 0, 0]), list("abcdef"))
    >>> found = explained_images(Replays(network), given, Normalization.default(1), np.eye(2)[[0] * 6], each=2)
    >>> [(image.name, image.right) for image in found.images]
    [('a', True), ('f', True), ('b', False), ('d', False)]
    """
    if not len(images):
        raise DataError(f"there are no images in {data}, so none is right or wrong")
    known = class_names(classes, scores.shape[1])
    found = objective or Objective()
    probabilities = found.probabilities_of(scores)
    labelled = images.targets is not None or bool((images.labels >= 0).all())
    right = _right(images, scores, probabilities)
    wrong = ~right & np.isfinite(scores).all(axis=1)  # of other scores no gradient is one
    rows: list[int] = []
    for chosen, most in ((np.flatnonzero(right), each), (np.flatnonzero(wrong), each if labelled else 2 * each)):
        rows += chosen[spaced_rows(len(chosen), most)].tolist()
    if not rows:
        raise CaptureError(f"{replays.name or 'the network'} gives finite scores of no image, so none is explained")
    shown: list[ExplainedImage] = []
    methods = list(_METHODS)
    for row in rows:
        if shown and not go_on():
            break
        subject = _subject(replays, images, row, normalization, known)
        target = int(np.nan_to_num(scores[row], nan=-math.inf).argmax())
        shown.append(
            ExplainedImage(
                name=images.names[row],
                row=row,
                labels=_labels(images, row, known),
                predicted=target,
                probability=float(probabilities[row, target]),
                right=bool(right[row]) if labelled else None,
                pixels=np.asarray(images.images[row]),
                attribution=_attribution(subject, target, methods),
            )
        )
    return ExplainedImages(
        network=replays.name or "the network",
        data=data,
        right=int(right.sum()) if labelled else None,
        predicted=len(images),
        images=tuple(shown),
        stopped=len(shown) < len(rows),
    )


def _attribution(subject: Subject, target: int, methods: list[str]) -> Attribution:
    """Return the map by the first of the methods that has one; those that have none are removed from the list."""
    reasons = []
    while methods:
        try:
            return attribute(subject, methods[0], target=target)
        except (CaptureError, GeometryError) as error:
            reasons.append(str(error))
            methods.pop(0)
    raise CaptureError(f"{subject.name} has no map of what an answer depends on: {reasons[0]}")


def _right(images: ImageSet, scores: Floats, probabilities: Floats) -> Array:
    """Return whether each image is predicted right, (N,): of several labels, whether all are."""
    finite = np.isfinite(scores).all(axis=1)
    if images.targets is not None:
        return np.asarray(finite & ((probabilities >= THRESHOLD) == (images.targets > 0)).all(axis=1))
    return np.asarray(finite & (scores.argmax(axis=1) == images.labels))


def _labels(images: ImageSet, row: int, known: Sequence[str]) -> tuple[str, ...]:
    numbers = [int(images.labels[row])] if images.targets is None else np.flatnonzero(images.targets[row]).tolist()
    return tuple(known[number] if number < len(known) else f"class {number}" for number in numbers if number >= 0)


def _subject(
    replays: Replays,
    images: ImageSet,
    row: int,
    normalization: Normalization,
    classes: tuple[str, ...],
) -> Subject:
    pixels = np.asarray(images.images[row])
    return Subject(
        network=replays.network,
        name=replays.name or "the network",
        image_name=images.names[row],
        tensor=to_floats(pixels[None], normalization, device=replays.device),
        pixels=pixels,
        classes=classes,
        given_replays=replays,
    )


def class_scores(
    replays: Replays,
    images: ImageSet,
    normalization: Normalization,
    *,
    batch_size: int,
    progress: Callable[[int, int, str], None],
) -> Floats:
    """Return the scores of images, (N, classes), each of the image itself."""
    found = []
    for start in range(0, len(images), batch_size):
        rows = np.arange(start, min(start + batch_size, len(images)))
        batch = to_floats(np.asarray(images.images[rows]), normalization, device=replays.device)
        found.append(replays.class_scores(batch).double().cpu().numpy())
        progress(int(rows[-1]) + 1, len(images), "predicting")
    if not found:
        raise ConvscopeError("there are no images to predict")
    return np.concatenate(found)
