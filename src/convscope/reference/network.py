"""A network, and the four steps that train it: forward, loss, backward, step. No torch anywhere.

>>> from convscope.reference.optimizer import SGD
>>> images, labels = np.eye(4, dtype=np.float32).reshape(4, 1, 2, 2), np.arange(4)
>>> generator = np.random.default_rng(0)
>>> network = Network([Flatten(), Linear(4, 8, generator=generator), Activation("relu"),
...                    Linear(8, 4, generator=generator)])
>>> history = train(network, images, labels, optimizer=SGD(learning_rate=0.5), epochs=60, batch_size=4)
>>> history[0] > 1.0 > 0.2 > history[-1]
True
>>> network.predict(images)
array([0, 1, 2, 3])
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from convscope.arrays import Array
from convscope.errors import DataError
from convscope.reference.layers import Activation, AveragePool, Convolution, Dtype, Flatten, Linear, TrainableLayer
from convscope.reference.loss import softmax_cross_entropy, softmax_cross_entropy_backward
from convscope.reference.optimizer import Optimizer


class Network:
    """Layers, one behind the other."""

    def __init__(self, layers: Sequence[TrainableLayer]) -> None:
        self.layers = list(layers)

    def forward(self, x: Array, *, training: bool = False) -> Array:
        """Images `(N, C, H, W)` to scores `(N, classes)`."""
        for layer in self.layers:
            x = layer.forward(x, training=training)
        return x

    def backward(self, grad_output: Array) -> Array:
        """Walk back through the layers: leaves every parameter's gradient, gives the images' gradient."""
        for layer in reversed(self.layers):
            grad_output = layer.backward(grad_output)
        return grad_output

    @property
    def parameters(self) -> list[Array]:
        """Every array that learns, layer by layer."""
        return [parameter for layer in self.layers for parameter in layer.parameters]

    @property
    def gradients(self) -> list[Array]:
        """The gradients of the last `backward`, in the order of `parameters`."""
        return [gradient for layer in self.layers for gradient in layer.gradients]

    def predict(self, images: Array, *, batch_size: int = 256) -> Array:
        """Return the class with the largest score, `(N,)`."""
        starts = range(0, len(images), batch_size)
        return np.concatenate([self.forward(images[i : i + batch_size]).argmax(axis=1) for i in starts])

    def accuracy(self, images: Array, labels: Array) -> float:
        """Return the share of images whose class is named rightly, from 0 to 1."""
        return float((self.predict(images) == labels).mean())


def train(
    network: Network,
    images: Array,
    labels: Array,
    *,
    optimizer: Optimizer,
    epochs: int,
    batch_size: int = 32,
    seed: int = 0,
    report: Callable[[int, float], None] | None = None,
) -> list[float]:
    """Train with softmax cross-entropy; gives the mean loss of each epoch.

    Args:
        network: changed in place.
        images: `(N, C, H, W)`, floating point.
        labels: `(N,)`, whole numbers from 0.
        optimizer: what a step does.
        epochs: passes over the data, each in a new order.
        batch_size: images a step.
        seed: of the orders.
        report: called with the epoch (from 1) and its mean loss.

    Raises:
        DataError: no images, or not one label each.
    """
    if len(images) == 0 or len(images) != len(labels):
        raise DataError(f"{len(images)} images and {len(labels)} labels: give one label per image, and at least one")
    history = []
    for epoch in range(1, epochs + 1):
        losses = []
        for batch in batches(len(images), batch_size=batch_size, seed=seed, epoch=epoch):
            scores = network.forward(images[batch], training=True)  # 1 forward
            losses.append(softmax_cross_entropy(scores, labels[batch]))  # 2 loss
            network.backward(softmax_cross_entropy_backward(scores, labels[batch]))  # 3 backward
            optimizer.step(network.parameters, network.gradients)  # 4 step
        history.append(float(np.mean(losses)))
        if report is not None:
            report(epoch, history[-1])
    return history


def batches(samples: int, *, batch_size: int, seed: int, epoch: int) -> Iterator[Array]:
    """Yield every sample's index once, in an order that depends on the seed and the epoch alone.

    >>> sorted(int(i) for batch in batches(5, batch_size=2, seed=0, epoch=1) for i in batch)
    [0, 1, 2, 3, 4]
    """
    order = np.random.default_rng((seed, epoch)).permutation(samples)
    for start in range(0, samples, batch_size):
        yield order[start : start + batch_size]


def lenet5(*, in_channels: int = 1, num_classes: int = 10, seed: int = 0, dtype: Dtype = np.float32) -> Network:
    """LeNet-5 in the form that is taught today: images `(N, in_channels, 32, 32)` to scores; 61,706 parameters.

    LeCun, Bottou, Bengio, Haffner (1998). The paper trains its subsampling, reads only some of S2's maps in C3 and
    measures distances at the output; `convscope.nets.lenet5` has those too.

    >>> sum(parameter.size for parameter in lenet5().parameters)
    61706
    """
    generator = np.random.default_rng(seed)

    def convolution(channels: int, filters: int) -> Convolution:
        return Convolution(channels, filters, (5, 5), generator=generator, dtype=dtype)

    def connected(features: int, units: int) -> Linear:
        return Linear(features, units, generator=generator, dtype=dtype)

    return Network([
        convolution(in_channels, 6), Activation("tanh"), AveragePool(2),  # 32x32 -> 28x28 -> 14x14
        convolution(6, 16), Activation("tanh"), AveragePool(2),  # -> 10x10 -> 5x5
        Flatten(),
        connected(400, 120), Activation("tanh"),
        connected(120, 84), Activation("tanh"),
        connected(84, num_classes),
    ])  # fmt: skip
