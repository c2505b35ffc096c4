"""What `build` refuses, and what it says."""

from __future__ import annotations

import pytest
import torch

from convscope.errors import CaptureError, GeometryError
from convscope.nets.build import build
from convscope.nets.catalogue import choose


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "resnet8"}, "Did you mean resnet18"),
        ({"name": "ResNet-50"}, "Did you mean resnet50"),
        ({"name": "lenet5", "num_classes": 0}, "num_classes must be a whole number of at least 1, got 0"),
        ({"name": "lenet5", "num_classes": 2.5}, "num_classes must be a whole number of at least 1, got 2.5"),
        ({"name": "lenet5", "in_channels": -1}, "in_channels must be a whole number of at least 1, got -1"),
        ({"name": "lenet5", "image_size": (32,)}, "takes 2 spatial axes, like 32x32; got 32"),
        ({"name": "lenet5", "options": {"activatoin": "relu"}}, "Did you mean activation"),
        ({"name": "lenet5", "options": {"activation": "rely"}}, "Did you mean relu"),
        ({"name": "lenet5", "options": {"c1_maps": "six"}}, "takes a whole number, got 'six'"),
        ({"name": "lenet5", "options": {"c1_maps": 0}}, "c1_maps takes a whole number of 1 or more, got 0"),
        ({"name": "vgg11", "options": {"dropout": 1.5}}, "dropout takes a number of 0 or more and below 1, got 1.5"),
        ({"name": "googlenet", "options": {"dropout": -0.1}}, "dropout takes a number of 0 or more and below 1"),
        ({"name": "convnext_tiny", "options": {"drop_path": 1}}, "drop_path takes a number of 0 or more and below 1"),
        ({"name": "nin", "options": {"dropout": 10**400}}, "dropout takes a number, got 1000"),
        ({"name": "cifarnet", "options": {"stem_stride": True}}, "stem_stride is one of 1, 2, 3; got True"),
        (
            {"name": "resnet18", "options": {"depth": 50}},
            r"^resnet18 has no option 'depth'(: it has [\w, ]+|: it has none)(\. Did you mean .*)?$",
        ),
    ],
)
def test_a_wrong_argument_is_named_with_what_is_needed(arguments, message):
    with pytest.raises(CaptureError, match=message):
        build(**arguments)


def test_an_option_is_taken_within_its_limits_alone():
    assert build("cifarnet-tiny", options={"stem_stride": 2.0}, image_size=64).whiten.stride == (2, 2)
    with torch.device("meta"):
        assert build("googlenet", options={"dropout": None}, check=False).dropout.p == 0.2
    with pytest.raises(GeometryError, match="a width of 0 leaves none of the first layer's 32 channels"):
        build("mobilenet_v1", options={"width": 0})
    with pytest.raises(GeometryError, match="ResNet-18 are two 3x3, without a 1x1: leave stride_in at 3x3"):
        build("resnet18", options={"stride_in": "1x1"})
    with pytest.raises(GeometryError, match=r"of 299x298: .* auxiliary head .*; the smallest that works is 299x299$"):
        build("inception_v3", image_size=(299, 298), options={"auxiliary": True})


def test_a_small_image_names_the_layer_where_it_vanishes_and_the_smallest_that_works():
    with pytest.raises(GeometryError) as caught:
        build("lenet5", image_size=9)
    assert str(caught.value) == (
        "lenet5 can't take an input of 9x9: the input vanishes at layer 'c3' (Conv2d): "
        "kernel 5 does not fit: it spans 5, but the axis has 4; the smallest that works is 12x12"
    )


def test_lenet5_pads_mnists_28_pixels_to_the_papers_maps():
    assert build("lenet5", image_size=28).c5.kernel_size == (5, 5)


def test_resnet_takes_a_small_stem_below_64_pixels():
    assert build("resnet18", image_size=32).conv1.stride == (1, 1)
    assert build("resnet18", image_size=64).conv1.stride == (2, 2)
    assert build("resnet18", image_size=32, options={"stem": "imagenet"}).conv1.stride == (2, 2)


def test_the_papers_bottleneck_moves_the_stride_and_keeps_the_parameters():
    with torch.device("meta"):
        paper, usual = build("resnet50", options={"stride_in": "1x1"}), build("resnet50")
    assert paper.layer2[0].conv1.stride == (2, 2) and usual.layer2[0].conv2.stride == (2, 2)
    assert sum(p.numel() for p in paper.parameters()) == sum(p.numel() for p in usual.parameters())


def test_auto_goes_by_image_size_and_channels():
    assert [choose(28, channels=1), choose(32, channels=1), choose(32), choose(128, channels=1), choose(129)] == [
        "lenet5",
        "lenet5",
        "cifarnet",
        "cifarnet",
        "resnet18",
    ]
