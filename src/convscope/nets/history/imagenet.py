"""Entries from AlexNet to Inception."""

from __future__ import annotations

from convscope.nets.entry import Entry

_ALEXNET = (
    "Krizhevsky, Sutskever, Hinton: ImageNet Classification with Deep Convolutional Neural Networks. NeurIPS 2012"
)
_GOOGLENET = "Szegedy and others: Going Deeper with Convolutions. CVPR 2015, arXiv:1409.4842"
_VGG = (
    "Simonyan, Zisserman: Very Deep Convolutional Networks for Large-Scale Image Recognition. "
    "ICLR 2015, arXiv:1409.1556"
)


def _vgg(depth: int, parameters: int, published_error: str, idea: str, *, batch_norm: bool = False) -> Entry:
    return Entry(
        name=f"vgg{depth}_bn" if batch_norm else f"vgg{depth}",
        title=f"VGG-{depth} with batch normalization" if batch_norm else f"VGG-{depth}",
        year=2014,
        paper=_VGG,
        idea="the same with batch normalization, which came a year later" if batch_norm else idea,
        input_shape=(3, 224, 224),
        parameters=parameters,
        published_error=None if batch_norm else published_error,
        layers=depth,
        num_classes=1000,
        module="convscope.nets.vgg",
        factory="vgg",
        settings=(("depth", depth), ("batch_norm", batch_norm)),
    )


_VGG11 = "10.4 % top-5 (validation, one network, one scale)"
_VGG13 = "9.9 % top-5 (validation, one network, one scale)"
_VGG16 = "8.1 % top-5 (validation, one network, one scale; 7.3 % test, ensemble of seven)"
_VGG19 = "8.0 % top-5 (validation, one network, one scale; 7.3 % test, ensemble of seven)"

ENTRIES = (
    Entry(
        name="alexnet-2012",
        title="AlexNet",
        year=2012,
        paper=_ALEXNET,
        idea="ReLU, dropout, augmentation and two GPUs make a deep network win ImageNet",
        input_shape=(3, 227, 227),
        parameters=60_965_224,
        published_error="16.4 % top-5 (test, ensemble of five; 18.2 % one network, validation)",
        layers=8,
        num_classes=1000,
        module="convscope.nets.alexnet",
        factory="alexnet_2012",
        settings=(("towers", 2),),
    ),
    Entry(
        name="alexnet-2012-one-tower",
        title="AlexNet in one tower",
        year=2012,
        paper=_ALEXNET,
        idea="the same without the split over two GPUs: every map reads every map",
        input_shape=(3, 227, 227),
        parameters=62_378_344,
        published_error=None,
        layers=8,
        num_classes=1000,
        module="convscope.nets.alexnet",
        factory="alexnet_2012",
        settings=(("towers", 1),),
    ),
    Entry(
        name="zfnet",
        title="ZFNet",
        year=2013,
        paper="Zeiler, Fergus: Visualizing and Understanding Convolutional Networks. ECCV 2014, arXiv:1311.2901",
        idea="AlexNet with smaller first windows and a smaller first stride, found by visualizing its layers",
        input_shape=(3, 224, 224),
        parameters=62_357_608,
        published_error="14.8 % top-5 (test, ensemble of six; 11.7 % the company's entry grown from it)",
        layers=8,
        num_classes=1000,
        module="convscope.nets.zfnet",
        factory="zfnet",
    ),
    Entry(
        name="nin",
        title="Network in network",
        year=2013,
        paper="Lin, Chen, Yan: Network In Network. ICLR 2014, arXiv:1312.4400",
        idea="1x1 convolutions mix channels at every pixel; the mean of a map per class replaces the classifier",
        input_shape=(3, 32, 32),
        parameters=966_986,
        published_error="10.41 % on CIFAR-10 (8.81 % with augmentation)",
        layers=9,
        num_classes=10,
        module="convscope.nets.nin",
        factory="nin",
    ),
    Entry(
        name="alexnet",
        title="AlexNet, the form of 2014",
        year=2014,
        paper="Krizhevsky: One weird trick for parallelizing convolutional neural networks. arXiv:1404.5997",
        idea="one tower, no normalization, thinner first layers: the form that libraries ship",
        input_shape=(3, 224, 224),
        parameters=61_100_840,
        published_error=None,
        layers=8,
        num_classes=1000,
        module="convscope.nets.alexnet",
        factory="alexnet",
    ),
    _vgg(11, 132_863_336, _VGG11, "only 3x3 windows: eight convolutions"),
    _vgg(13, 133_047_848, _VGG13, "only 3x3 windows: ten convolutions"),
    _vgg(16, 138_357_544, _VGG16, "only 3x3 windows: thirteen convolutions, more field for fewer weights"),
    _vgg(19, 143_667_240, _VGG19, "only 3x3 windows: sixteen convolutions, as deep as it goes without shortcuts"),
    _vgg(11, 132_868_840, _VGG11, "", batch_norm=True),
    _vgg(13, 133_053_736, _VGG13, "", batch_norm=True),
    _vgg(16, 138_365_992, _VGG16, "", batch_norm=True),
    _vgg(19, 143_678_248, _VGG19, "", batch_norm=True),
    Entry(
        name="googlenet",
        title="GoogLeNet",
        year=2014,
        paper=_GOOGLENET,
        idea="windows of several sizes side by side, behind 1x1 convolutions that reduce their cost",
        input_shape=(3, 224, 224),
        parameters=6_624_904,
        published_error="6.67 % top-5 (test, ensemble of seven; 7.89 % one network with 144 crops, validation)",
        layers=22,
        num_classes=1000,
        module="convscope.nets.googlenet",
        factory="googlenet",
    ),
    Entry(
        name="googlenet-2014",
        title="GoogLeNet as in 2014",
        year=2014,
        paper=_GOOGLENET,
        idea="before batch normalization: biases, response normalization, true 5x5 windows",
        input_shape=(3, 224, 224),
        parameters=6_998_552,
        published_error="6.67 % top-5 (test, ensemble of seven; 7.89 % one network with 144 crops, validation)",
        layers=22,
        num_classes=1000,
        module="convscope.nets.googlenet",
        factory="googlenet",
        settings=(("paper", True),),
    ),
    Entry(
        name="inception_v3",
        title="Inception-v3",
        year=2015,
        paper="Szegedy, Vanhoucke, Ioffe, Shlens, Wojna: Rethinking the Inception Architecture for Computer Vision. "
        "CVPR 2016, arXiv:1512.00567",
        idea="a 5x5 is two 3x3, a 7x7 is a 1x7 and a 7x1: the same field for less",
        input_shape=(3, 299, 299),
        parameters=27_161_264,
        published_error="5.6 % top-5 (validation, one network, one crop; 3.58 % ensemble of four)",
        layers=42,
        num_classes=1000,
        module="convscope.nets.inception_v3",
        factory="inception_v3",
    ),
)
