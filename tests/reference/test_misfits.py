"""Shapes that do not fit: the message names both and says what to do."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from convscope.errors import DataError, GeometryError
from convscope.reference.activation import dropout_mask
from convscope.reference.convolution import convolve, convolve_backward
from convscope.reference.gradient_check import gradient_errors
from convscope.reference.linear import add, concatenate, linear
from convscope.reference.loss import hinge, logistic, softmax_cross_entropy
from convscope.reference.normalization import batch_norm, group_norm, layer_norm, local_response_norm
from convscope.reference.pooling import max_pool
from convscope.reference.transposed import transposed_convolve

image, filters = np.zeros((1, 3, 4, 4)), np.zeros((8, 3, 3, 3))

CASES: list[tuple[Callable[[], object], list[str]]] = [
    (lambda: convolve(image, np.zeros((8, 3, 5, 5))), ["(1, 3, 4, 4)", "(8, 3, 5, 5)", "spans 5", "output size = ⌊("]),
    (lambda: convolve(image, np.zeros((8, 4, 3, 3))), ["(1, 3, 4, 4)", "(8, 4, 3, 3)", "C_in / groups"]),
    (lambda: convolve(image, np.zeros((8, 1, 3, 3)), groups=3), ["groups 3", "out_channels 8"]),
    (lambda: convolve(image, np.zeros((8, 3, 3))), ["(1, 3, 4, 4)", "(8, 3, 3)", "same number of axes"]),
    (lambda: convolve(image, filters, padding=(1, 1, 1)), ["padding has 3", "2 spatial axes"]),
    (lambda: convolve(image, filters, stride=0), ["stride must be at least 1, got 0"]),
    (lambda: convolve_backward(np.zeros((1, 8, 4, 4)), image, filters), ["(1, 8, 4, 4)", "(1, 8, 2, 2)"]),
    (lambda: transposed_convolve(image, np.zeros((4, 8, 3, 3))), ["(1, 3, 4, 4)", "(4, 8, 3, 3)", "C_out / groups"]),
    (lambda: transposed_convolve(image, np.zeros((3, 8, 3, 3)), output_padding=1), ["output_padding", "less than"]),
    (lambda: max_pool(image, 5), ["(1, 3, 4, 4)", "kernel 5", "spans 5"]),
    (lambda: max_pool(image, 3, padding=2), ["more than half"]),
    (lambda: max_pool(np.zeros((3, 4)), 2), ["(3, 4)", "(N, C, *spatial)"]),
    (lambda: linear(np.zeros((2, 5)), np.zeros((3, 4))), ["(2, 5)", "(3, 4)", "(F_out, F_in)"]),
    (lambda: add(np.zeros((2, 5)), np.zeros((2, 4))), ["(2, 5)", "(2, 4)"]),
    (lambda: concatenate([image, np.zeros((1, 3, 4, 5))]), ["(1, 3, 4, 4)", "(1, 3, 4, 5)", "axis 1"]),
    (lambda: concatenate([]), ["nothing to concatenate"]),
    (lambda: batch_norm(image, np.ones(4), np.ones(4)), ["3 channels", "(4,)"]),
    (lambda: layer_norm(image, np.ones(5), np.ones(5)), ["(1, 3, 4, 4)", "(5,)"]),
    (lambda: group_norm(image, 2, np.ones(3), np.ones(3)), ["groups 2", "3 channels"]),
    (lambda: local_response_norm(image, 0), ["size must be at least 1"]),
    (lambda: dropout_mask((2,), rate=1.0, generator=np.random.default_rng()), ["less than 1, got 1.0"]),
    (lambda: softmax_cross_entropy(np.zeros((2, 3)), np.zeros(3, int)), ["(2, 3)", "(3,)"]),
    (lambda: logistic(np.zeros(2), np.zeros(3)), ["(2,)", "(3,)"]),
    (lambda: gradient_errors(add, lambda grad, a, b: grad, [np.zeros(1), np.zeros(1)]), ["1 gradients for 2 inputs"]),
    (lambda: gradient_errors(np.sum, lambda grad, a: grad, [np.zeros(2)]), ["input 0 is ()", "(2,)"]),
]  # fmt: skip


@pytest.mark.parametrize(("misuse", "words"), CASES)
def test_a_misfit_is_named(misuse: Callable[[], object], words: list[str]) -> None:
    with pytest.raises(GeometryError) as caught:
        misuse()
    assert [word for word in words if word not in str(caught.value)] == []
    assert "\n" not in str(caught.value)


def test_a_label_that_is_no_class_is_named() -> None:
    with pytest.raises(DataError, match="labels go from 0 to 3, but there are 3 classes"):
        hinge(np.zeros((2, 3)), np.array([0, 3]))
