"""The element type of inputs that are given by shape: what the weights that read them have."""

import pytest
import torch
from torch import nn

from convscope.capture.capture import capture


class Spectral(nn.Module):
    """Multiplies the Fourier transform of a real map."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3, 8, 5, dtype=dtype))

    def forward(self, x):
        return torch.fft.irfft2(torch.fft.rfft2(x) * self.weight)


class Scaled(nn.Module):
    """Multiplies by weights of a type of its own."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.register_buffer("factor", torch.ones(3, 8, 8, dtype=dtype))

    def forward(self, x):
        return x * self.factor


class Mixed(nn.Module):
    """Has a table that nothing reads, and a scale, before the layers that read the input."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.table = nn.Embedding(10, 4)
        self.conv = nn.Conv2d(3, 4, 3, dtype=dtype)
        self.scale = nn.Parameter(torch.ones(4, 1, 1))

    def forward(self, x):
        return self.conv(x).float() * self.scale


class ScaleFirst(Mixed):
    """Has the scale first."""

    def __init__(self, dtype: torch.dtype) -> None:
        nn.Module.__init__(self)
        self.scale = nn.Parameter(torch.ones(4, 1, 1))
        self.conv = nn.Conv2d(3, 4, 3, dtype=dtype)


@pytest.mark.parametrize(
    ("model", "shape", "dtype"),
    [
        (Spectral(torch.complex64), (3, 8, 8), "float32"),
        (Spectral(torch.complex128), (3, 8, 8), "float64"),
        (nn.Conv2d(3, 4, 3, dtype=torch.complex64), (3, 8, 8), "complex64"),
        (nn.Linear(8, 2, dtype=torch.complex128), (8,), "complex128"),
        (Scaled(torch.int64), (3, 8, 8), "float32"),
        (Scaled(torch.bool), (3, 8, 8), "float32"),
        (nn.Conv2d(3, 4, 3, dtype=torch.bfloat16), (3, 8, 8), "bfloat16"),
        (nn.Conv2d(3, 4, 3, dtype=torch.float64), (3, 8, 8), "float64"),
        (Mixed(torch.bfloat16), (3, 8, 8), "bfloat16"),
        (ScaleFirst(torch.float16), (3, 8, 8), "float16"),
        (nn.Flatten(), (3, 8, 8), "float32"),
        (nn.Sequential(nn.Embedding(10, 4), nn.Linear(4, 2)), (5,), "int64"),
        (nn.EmbeddingBag(10, 4), (5,), "int64"),
    ],
)
def test_an_input_has_the_type_that_the_network_takes(model, shape, dtype):
    graph = capture(model, shape)
    assert graph.error is None and graph.values[graph.inputs[0]].spec.dtype == dtype


def test_another_type_than_the_first_is_said():
    assert capture(ScaleFirst(torch.float16), (3, 8, 8)).notes == ("the input is taken as float16",)
    assert capture(nn.Embedding(10, 4), (5,)).notes == ("the input is taken as int64",)


def test_indices_among_several_inputs_need_a_type():
    class Labelled(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.table = nn.Conv2d(3, 4, 3), nn.Embedding(10, 4)

        def forward(self, image, label):
            return self.conv(image).mean((2, 3)) + self.table(label)[:, 0]

    error = capture(Labelled(), [(3, 8, 8), (1,)]).error
    assert error is not None and "whole numbers: give input_shape a type, such as TensorSpec" in error
