"""Entries of residual networks and their successors."""

from __future__ import annotations

from dataclasses import replace

from convscope.nets.entry import Entry

_RESNET = "He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition. CVPR 2016, arXiv:1512.03385"

_DENSENET = (
    "Huang, Liu, van der Maaten, Weinberger: Densely Connected Convolutional Networks. CVPR 2017, arXiv:1608.06993"
)
_SENET = "Hu, Shen, Sun: Squeeze-and-Excitation Networks. CVPR 2018, arXiv:1709.01507"


def _resnet(depth: int, parameters: int, published_error: str, idea: str) -> Entry:
    return Entry(
        name=f"resnet{depth}",
        title=f"ResNet-{depth}",
        year=2015,
        paper=_RESNET,
        idea=idea,
        input_shape=(3, 224, 224),
        parameters=parameters,
        published_error=published_error,
        layers=depth,
        num_classes=1000,
        module="convscope.nets.resnet",
        factory="resnet",
        settings=(("depth", depth),),
    )


def _resnet_cifar(depth: int, parameters: int, published_error: str, idea: str) -> Entry:
    return replace(
        _resnet(depth, parameters, published_error, idea),
        title=f"ResNet-{depth} for CIFAR-10",
        input_shape=(3, 32, 32),
        num_classes=10,
        module="convscope.nets.resnet_cifar",
        factory="resnet_cifar",
    )


def _densenet(depth: int, parameters: int, published_error: str, idea: str) -> Entry:
    return Entry(
        name=f"densenet{depth}",
        title=f"DenseNet-{depth}",
        year=2016,
        paper=_DENSENET,
        idea=idea,
        input_shape=(3, 224, 224),
        parameters=parameters,
        published_error=published_error,
        layers=depth,
        num_classes=1000,
        module="convscope.nets.densenet",
        factory="densenet",
        settings=(("depth", depth),),
    )


ENTRIES = (
    _resnet(18, 11_689_512, "27.88 % top-1 (validation, 10 crops)", "a block learns the change, not the value"),
    _resnet(34, 21_797_672, "5.71 % top-5 (validation, one model)", "deeper is better again, with shortcuts"),
    _resnet(50, 25_557_032, "5.25 % top-5 (validation, one model)", "1x1 bottlenecks make depth cheap"),
    _resnet(101, 44_549_160, "4.60 % top-5 (validation, one model)", "the third stage grows to 23 blocks"),
    _resnet(152, 60_192_808, "3.57 % top-5 (test, ensemble; 4.49 % one model)", "152 layers, cheaper than VGG's 19"),
    _resnet_cifar(20, 269_722, "8.75 % (CIFAR-10, test)", "three stages of 16, 32 and 64 maps: ResNet for 32x32"),
    _resnet_cifar(32, 464_154, "7.51 % (CIFAR-10, test)", "the same, five blocks a stage"),
    _resnet_cifar(44, 658_586, "7.17 % (CIFAR-10, test)", "the same, seven blocks a stage"),
    _resnet_cifar(56, 853_018, "6.97 % (CIFAR-10, test)", "the same, nine blocks a stage"),
    _resnet_cifar(110, 1_727_962, "6.43 % (CIFAR-10, test; 6.61 % mean of 5)", "the same, eighteen blocks a stage"),
    _densenet(121, 7_978_856, "25.02 % top-1, 7.71 % top-5 (validation, one crop)", "every layer reads all before it"),
    _densenet(169, 14_149_480, "23.80 % top-1, 6.85 % top-5 (validation, one crop)", "the same, with deeper blocks"),
    _densenet(
        201, 20_013_928, "22.58 % top-1, 6.34 % top-5 (validation, one crop)", "ResNet-101's error, half the size"
    ),
    Entry(
        name="seresnet50",
        title="SE-ResNet-50",
        year=2017,
        paper=_SENET,
        idea="each block scales its channels by gates computed from the means of all maps",
        input_shape=(3, 224, 224),
        parameters=28_088_024,
        published_error="23.29 % top-1, 6.62 % top-5 (validation, one crop)",
        layers=50,
        num_classes=1000,
        module="convscope.nets.senet",
        factory="seresnet50",
    ),
    Entry(
        name="senet154",
        title="SENet-154",
        year=2017,
        paper=_SENET,
        idea="squeeze-and-excitation in a wide ResNeXt of 64 groups: the last winner of ImageNet's challenge",
        input_shape=(3, 224, 224),
        parameters=115_088_984,
        published_error="4.47 % top-5 (validation, one crop; 2.25 % test, ensemble)",
        layers=154,
        num_classes=1000,
        module="convscope.nets.senet",
        factory="senet154",
    ),
    Entry(
        name="convnext_tiny",
        title="ConvNeXt-T",
        year=2022,
        paper="Liu, Mao, Wu, Feichtenhofer, Darrell, Xie: A ConvNet for the 2020s. CVPR 2022, arXiv:2201.03545",
        idea="a ResNet with the design choices of transformers: 7x7 within maps, fewer norms, GELU",
        input_shape=(3, 224, 224),
        parameters=28_589_128,
        published_error="17.9 % top-1 (validation, one crop)",
        layers=None,
        num_classes=1000,
        module="convscope.nets.convnext",
        factory="convnext_tiny",
    ),
)
