"""What a pass over labelled images needs: batches of a fitting size, labels that are classes, predictions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from convscope.arrays import Integers
from convscope.data.records import ImageSet
from convscope.errors import DataError
from convscope.graph.records import Graph

_BYTES = 1 << 29  # of what a batch computes
_MOST = 128
NO_PREDICTION = -1


def replay_batch(graph: Graph, images: int) -> int:
    """Return how many images are replayed at once: a power of two, by the memory of all values of one image.

    A replay keeps every value of the network, and may run backward through them: what a batch takes grows with the
    graph. `scoring.answer.evaluation_batch` is for the module itself without gradients, which keeps a value no longer
    than it is read, and is asked before anything is captured; it knows the image alone.

    Args:
        graph: captured on one image.
        images: how many there are.
    """
    of_one = sum(value.spec.bytes for value in graph.values if value.kind == "activation")
    return 1 << (max(1, min(_MOST, images, _BYTES // max(1, of_one))).bit_length() - 1)


def require_labels(images: ImageSet, count: int, *, data: str) -> None:
    """Raise DataError unless there are images, each with one class of a network's.

    Args:
        images: the data set.
        count: the network's classes.
        data: what to call the images.
    """
    if not len(images):
        raise DataError(f"there are no images in {data}")
    if images.targets is not None:
        raise DataError(f"the images of {data} have several labels each: what is needed is one class for each image")
    largest = int(np.max(images.labels))
    if int(np.min(images.labels)) < 0:
        raise DataError(f"the images of {data} are not labelled with the network's classes: what is needed are those")
    if largest >= count:
        raise DataError(f"{data} has labels up to {largest}, but the network has {count} classes, 0 to {count - 1}")


def predictions(scores: torch.Tensor) -> Integers:
    """Return the class with the highest score of each image, (N,); -1 where a score is not finite.

    >>> predictions(torch.tensor([[0.0, 2.0], [float("nan"), 1.0]])).tolist()
    [1, -1]
    """
    finite = scores.isfinite().all(dim=1)
    found = torch.where(finite, scores.argmax(dim=1), NO_PREDICTION)
    return np.asarray(found.cpu().numpy(), np.int64)


def class_names(classes: Sequence[str], count: int) -> tuple[str, ...]:
    """Return a name for each class of a network; "class 3" where it is not known.

    >>> class_names(("cat",), 2)
    ('cat', 'class 1')
    """
    return tuple(classes[number] if number < len(classes) else f"class {number}" for number in range(count))
