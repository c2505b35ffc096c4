"""LeNet-5 and the lecture notes' own small networks."""

from __future__ import annotations

from convscope.nets.entry import Entry

_LENET5 = "LeCun, Bottou, Bengio, Haffner: Gradient-Based Learning Applied to Document Recognition. Proc. IEEE 86(11)"

ENTRIES = (
    Entry(
        name="lenet5",
        title="LeNet-5",
        year=1998,
        paper=_LENET5,
        idea="convolution, subsampling and full connection, all learned end to end from pixels",
        input_shape=(1, 32, 32),
        parameters=61_706,
        published_error="0.95 % on MNIST's test set (0.8 % with distorted training images)",
        layers=7,
        num_classes=10,
        module="convscope.nets.lenet5",
        factory="lenet5",
    ),
    Entry(
        name="lenet5-1998",
        title="LeNet-5 as in 1998",
        year=1998,
        paper=_LENET5,
        idea="trained subsampling, 60 chosen connections in C3, and fixed codes for the classes",
        input_shape=(1, 32, 32),
        parameters=60_000,
        published_error="0.95 % on MNIST's test set (0.8 % with distorted training images)",
        layers=7,
        num_classes=10,
        module="convscope.nets.lenet5",
        factory="lenet5",
        settings=(
            ("activation", "scaled-tanh"),
            ("subsampling", "trainable"),
            ("connections", "1998"),
            ("output", "rbf"),
        ),
    ),
    Entry(
        name="lenet5-notes",
        title="LeNet-5 of the lecture notes",
        year=2017,
        paper="The lecture notes' worked table, after LeCun and others (1998)",
        idea="the table of shapes and parameters that every course works through: RGB, 8 maps, max pooling",
        input_shape=(3, 32, 32),
        parameters=62_958,
        published_error=None,
        layers=5,
        num_classes=10,
        module="convscope.nets.lenet5",
        factory="lenet5",
        settings=(("c1_maps", 8), ("activation", "relu"), ("subsampling", "max")),
    ),
    Entry(
        name="alexnet-mini",
        title="MiniAlexNet",
        year=2012,
        paper="The lecture notes' exercise after Krizhevsky, Sutskever, Hinton (2012)",
        idea="AlexNet's parts (ReLU, pooling, dropout, two wide layers) at the size of CIFAR-10",
        input_shape=(3, 32, 32),
        parameters=2_473_610,
        published_error="20-25 % on CIFAR-10 (the notes' expectation, with dropout)",
        layers=5,
        num_classes=10,
        module="convscope.nets.alexnet_mini",
        factory="alexnet_mini",
    ),
)
