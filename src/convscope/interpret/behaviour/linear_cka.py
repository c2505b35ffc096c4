"""Linear CKA of layers from batches, in bounded memory.

CKA compares what two layers say of the same images: 1 where one is the other turned, mirrored or scaled as a whole, 0
where they have nothing in common (Kornblith, Norouzi, Lee, Hinton 2019, "Similarity of neural network representations
revisited", section 3). It is the quotient HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)) of the images' Gram matrices; each
HSIC is the mean over batches of the unbiased estimator of Song et al. 2012 (Nguyen, Raghu, Kornblith 2021, "Do wide and
deep networks learn the same things?", section 3, equation 3), so that it does not depend on the batch size but for its
spread. As an unbiased estimate it may be slightly below 0.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from convscope.arrays import Floats

SMALLEST_BATCH = 4
"""Images below which the unbiased estimator does not exist."""
_SAME = 1e-6  # deviations from the mean, as a share of the values, up to which a layer is the same for all images
_COLUMNS = 1 << 16  # that are turned to float64 at a time


class LinearCka:
    """HSIC of every pair of layers of two groups, added up over batches.

    >>> draw = torch.Generator().manual_seed(0)
    >>> values = torch.randn(64, 10, generator=draw)
    >>> turned = values @ torch.linalg.qr(torch.randn(10, 10, generator=draw))[0]
    >>> found = LinearCka(("a",), ("b",))
    >>> found.add({"a": gram(values)}, {"b": gram(3 * turned)})
    >>> found.similarity.round(6).tolist()
    [[1.0]]
    """

    def __init__(self, first: tuple[str, ...], second: tuple[str, ...]) -> None:
        self.first, self.second = first, second
        self.images = 0
        self._cross: Floats = np.zeros((len(first), len(second)))
        self._own: tuple[Floats, Floats] = (np.zeros(len(first)), np.zeros(len(second)))

    def add(self, first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> None:
        """Add a batch of at least 4 images by the Gram matrices (n, n) of the layers; weighted by its images."""
        ones, twos = [first[name] for name in self.first], [second[name] for name in self.second]
        count = len(ones[0])
        assert count >= SMALLEST_BATCH
        a, b = torch.stack([_zero_diagonal(one) for one in ones]), torch.stack([_zero_diagonal(two) for two in twos])
        self._cross += count * _hsic(a, b)
        for own, matrices in zip(self._own, (a, b), strict=True):
            own += count * np.array([_hsic(one[None], one[None])[0, 0] for one in matrices])
        self.images += count

    @property
    def similarity(self) -> Floats:
        """CKA of each pair, (layers of the first, layers of the second); NaN for layers that are the same for all."""
        first, second = self._own
        scales = np.sqrt(np.maximum(first, 0)[:, None] * np.maximum(second, 0)[None, :])
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.where(scales > 0, self._cross / scales, np.nan), np.float64)


def gram(values: Tensor) -> Tensor:
    """Return the products of images with one another, (N, N) in float64, of values (N, ...) less their mean."""
    rows = values.detach().flatten(1)
    found = torch.zeros(len(rows), len(rows), dtype=torch.float64, device=rows.device)
    squares = torch.zeros(len(rows), dtype=torch.float64, device=rows.device)
    for start in range(0, rows.shape[1], _COLUMNS):
        part = rows[:, start : start + _COLUMNS].double()
        squares += part.square().sum(1)
        part = part - part.mean(0)
        found += part @ part.T
    # What is left within float32's rounding of the values themselves is no difference between images.
    same = found.diagonal().max() <= _SAME**2 * squares.max()
    return torch.zeros_like(found) if bool(same) else found


def _zero_diagonal(matrix: Tensor) -> Tensor:
    return matrix - torch.diag(matrix.diagonal())


def _hsic(first: Tensor, second: Tensor) -> Floats:
    """Return the unbiased HSIC of all pairs of Gram matrices (L, n, n) and (M, n, n) without diagonals, (L, M)."""
    count = first.shape[1]
    traces = first.flatten(1) @ second.flatten(1).T  # of K L, which are symmetric
    sums = first.sum((1, 2))[:, None] * second.sum((1, 2))[None, :]
    products = first.sum(2) @ second.sum(2).T  # 1' K L 1
    found = traces + sums / ((count - 1) * (count - 2)) - products * (2 / (count - 2))
    return np.asarray((found / (count * (count - 3))).cpu().numpy(), np.float64)
