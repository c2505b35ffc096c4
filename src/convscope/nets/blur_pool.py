"""Blurred subsampling: a binomial filter before every second pixel is left out, so that what is left does not alias.

Zhang, "Making convolutional networks shift-invariant again", ICML 2019, arXiv:1904.11486, section 3.2: a max pooling
becomes the maximum at every pixel, a blur and a subsampling; a strided convolution becomes one of stride 1 whose
activation is blurred and subsampled. The filter is the binomial one of section 3.2 ("Tri-3" is 1 2 1).
"""

from __future__ import annotations

from math import comb
from typing import cast

import torch
from torch import nn
from torch.nn import functional

from convscope.errors import GeometryError


class BlurPool2d(nn.Module):
    """Blur each channel by a binomial filter and subsample it: (N, C, H, W) to (N, C, ceil(H / s), ceil(W / s)).

    The border is reflected; repeated where a map is too small for that. It has no weights, and no entry in the state.

    Args:
        stride: s.
        taps: of the filter along each axis, 1 to 9: 3 is 1 2 1.

    Raises:
        GeometryError: a stride below 1, or taps that are not 1 to 9.

    >>> BlurPool2d()(torch.ones(1, 2, 5, 8)).shape, BlurPool2d().state_dict()
    (torch.Size([1, 2, 3, 4]), OrderedDict())
    """

    kernel: torch.Tensor

    def __init__(self, *, stride: int = 2, taps: int = 3) -> None:
        super().__init__()
        if stride < 1 or not 1 <= taps <= 9:
            raise GeometryError(f"a blur of stride {stride} with {taps} taps: the stride is 1 or more, taps 1 to 9")
        self.stride, self.taps = stride, taps
        along = torch.tensor([comb(taps - 1, tap) for tap in range(taps)], dtype=torch.float64) / 2 ** (taps - 1)
        self.register_buffer("kernel", torch.outer(along, along).to(torch.get_default_dtype()), persistent=False)

    def extra_repr(self) -> str:
        """Return the settings."""
        return f"stride={self.stride}, taps={self.taps}"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the blurred and subsampled map."""
        # Of an even number of taps the one more is after: so the sizes are those of a window of one pixel.
        before, after = (self.taps - 1) // 2, self.taps // 2
        mode = "reflect" if min(x.shape[-2:]) > after else "replicate"
        padded = functional.pad(x, (before, after, before, after), mode=mode)
        kernel = self.kernel.to(x).expand(x.shape[1], 1, self.taps, self.taps)
        return functional.conv2d(padded, kernel, stride=self.stride, groups=x.shape[1])


class BlurredConv2d(nn.Conv2d):
    """A convolution with blurs around it; its weights are those of the convolution that it replaces, by the same names.

    Made by `blurred_convolution`.
    """

    before: BlurPool2d | None
    after: BlurPool2d | None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the convolution of the map, blurred before or after where that is asked for."""
        found = super().forward(x if self.before is None else self.before(x))
        return found if self.after is None else cast(torch.Tensor, self.after(found))


def blurred_convolution(
    convolution: nn.Conv2d,
    *,
    stride: tuple[int, int],
    before: BlurPool2d | None = None,
    after: BlurPool2d | None = None,
) -> BlurredConv2d:
    """Return a convolution with the parameters of another, of another stride and with blurs around it.

    >>> conv = nn.Conv2d(3, 8, 3, stride=2, padding=1)
    >>> found = blurred_convolution(conv, stride=(1, 1), after=BlurPool2d())
    >>> found(torch.ones(1, 3, 16, 16)).shape, list(found.state_dict()), found.weight is conv.weight
    (torch.Size([1, 8, 8, 8]), ['weight', 'bias'], True)
    """
    # On "meta" no weights are drawn.
    found = BlurredConv2d(
        convolution.in_channels, convolution.out_channels, cast(tuple[int, int], convolution.kernel_size),
        stride=stride, padding=cast(tuple[int, int], convolution.padding),
        dilation=cast(tuple[int, int], convolution.dilation), groups=convolution.groups,
        bias=convolution.bias is not None, padding_mode=convolution.padding_mode, device="meta",
    )  # fmt: skip
    found.weight, found.bias = convolution.weight, convolution.bias
    found.before, found.after = before, after
    return found.train(convolution.training)


def blurred_max_pool(pool: nn.MaxPool2d, *, taps: int = 3) -> nn.Sequential:
    """Return the maximum at every pixel, then a blur and the pooling's subsampling.

    Raises:
        GeometryError: the pooling's strides differ, its size is rounded up, or it returns indices.

    >>> pool, x = nn.MaxPool2d(3, stride=2, padding=1), torch.ones(1, 2, 7, 8)
    >>> blurred_max_pool(pool)(x).shape == pool(x).shape
    True
    """
    strides = {pool.stride} if isinstance(pool.stride, int) else set(pool.stride)
    if len(strides) > 1 or pool.ceil_mode or pool.return_indices:
        raise GeometryError(f"{pool} has no blurred form: its stride is one, its size rounded down, without indices")
    (stride,) = strides
    dense = nn.MaxPool2d(pool.kernel_size, stride=1, padding=pool.padding, dilation=pool.dilation)
    return nn.Sequential(dense, BlurPool2d(stride=stride, taps=taps)).train(pool.training)
