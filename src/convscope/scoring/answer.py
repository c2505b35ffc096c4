"""A network's answers to images: scores or probabilities, in evaluation mode, with the network left as it was."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import prod

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from convscope.data.batches import Batches
from convscope.data.preprocessing import Normalization
from convscope.data.records import ImageSet
from convscope.errors import RunError
from convscope.hardware.mode import ForwardPass
from convscope.nets.modules import evaluation_mode
from convscope.report.progress import Progress, no_progress
from convscope.report.units import plural
from convscope.scoring.objective import Objective
from convscope.scoring.test_time_augmentation import ONE, scores_of_views

# Numbers of the images that a forward pass takes at once, and the least and most images: enough for the arithmetic, and
# few enough for memory, since what a network computes of a batch grows with it. Where every value of the network is
# kept, the graph says how many: see `replay_batch`.
_BATCH_NUMBERS, _SMALLEST_BATCH, _LARGEST_BATCH = 2**22, 16, 256


def evaluation_batch(image_shape: Sequence[int]) -> int:
    """Return how many images (H, W, C) a forward pass without gradients takes at once.

    >>> evaluation_batch((224, 224, 3)), evaluation_batch((32, 32, 3))
    (27, 256)
    """
    return min(_LARGEST_BATCH, max(_SMALLEST_BATCH, _BATCH_NUMBERS // max(1, prod(image_shape))))


def answer(
    network: nn.Module,
    images: ImageSet,
    normalization: Normalization,
    *,
    objective: Objective,
    device: str = "cpu",
    views: str = ONE,
    forward: ForwardPass | None = None,
) -> npt.NDArray[np.float64]:
    """Return the network's probabilities (N, classes) for images, in evaluation mode; modes are put back after.

    `objective` says how scores become probabilities: that by which the network learned. With `views` the scores of
    several views of each image are averaged first. A `forward` computes in another arithmetic than the network's fp32.
    """
    scores = scores_of_images(network, images, normalization, device=device, views=views, forward=forward)
    return objective.probabilities_of(scores[:, 1])


def scores_of_images(
    network: nn.Module,
    images: ImageSet,
    normalization: Normalization,
    *,
    device: str = "cpu",
    views: str = ONE,
    forward: ForwardPass | None = None,
    progress: Progress = no_progress,
    what: str = "measuring",
) -> npt.NDArray[np.float64]:
    """Return the scores (N, 2, classes): of the image alone, and averaged over its views; see `answer`."""
    found = []
    done = 0
    scored = partial(_scores_of, forward or network)
    with evaluation_mode(network), torch.inference_mode():
        size = evaluation_batch(images.images.shape[1:])
        for pixels, _, _ in Batches(images, batch_size=size, device=device, normalization=normalization):
            both = scores_of_views(scored, pixels, views)
            found.append(torch.stack(both, dim=1).cpu().numpy())
            done += len(pixels)
            progress(done, len(images), what)
    return np.concatenate(found)


def _scores_of(forward: ForwardPass, pixels: torch.Tensor) -> torch.Tensor:
    """Return the scores (N, classes); raises RunError where a network, or a hook on it, answers something else."""
    scores = forward(pixels)
    if not isinstance(scores, torch.Tensor) or scores.ndim != 2 or len(scores) != len(pixels):
        what = tuple(scores.shape) if isinstance(scores, torch.Tensor) else f"a {type(scores).__name__}"
        raise RunError(
            f"the network answers {what} to {plural(len(pixels), 'image')}: scores are a tensor "
            f"({len(pixels)}, classes); remove hooks that change its output"
        )
    return scores
