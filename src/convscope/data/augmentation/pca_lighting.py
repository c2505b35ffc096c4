"""Colour jitter along the principal components of the training images' colours.

Source: Krizhevsky et al. 2012, "ImageNet Classification with Deep Convolutional Neural Networks", section 4.1.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from convscope.data.augmentation.batch_rng import BatchRng
from convscope.data.batches import STATISTICS_SAMPLE, to_device
from convscope.data.preprocessing import Normalization
from convscope.data.records import ImageSet
from convscope.errors import DataError

ColorAxes = tuple[tuple[float, ...], ...]


def measure_color_axes(images: ImageSet) -> ColorAxes:
    """Return the eigenvectors of the covariance of the pixels' colours, each times its eigenvalue: (axes, channels).

    Intensities are in units of full intensity (255 is 1.0); at most 10,000 evenly spaced images are looked at. The
    widest axis comes first, and each points to where its largest component is positive, so that the same images
    always have the same axes.

    Raises:
        DataError: no images.
    """
    if not len(images):
        raise DataError("no images to measure the colours of")
    rows = np.arange(0, len(images), max(1, -(-len(images) // STATISTICS_SAMPLE)))
    channels = images.images.shape[3]
    count, total, products = 0, np.zeros(channels), np.zeros((channels, channels))
    for start in range(0, len(rows), 256):
        values = images.images[rows[start : start + 256]].reshape(-1, channels).astype(np.float64) / 255
        count += len(values)
        total += values.sum(0)
        products += values.T @ values
    mean = total / count
    sizes, vectors = np.linalg.eigh(products / count - np.outer(mean, mean))
    axes = []
    for size, vector in zip(sizes[::-1], vectors.T[::-1], strict=True):
        sign = 1.0 if vector[np.abs(vector).argmax()] > 0 else -1.0
        axes.append(tuple(float(part) for part in sign * max(size, 0.0) * vector))
    return tuple(axes)


def pca_lighting(
    batch: Tensor, deviation: float, axes: ColorAxes, normalization: Normalization, draws: BatchRng
) -> Tensor:
    """Add one colour to every pixel of an image: a draw from N(0, deviation) along each axis; (N, C, H, W)."""
    along = torch.stack([draws.normal() for _ in axes], 1) * deviation
    shifts = along @ to_device(torch.tensor(axes), batch.device)
    shifts = shifts / to_device(torch.tensor(normalization.std), batch.device)
    return batch + shifts.to(batch.dtype)[:, :, None, None]
