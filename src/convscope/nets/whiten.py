"""A whitening first layer, fitted instead of trained: it decorrelates neighbouring pixels.

Neighbouring pixels of a photograph are strongly correlated, and the first filters of a network learn differences of
them. The principal components of small patches, scaled to equal variance, need no training: they are the eigenvectors
of the patches' covariance (Coates, Ng, Lee, "An Analysis of Single-Layer Networks in Unsupervised Feature Learning",
AISTATS 2011, section 3.1, whitens patches so).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from convscope.errors import GeometryError

# Added to each eigenvalue, so that directions of noise alone are not amplified.
REGULARIZATION = 5e-4
# Numbers of patches that are looked at in one go: some 64 MiB of fp32.
NUMBERS_AT_ONCE = 2**24


class Whitening(nn.Conv2d):
    """A convolution whose filters are fitted, not trained: each direction with both signs; its bias is trained.

    Images (N, in_channels, H, W) become (N, 2 * directions, ...). There are at most in_channels * kernel_size² of
    the `directions`. Until `fit` was called the filters are random.
    """

    weight: Tensor

    def __init__(self, in_channels: int, directions: int, kernel_size: int, *, stride: int, padding: int) -> None:
        directions = min(directions, in_channels * kernel_size**2)
        super().__init__(in_channels, 2 * directions, kernel_size, stride=stride, padding=padding)
        half = self.weight.detach()[:directions]
        del self.weight
        self.register_buffer("weight", torch.cat([half, -half]))

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw random filters, each with both signs, and set the biases to 0."""
        super().reset_parameters()
        assert self.bias is not None
        nn.init.zeros_(self.bias)
        directions = self.out_channels // 2
        self.weight[directions:] = -self.weight[:directions]

    def bytes_to_fit(self, images: int, height: int, width: int) -> int:
        """Return about the bytes of memory that `fit` takes for a number of images, these included.

        >>> Whitening(3, 12, 2, stride=1, padding=0).bytes_to_fit(1_000, 32, 32) == 4 * 5 * 3 * 1024 * 1000
        True
        """
        numbers = images * self.in_channels * height * width
        patches = numbers * self.kernel_size[0] ** 2
        # Beyond one piece the patches of the next one are made beside those of the last.
        held = patches if patches <= NUMBERS_AT_ONCE else 2 * NUMBERS_AT_ONCE
        return 4 * (numbers + held)

    @torch.no_grad()
    def fit(self, images: Tensor) -> None:
        """Fit the filters to normalised images (N, C, H, W); the component of the largest variance comes first."""
        directions = self.out_channels // 2
        found = whitening_filters(images, self.kernel_size[0], directions)
        self.weight.copy_(torch.cat([found, -found]))


def whitening_filters(images: Tensor, kernel_size: int, directions: int) -> Tensor:
    """Return the first principal components of the images' patches, each divided by its standard deviation.

    Args:
        images: normalised, (N, C, H, W).
        kernel_size: side of a patch.
        directions: number of components, at most C * kernel_size².

    Returns:
        (directions, C, kernel_size, kernel_size), the component of the largest variance first.

    Raises:
        GeometryError: images smaller than a patch.

    >>> filters = whitening_filters(torch.randn(8, 1, 6, 6), 2, 3)
    >>> filters.shape
    torch.Size([3, 1, 2, 2])
    """
    channels, height, width = images.shape[1:]
    if min(height, width) < kernel_size:
        raise GeometryError(
            f"images of {height}x{width} hold no patch of {kernel_size}x{kernel_size}: take larger ones"
        )
    length = channels * kernel_size**2
    across = (height - kernel_size + 1) * (width - kernel_size + 1)
    total = torch.zeros(length, length, dtype=torch.float64)
    for some in torch.split(images, max(1, NUMBERS_AT_ONCE // (across * length))):
        # A row for each number of a patch, over all patches: copied in runs along the width, which is quick.
        patches = some.contiguous().unfold(2, kernel_size, 1).unfold(3, kernel_size, 1)
        rows = patches.permute(1, 4, 5, 0, 2, 3).reshape(length, -1)
        total += (rows @ rows.T).cpu().double()
    values, vectors = torch.linalg.eigh(total / (len(images) * across))
    largest, components = values.flip(0)[:directions].clamp(min=0), vectors.flip(1)[:, :directions]
    # The sign of an eigenvector depends on the library: its entry of the largest magnitude is made positive.
    ends = components.gather(0, components.abs().argmax(0, keepdim=True))
    filters: Tensor = components * ends.sign() / torch.sqrt(largest + REGULARIZATION)
    return filters.T.reshape(-1, channels, kernel_size, kernel_size).to(images.dtype).to(images.device)
