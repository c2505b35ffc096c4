"""Story: LeNet-5 learns the digits with NumPy alone."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from convscope.errors import DataError, GeometryError
from convscope.reference.gradient_check import gradient_errors
from convscope.reference.layers import Activation, BatchNorm, Convolution, Dropout, Flatten, Linear, MaxPool
from convscope.reference.loss import softmax_cross_entropy, softmax_cross_entropy_backward
from convscope.reference.network import Network, lenet5, train
from convscope.reference.optimizer import SGD, Adam

LENET_ON_DIGITS = """
import sys
import numpy as np
from sklearn.datasets import load_digits
from convscope.reference.network import lenet5, train
from convscope.reference.optimizer import SGD

digits = load_digits()
large = np.pad(np.kron(digits.images / 16, np.ones((3, 3))), ((0, 0), (4, 4), (4, 4)))
order = np.random.default_rng(0).permutation(len(large))
images, labels = large[order, None].astype(np.float32), digits.target[order]
cut = len(images) * 4 // 5
network = lenet5()
train(network, images[:cut], labels[:cut], optimizer=SGD(learning_rate=0.05, momentum=0.9), epochs=8)
print(network.accuracy(images[cut:], labels[cut:]), "torch" in sys.modules)
"""


def test_lenet5_learns_the_digits_without_torch() -> None:
    done = subprocess.run([sys.executable, "-c", LENET_ON_DIGITS], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    accuracy, torch_was_there = done.stdout.split()
    assert float(accuracy) >= 0.975
    assert torch_was_there == "False"


def small_network(generator: np.random.Generator) -> Network:
    return Network([
        Convolution(2, 3, (3, 3), padding=1, generator=generator, dtype=np.float64),
        BatchNorm(3, dtype=np.float64),
        Activation("gelu"),
        MaxPool(2),
        Flatten(),
        Linear(12, 4, generator=generator, dtype=np.float64),
    ])  # fmt: skip


def test_a_networks_gradients_are_those_of_differences() -> None:
    generator = np.random.default_rng(0)
    network = small_network(generator)
    images, labels = generator.standard_normal((3, 2, 4, 4)), np.array([0, 3, 1])

    def forward(images: np.ndarray, *parameters: np.ndarray) -> np.ndarray:
        for own, given in zip(network.parameters, parameters, strict=True):
            own[...] = given
        return np.array([softmax_cross_entropy(network.forward(images, training=True), labels)])

    def backward(grad: np.ndarray, images: np.ndarray, *parameters: np.ndarray) -> list[np.ndarray]:
        forward(images, *parameters)
        scores = network.forward(images, training=True)
        grad_images = network.backward(grad * softmax_cross_entropy_backward(scores, labels))
        return [grad_images, *network.gradients]

    errors = gradient_errors(forward, backward, [images, *network.parameters])
    assert len(errors) == 1 + 6
    # Error 2 is the convolution's bias: batch normalisation takes it out again, so its gradient is rounding noise.
    assert max(errors[:2] + errors[3:]) < 1e-6


def test_adam_with_dropout_learns_and_evaluation_is_repeatable() -> None:
    generator = np.random.default_rng(0)
    images = generator.standard_normal((64, 1, 4, 4)).astype(np.float32)
    labels = (images.mean(axis=(1, 2, 3)) > 0).astype(np.int64)
    network = Network([
        Flatten(), Linear(16, 16, generator=generator), Activation("relu"),
        Dropout(0.2, generator=generator), Linear(16, 2, generator=generator),
    ])  # fmt: skip
    seen: list[int] = []
    history = train(
        network,
        images,
        labels,
        optimizer=Adam(learning_rate=0.02),
        epochs=30,
        report=lambda epoch, _: seen.append(epoch),
    )
    assert seen == list(range(1, 31))
    assert history[-1] < history[0] / 2
    assert network.accuracy(images, labels) > 0.9
    assert np.array_equal(network.forward(images), network.forward(images))


def test_the_same_seed_is_the_same_network() -> None:
    images, labels = np.random.default_rng(0).standard_normal((8, 1, 32, 32)).astype(np.float32), np.arange(8)
    histories = [
        train(lenet5(seed=3), images, labels, optimizer=SGD(learning_rate=0.1), epochs=2, seed=5) for _ in range(2)
    ]
    assert histories[0] == histories[1]


def test_misuse_is_named() -> None:
    with pytest.raises(DataError, match="3 images and 2 labels"):
        train(lenet5(), np.zeros((3, 1, 32, 32)), np.zeros(2, int), optimizer=SGD(learning_rate=0.1), epochs=1)
    with pytest.raises(GeometryError, match="no activation is called 'relo': choose one of relu"):
        Activation("relo")
    with pytest.raises(GeometryError, match=r"400 · groups|400 features|the weight takes 400"):
        lenet5().forward(np.zeros((1, 1, 28, 28), np.float32))
