"""With the same state dict, outputs equal torchvision's and timm's to 1e-5; runs where they are installed."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from convscope.nets import catalogue
from convscope.nets.build import build
from torchvision_oracle import timm_or_skip, torchvision_or_skip

# name -> image size: reduced where the network allows it, so that the whole file takes seconds.
TORCHVISION = {
    "alexnet": 64,
    "vgg11": 32,
    "vgg16": 32,
    "vgg13_bn": 32,
    "vgg19_bn": 32,
    "googlenet": 64,
    "inception_v3": 75,
    "resnet18": 64,
    "resnet34": 64,
    "resnet50": 64,
    "resnet101": 64,
    "resnet152": 64,
    "densenet121": 64,
    "densenet169": 64,
    "densenet201": 64,
    "mobilenet_v2": 64,
    "mobilenet_v3_large": 64,
    "mobilenet_v3_small": 64,
    "convnext_tiny": 64,
    "r3d_18": (4, 32, 32),
}
# The same code as a sibling that is compared in every run.
DEEPER = {"vgg11", "vgg16", "vgg19_bn", "resnet34", "resnet101", "resnet152", "densenet169", "densenet201"}
TIMM = {"seresnet50": 64, "senet154": 64}


def scramble(network: nn.Module) -> None:
    """Weights and running statistics that differ in every layer and keep the signal's size."""
    generator = torch.Generator().manual_seed(3)
    for name, tensor in network.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 1.5, generator=generator)
        elif name.endswith("running_mean") or (tensor.dim() == 1 and name.endswith("bias")):
            tensor.uniform_(-0.2, 0.2, generator=generator)
        elif tensor.dim() == 1 and tensor.is_floating_point():
            tensor.uniform_(0.7, 1.3, generator=generator)
        elif "layer_scale" in name:
            tensor.uniform_(0.1, 1.0, generator=generator)
        elif tensor.is_floating_point():
            fan_in = tensor[0].numel()
            tensor.uniform_(-((3 / fan_in) ** 0.5), (3 / fan_in) ** 0.5, generator=generator)


def agree(theirs: nn.Module, ours: nn.Module, name: str, image_size: int | tuple[int, ...]) -> None:
    scramble(theirs)
    ours.load_state_dict(theirs.state_dict())
    sizes = (image_size, image_size) if isinstance(image_size, int) else image_size
    images = torch.rand(2, 3, *sizes, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        expected, got = theirs.eval()(images), ours.eval()(images)
    scale = max(1.0, expected.abs().max().item())
    assert (expected - got).abs().max().item() <= 1e-5 * scale


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.long] if name in DEEPER else []) for name in TORCHVISION]
)
def test_answers_as_torchvision_does(name):
    models = torchvision_or_skip().models
    settings = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    if name == "googlenet":
        settings["aux_logits"] = False
    factory = models.video.r3d_18 if name == "r3d_18" else getattr(models, name)
    with torch.device("cpu"):
        theirs = factory(num_classes=12, **settings)
    ours = build(name, num_classes=12)
    agree(theirs, ours, name, TORCHVISION[name])


@pytest.mark.parametrize("name", TIMM)
def test_answers_as_timm_does(name):
    timm = timm_or_skip()
    agree(timm.create_model(name, num_classes=12), build(name, num_classes=12), name, TIMM[name])


def test_auxiliary_heads_answer_as_torchvisions_do():
    models = torchvision_or_skip().models
    theirs = models.googlenet(num_classes=5, aux_logits=True, init_weights=False, dropout=0.0, dropout_aux=0.0)
    ours = build("googlenet", num_classes=5, options={"auxiliary": True, "dropout": 0.0})
    scramble(theirs)
    ours.load_state_dict(theirs.state_dict())
    for module in ours.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    images = torch.rand(2, 3, 64, 64)
    for expected, got in zip(theirs.train()(images), ours.train()(images), strict=True):
        assert torch.allclose(expected, got, atol=1e-4, rtol=1e-4)


def test_every_network_that_torchvision_has_is_compared():
    models = torchvision_or_skip().models
    shared = {name for name in catalogue.names() if hasattr(models, name) or hasattr(models.video, name)}
    families = {"vgg13", "vgg19", "vgg11_bn", "vgg16_bn"}  # the same code as the depths that are compared
    assert shared - set(TORCHVISION) == families
