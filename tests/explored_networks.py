"""Small networks with what makes fields hard: skips, branches, dilation, depthwise, tokens, an encoder and decoder."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from convscope.capture.load import Loaded
from convscope.interpret.explanation.given import GivenNetwork
from convscope.studio.compute.opened_model import OpenedModel


class Residual(nn.Module):
    """A block with a skip and a strided shortcut."""

    def __init__(self, channels: int, out: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.short = nn.Conv2d(channels, out, 1, stride) if stride > 1 or channels != out else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv2(self.relu(self.bn1(self.conv1(x))))
        return self.relu(out + self.short(x))


class ResidualNet(nn.Module):
    """Three blocks and a classifier; the rectifiers write in place and are used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 5, 2, 2)
        self.blocks = nn.Sequential(Residual(4, 4), Residual(4, 6, 2), Residual(6, 6))
        self.fc = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(nn.functional.relu(self.stem(x)))
        return self.fc(x.mean((2, 3)))


class Branches(nn.Module):
    """Branches of different fields side by side, after one another, with holes and with groups."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(3, 2, 1)
        self.wide = nn.Sequential(nn.Conv2d(3, 2, (1, 5), padding=(0, 2)), nn.Conv2d(2, 3, (5, 1), padding=(2, 0)))
        self.gaps = nn.Conv2d(3, 3, 3, padding=3, dilation=3)
        self.pool = nn.MaxPool2d(3, 1, 1)
        self.grouped = nn.Conv2d(8, 8, 3, 2, 1, groups=4)
        self.depthwise = nn.Conv2d(8, 8, 3, 1, 1, groups=8)
        self.last = nn.Conv2d(8, 3, 3, 1, 0)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([self.one(self.pool(x)), self.wide(x), self.gaps(x)], 1)
        return self.last(self.depthwise(self.grouped(x)))


class UNet(nn.Module):
    """An encoder, a bridge, a transposed convolution, a resize: a network without classes."""

    def __init__(self) -> None:
        super().__init__()
        self.down1 = nn.Conv2d(3, 3, 3, padding=1)
        self.down2 = nn.Conv2d(3, 4, 3, padding=1)
        self.up = nn.ConvTranspose2d(4, 3, 2, 2)
        self.join = nn.Conv2d(6, 3, 3, padding=1)
        self.head = nn.Conv2d(3, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        high = torch.relu(self.down1(x))
        low = torch.relu(self.down2(nn.functional.max_pool2d(high, 2)))
        up = torch.cat([high, self.up(low)], 1)
        return self.head(nn.functional.interpolate(torch.relu(self.join(up)), scale_factor=0.5, mode="bilinear"))


class Tokens(nn.Module):
    """Patches that become tokens, mixed by an attention, with the channels last."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 4, 4)
        self.norm = nn.LayerNorm(8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.fc = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.norm(self.patches(x).flatten(2).transpose(1, 2))
        tokens = tokens + self.attention(tokens, tokens, tokens, need_weights=False)[0]
        return self.fc(tokens.mean(1))


class Dense(nn.Module):
    """Each layer reads all before it, and the map is made smaller in between."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Conv2d(3 + 2 * n, 2, 3, padding=1) for n in range(3)])
        self.pool = nn.AvgPool2d(2)
        self.head = nn.Linear(9 * 36, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.interpolate(x, size=12)
        for layer in self.layers:
            x = torch.cat([x, torch.relu(layer(x))], 1)
        return self.head(self.pool(x).flatten(1))


NETWORKS: Mapping[str, Callable[[], nn.Module]] = {
    "residual": ResidualNet, "branches": Branches, "unet": UNet, "tokens": Tokens, "dense": Dense,
}  # fmt: skip
SIDE = 24


def opened(network: nn.Module, shape: tuple[int, ...] = (3, SIDE, SIDE), key: str = "given") -> OpenedModel:
    """Return a network as the studio opens it."""
    name = type(network).__name__
    loaded = Loaded(name, lambda: network, shape, module=network.eval())
    return OpenedModel(key, name, loaded, GivenNetwork(name, network.eval(), shape))
