"""Pictures as amplitudes of frequencies, with the colours of a data set: what feature visualisation optimises.

Gradients on pixels make high frequencies that no photograph has; on amplitudes divided by their frequency every scale
learns alike, and colours that go together in the data set stay together (Olah, Mordvintsev, Schubert 2017, "Feature
visualization", Distill, section "Preconditioning and parameterization").
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from convscope.arrays import Floats
from convscope.data.records import ImageSet, spaced_rows

_SAMPLE = 256  # images whose colours are measured
_START = 0.01  # standard deviation of the amplitudes at the start
_STEEPNESS = 4.0  # of the sigmoid: its slope at the middle is 1 for levels of 0 to 1


class FourierImages:
    """Pictures (N, C, H, W) of levels 0 to 1, from amplitudes that can be optimised.

    Args:
        count: of pictures.
        size: height and width.
        mean: of each channel's levels, (C,).
        colours: of the levels' covariance the root, (C, C); see `colour_root`.
        seed: of the amplitudes at the start.

    >>> made = FourierImages(2, (9, 12), mean=np.array([0.5]), colours=np.eye(1))
    >>> levels = made.levels()
    >>> tuple(levels.shape), bool((levels > 0).all() and (levels < 1).all())
    ((2, 1, 9, 12), True)
    """

    def __init__(
        self, count: int, size: tuple[int, int], *, mean: Floats, colours: Floats, seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:  # fmt: skip
        height, width = size
        self.size = size
        rows = torch.fft.fftfreq(height)[:, None]
        columns = torch.fft.rfftfreq(width)[None, :]
        frequencies = torch.sqrt(rows**2 + columns**2).clamp(min=1 / max(height, width))
        self._scale = (frequencies.reciprocal() * (height * width) ** 0.5 / max(height, width)).to(device)
        draw = torch.Generator().manual_seed(seed)
        start = torch.randn((count, len(mean), height, width // 2 + 1, 2), generator=draw) * _START
        self.amplitudes = start.to(device).requires_grad_()
        levels = np.clip(mean, 0.02, 0.98)
        self._mean = torch.from_numpy(np.log(levels / (1 - levels))).float().to(device)[:, None, None]
        # The strongest colour direction has length 1.
        strongest = float(np.linalg.norm(colours, ord=2)) or 1.0
        self._colours = torch.from_numpy(colours / strongest).float().to(device)

    def levels(self) -> Tensor:
        """Return the pictures, which autograd follows back to the amplitudes."""
        spectrum = torch.view_as_complex(self.amplitudes) * self._scale
        planes = torch.fft.irfft2(spectrum, s=self.size, norm="ortho")
        planes = torch.einsum("dc,nchw->ndhw", self._colours, planes)
        return torch.sigmoid(_STEEPNESS * planes + self._mean)


def colour_statistics(images: ImageSet) -> tuple[Floats, Floats]:
    """Return the mean of the levels 0 to 1, (C,), and the root of their covariance, (C, C), over 256 images.

    >>> grey = ImageSet(np.full((4, 2, 2, 1), 51, np.uint8), np.zeros(4, np.int64), [""] * 4)
    >>> [found.round(3).tolist() for found in colour_statistics(grey)]
    [[0.2], [[0.0]]]
    """
    rows = spaced_rows(len(images), _SAMPLE)
    channels = images.images.shape[3]
    mean, moments, pixels = np.zeros(channels), np.zeros((channels, channels)), 0
    for row in rows:
        colours = np.asarray(images.images[int(row)]).reshape(-1, channels) / 255
        mean, moments, pixels = mean + colours.sum(0), moments + colours.T @ colours, pixels + len(colours)
    middle = np.asarray(mean / pixels, np.float64)
    values, vectors = np.linalg.eigh(np.asarray(moments / pixels) - np.outer(middle, middle))
    return middle, np.asarray(vectors @ np.diag(np.sqrt(np.maximum(values, 0))) @ vectors.T, np.float64)
