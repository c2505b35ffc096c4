"""Residual networks and what grew from them."""

from __future__ import annotations

from convscope.nets.entry import Entry

_RESNET = "He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition. CVPR 2016, arXiv:1512.03385"


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


ENTRIES = (
    _resnet(18, 11_689_512, "27.88 % top-1 (validation, 10 crops)", "a block learns the change, not the value"),
    _resnet(34, 21_797_672, "5.71 % top-5 (validation, one model)", "deeper is better again, with shortcuts"),
    _resnet(50, 25_557_032, "5.25 % top-5 (validation, one model)", "1x1 bottlenecks make depth cheap"),
    _resnet(101, 44_549_160, "4.60 % top-5 (validation, one model)", "the third stage grows to 23 blocks"),
    _resnet(152, 60_192_808, "3.57 % top-5 (test, ensemble; 4.49 % one model)", "152 layers, cheaper than VGG's 19"),
)
