"""The CIFAR networks of the residual paper, against an implementation written here as published checkpoints are."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from convscope.nets.build import build
from convscope.nets.weights.fit import fit_weights
from convscope.nets.weights.match import match_weights
from convscope.nets.weights.read import WeightsFile


class Stranger(nn.Module):
    """ResNet-20 under the names of the common checkpoints: `linear` or `fc`, zeros or 1x1 convolutions."""

    def __init__(self, *, head: str, projection: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.head, self.projection = head, projection
        width = 16
        for stage in (1, 2, 3):
            blocks = []
            for index in range(3):
                block = nn.Module()
                out = 16 * 2 ** (stage - 1)
                block.step = 2 if stage > 1 and index == 0 else 1
                block.conv1 = nn.Conv2d(width, out, 3, stride=block.step, padding=1, bias=False)
                block.bn1 = nn.BatchNorm2d(out)
                block.conv2 = nn.Conv2d(out, out, 3, padding=1, bias=False)
                block.bn2 = nn.BatchNorm2d(out)
                if projection and block.step == 2:
                    block.downsample = nn.Sequential(
                        nn.Conv2d(width, out, 1, stride=2, bias=False), nn.BatchNorm2d(out)
                    )
                blocks.append(block)
                width = out
            setattr(self, f"layer{stage}", nn.ModuleList(blocks))
        setattr(self, head, nn.Linear(64, 10))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu(self.bn1(self.conv1(x)))
        for stage in (1, 2, 3):
            for block in getattr(self, f"layer{stage}"):
                kept = x
                if block.step == 2:
                    quarter = x.shape[1] // 2
                    kept = (
                        block.downsample(x)
                        if self.projection
                        else functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, quarter, quarter))
                    )
                x = block.bn2(block.conv2(functional.relu(block.bn1(block.conv1(x)))))
                x = functional.relu(x + kept)
        return getattr(self, self.head)(x.mean((2, 3)))


@pytest.mark.parametrize(("head", "projection"), [("linear", False), ("fc", True), ("classifier", False)])
def test_published_layouts_load_and_give_the_same_scores(head: str, projection: bool) -> None:
    torch.manual_seed(0)
    theirs = Stranger(head=head, projection=projection)
    for module in theirs.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    tensors = {f"module.{name}": tensor for name, tensor in theirs.state_dict().items()}
    ours = build("resnet20", options={"shortcut": "projection" if projection else "padding"})
    found = match_weights(WeightsFile(where="x.th", tensors=tensors), ours.state_dict())
    fit = fit_weights(ours, found.weights, where="x.th")
    assert not fit.missing
    images = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(ours.eval()(images), theirs.eval()(images))


@pytest.mark.parametrize("depth", [20, 32, 44, 56, 110])
def test_the_size_is_the_papers(depth: int) -> None:
    # Table 6, in millions with two digits, read as the authors rounded.
    published = {20: 0.27, 32: 0.46, 44: 0.66, 56: 0.85, 110: 1.7}
    count = sum(p.numel() for p in build(f"resnet{depth}").parameters()) / 1e6
    assert round(count, 1 if depth == 110 else 2) == published[depth]
