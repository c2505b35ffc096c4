"""The blurred pooling is timm's where that is installed, and has the sizes of the layers that it replaces."""

import pytest
import torch
from torch import nn

from convscope.errors import GeometryError
from convscope.nets.blur_pool import BlurPool2d, BlurredConv2d, blurred_convolution, blurred_max_pool
from torchvision_oracle import timm_or_skip


@pytest.mark.parametrize("taps", [3, 5])
@pytest.mark.parametrize("shape", [(2, 3, 9, 12), (1, 1, 8, 8)])
def test_it_equals_timms(taps, shape):
    timm_or_skip()
    from timm.layers import BlurPool2d as TimmBlurPool2d

    x = torch.randn(shape)
    torch.testing.assert_close(BlurPool2d(taps=taps)(x), TimmBlurPool2d(shape[1], filt_size=taps)(x))


def test_it_is_the_binomial_mean_of_the_reflected_map():
    x = torch.randn(1, 2, 6, 7, dtype=torch.float64)
    padded = nn.functional.pad(x, (1, 1, 1, 1), mode="reflect")
    rows = padded[:, :, :-2] + 2 * padded[:, :, 1:-1] + padded[:, :, 2:]
    both = (rows[..., :-2] + 2 * rows[..., 1:-1] + rows[..., 2:]) / 16
    torch.testing.assert_close(BlurPool2d()(x), both[:, :, ::2, ::2], rtol=1e-6, atol=1e-6)
    for taps in range(1, 10):
        torch.testing.assert_close(BlurPool2d(taps=taps)(torch.ones(1, 2, 12, 12)), torch.ones(1, 2, 6, 6))


@pytest.mark.parametrize("side", range(4, 13))
@pytest.mark.parametrize("taps", [1, 2, 3, 4, 5])
def test_sizes_are_those_of_the_layers_replaced(side, taps):
    x = torch.randn(1, 2, side, side + 1)
    for kernel, padding in ((1, 0), (2, 0), (3, 0), (3, 1), (2, 1)):
        pool = nn.MaxPool2d(kernel, stride=2, padding=padding)
        assert blurred_max_pool(pool, taps=taps)(x).shape == pool(x).shape
        conv = nn.Conv2d(2, 3, kernel, stride=2, padding=padding)
        found = blurred_convolution(conv, stride=(1, 1), after=BlurPool2d(taps=taps))
        assert found(x).shape == conv(x).shape
    assert BlurPool2d()(torch.ones(1, 1, 1, 1)).shape == (1, 1, 1, 1)
    assert BlurPool2d()(torch.ones(1, 1, 4, 4, device="meta")).shape == (1, 1, 2, 2)  # on any device


def test_a_blurred_convolution_has_the_parameters_and_no_draws():
    state = torch.random.get_rng_state()
    conv = nn.Conv2d(4, 4, 3, groups=2, bias=False, padding=1, padding_mode="circular")
    torch.random.set_rng_state(state)
    found = blurred_convolution(conv, stride=(1, 1))
    assert torch.equal(torch.random.get_rng_state(), state) and isinstance(found, BlurredConv2d)
    assert found.weight is conv.weight and found.bias is None and list(found.state_dict()) == ["weight"]
    x = torch.randn(1, 4, 8, 8)
    assert torch.equal(found(x), conv(x))


def test_what_has_no_blurred_form_is_one_line():
    with pytest.raises(GeometryError, match="taps 1 to 9"):
        BlurPool2d(taps=10)
    with pytest.raises(GeometryError, match="no blurred form"):
        blurred_max_pool(nn.MaxPool2d(2, ceil_mode=True))
