"""The receptive field of a network is one number, and means one thing; apart from gates it is another."""

from fractions import Fraction

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import convscope
from convscope.capture.capture import capture
from convscope.geometry.relation import ReachStatus
from convscope.graph.network_field import local_fields
from convscope.graph.propagate import propagate
from convscope.graph.receptive_field import field_at
from fields import Run


def conv(channels: int = 8, kernel: int = 3, **settings: int) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, kernel, padding=kernel // 2, **settings)


def inspected(model: nn.Module, *sizes: int) -> convscope.Inspection:
    return convscope.inspect(model, (8, *(sizes or (64, 64))))


def field_of(model: nn.Module, *sizes: int) -> tuple[int | None, Fraction | None, str, str]:
    found = inspected(model, *sizes).network_field
    assert found is not None and len(set(found.fields)) == 1
    return found.fields[0].size, found.fields[0].stride, found.layer, found.reader


class NormAtEachPosition(nn.Module):
    """Convolution, a fully connected layer at each position, convolution, as ConvNeXt's block has it."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.first, self.linear, self.last = conv(stride=2), nn.Linear(8, 8), conv()
        self.way = way

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        n, c, h, w = x.shape
        if self.way == "channels last":
            x = self.linear(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        elif self.way == "transposed weight":
            x = (x.permute(0, 2, 3, 1) @ self.linear.weight.T).permute(0, 3, 1, 2)
        elif self.way == "einsum":
            x = torch.einsum("nchw,dc->ndhw", x, self.linear.weight)
        else:
            x = self.linear(x.flatten(2).transpose(1, 2)).transpose(1, 2).reshape(n, c, h, w)
        return self.last(x)


@pytest.mark.parametrize("way", ["channels last", "transposed weight", "einsum", "tokens"])
def test_a_linear_layer_at_each_position_keeps_the_field(way: str) -> None:
    # 3, then 2 more at stride 2.
    assert field_of(NormAtEachPosition(way), 33, 40) == (7, 2, "last", "")


def test_the_last_map_before_global_pooling() -> None:
    model = nn.Sequential(conv(stride=2), conv(), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4))
    assert field_of(model) == (7, 2, "1", "3")
    assert inspected(model).local_field is None


def test_the_output_of_a_decoder_whatever_its_stride() -> None:
    model = nn.Sequential(conv(stride=2), conv(stride=2), nn.Upsample(scale_factor=4), conv())
    found = inspected(model).network_field
    # Two neighbours among three fine positions may lie on two coarse ones: 7, or 7 + 4.
    assert found is not None and (found.fields[0].least, found.fields[0].size, found.layer) == (7, 11, "3")
    assert found.fields[0].stride == 1
    assert "7 to 11 pixels at stride 1, at 3, up to the output" in str(inspected(model))


def test_attention_reads_the_whole_image() -> None:
    def attend(x: torch.Tensor, before: nn.Module, after: nn.Module) -> torch.Tensor:
        tokens = before(x).flatten(2)
        weights = torch.softmax(tokens.transpose(1, 2) @ tokens, -1)
        return after((tokens @ weights.transpose(1, 2)).reshape(x.shape) + x)

    inspection = inspected(Run(attend, conv(), conv()), 16, 16)
    found = inspection.network_field
    assert found is not None and (found.fields[0].size, found.layer, found.reader) == (3, "parts.0", "matmul")
    assert inspection.layers[-1].field_along(0)[0].status is ReachStatus.WHOLE_AXIS
    assert inspection.local_field is None


def attention(tokens: torch.Tensor) -> torch.Tensor:
    return torch.softmax(tokens @ tokens.transpose(-1, -2), -1) @ tokens


def vit(x: torch.Tensor, patches: nn.Module, *_: nn.Module) -> torch.Tensor:
    tokens = patches(x).flatten(2).transpose(1, 2)
    n, count, channels = tokens.shape
    tokens = torch.cat([tokens.new_zeros(n, 1, channels), tokens], 1)
    heads = tokens.reshape(n, count + 1, 2, channels // 2).transpose(1, 2)
    return (tokens + attention(heads).transpose(1, 2).reshape(tokens.shape))[:, 0]


def in_windows(x: torch.Tensor, size: int) -> torch.Tensor:
    n, c, h, w = x.shape
    windows = x.reshape(n, c, h // size, size, w // size, size).permute(0, 2, 4, 3, 5, 1)
    tokens = attention(windows.reshape(-1, size * size, c)).reshape(windows.shape)
    return x + tokens.permute(0, 5, 1, 3, 2, 4).reshape(x.shape)


def swin(x: torch.Tensor, patches: nn.Module, *_: nn.Module) -> torch.Tensor:
    x = in_windows(patches(x), 4)
    return in_windows(x.roll((-2, -2), (2, 3)), 4).roll((2, 2), (2, 3))


def swin_to_the_image(x: torch.Tensor, patches: nn.Module, *_: nn.Module) -> torch.Tensor:
    x = swin(x, patches)
    return in_windows(x, x.shape[2])


def mixer(x: torch.Tensor, patches: nn.Module, over_tokens: nn.Module, _: nn.Module) -> torch.Tensor:
    tokens = patches(x).flatten(2)
    return (tokens + over_tokens(tokens)).mean(2)


def conv_mixer(x: torch.Tensor, patches: nn.Module, _: nn.Module, depthwise: nn.Module) -> torch.Tensor:
    x = patches(x)
    return (x + torch.nn.functional.gelu(depthwise(x))).mean((2, 3))


@pytest.mark.parametrize(
    ("way", "least", "size", "stride", "reader"),
    [
        (vit, 2, 2, 2, "matmul"),
        # Windows of 4 patches read 8 pixels; moved by 2 patches, they read two of these: 8 pixels on every 4 patches.
        (swin, 16, 16, 2, ""),
        (swin_to_the_image, 16, 16, 2, "matmul#5"),
        (mixer, 2, 2, 2, "parts.1"),
        (conv_mixer, 10, 10, 2, "mean"),  # 5 taps at stride 2: 2 + 4 * 2
    ],
)
def test_patches_windows_and_tokens(way, least: int, size: int, stride: int | None, reader: str) -> None:
    parts = nn.Conv2d(8, 8, 2, 2), nn.Linear(256, 256), conv(kernel=5, groups=8)
    found = inspected(Run(way, *parts), 32, 32).network_field
    assert found is not None
    assert [(f.least, f.size, f.stride) for f in found.fields] == [(least, size, stride)] * 2
    assert found.reader == reader


def test_windows_of_attention_are_the_support_of_gradients() -> None:
    model = Run(swin, nn.Conv2d(8, 8, 2, 2).double())
    x = torch.randn(1, 8, 32, 32, dtype=torch.float64, requires_grad=True)
    graph = capture(model, (8, 32, 32))
    reach = propagate(graph).of(graph.outputs[0])
    assert reach is not None and reach.status is ReachStatus.EXACT
    y = model(x)
    for row in range(16):
        (gradient,) = torch.autograd.grad(y[0, :, row, 5].sum(), x, retain_graph=True)
        read = gradient[0].abs().sum((0, 2)).nonzero().flatten()
        assert field_at(reach, (0, 0, row, 5)) == (int(read[0]), int(read[-1]))


def u_net(x: torch.Tensor, down: nn.Module, deep: nn.Module, up: nn.Module, last: nn.Module) -> torch.Tensor:
    skip = down(x)
    return last(torch.cat([skip, up(deep(F.max_pool2d(skip, 2)))], 1))


def fpn(
    x: torch.Tensor, a: nn.Module, b: nn.Module, c: nn.Module, last: nn.Module
) -> tuple[torch.Tensor, torch.Tensor]:
    fine = a(x)
    coarse = b(fine)
    return last(c(fine) + F.interpolate(coarse, scale_factor=2)), coarse


@pytest.mark.parametrize(("start", "stride"), [(1, None), (2, 2)])
def test_tokens_have_a_stride_and_a_flattened_map_has_none(start: int, stride: int | None) -> None:
    layers = inspected(nn.Sequential(conv(stride=2), nn.Flatten(start))).layers
    assert [f.stride for f in layers[-1].field_along(0)] == [stride, stride]


def test_decoders_with_skips() -> None:
    # 3, pooled 4, at stride 2 then 8; three fine positions lie on two coarse ones.
    up = nn.ConvTranspose2d(8, 8, 2, 2)
    assert field_of(Run(u_net, conv(), conv(), up, nn.Conv2d(16, 8, 3, padding=1))) == (10, 1, "parts.3", "")
    # 3 at stride 2, 7 at stride 4; again two of these.
    parts = conv(stride=2), conv(stride=2), conv(kernel=1), conv()
    assert field_of(Run(fpn, *parts)) == (11, 2, "parts.3", "")


def gate(x: torch.Tensor, first: nn.Module, squeeze: nn.Module, last: nn.Module) -> torch.Tensor:
    x = first(x)
    return last(x * torch.sigmoid(squeeze(x.mean((2, 3), keepdim=True))))


def context(x: torch.Tensor, first: nn.Module, pooled: nn.Module, last: nn.Module) -> torch.Tensor:
    x = first(x)
    everywhere = F.interpolate(pooled(F.adaptive_avg_pool2d(x, 1)), size=x.shape[2:], mode="bilinear")
    return last(torch.cat([x, everywhere], 1)[:, ::2])


def centred(x: torch.Tensor, first: nn.Module, _: nn.Module, last: nn.Module) -> torch.Tensor:
    x = first(x)
    return last((x - x.mean((2, 3), keepdim=True)) / x.std((2, 3), keepdim=True))


@pytest.mark.parametrize("way", [gate, context, centred])
def test_apart_from_gates(way) -> None:
    inspection = inspected(Run(way, conv(stride=2), conv(kernel=1), conv()))
    found, local = inspection.network_field, inspection.local_field
    assert found is not None and local is not None
    assert (found.fields[0].size, found.layer, local.fields[0].size, local.layer) == (3, "parts.0", 7, "parts.2")
    assert local.reader == ""


@pytest.mark.parametrize("norm", [nn.GroupNorm(2, 8), nn.InstanceNorm2d(8), nn.LayerNorm([8, 32, 32])])
def test_apart_from_normalization(norm: nn.Module) -> None:
    inspection = inspected(nn.Sequential(conv(stride=2), norm, conv()))
    local = inspection.local_field
    assert local is not None and (local.fields[0].size, local.fields[0].stride, local.layer) == (7, 2, "2")
    assert inspection.layers[-1].field_along(0)[0].status is ReachStatus.WHOLE_AXIS


def test_groups_of_a_group_norm_stay_together() -> None:
    def run(x: torch.Tensor, wide: nn.Module, norm: nn.Module) -> torch.Tensor:
        return norm(torch.cat([x[:, :4], wide(x)[:, :4]], 1))

    for groups, sizes in ((1, (3,)), (2, (1, 3))):
        inspection = inspected(Run(run, conv(), nn.GroupNorm(groups, 8)))
        fields, _ = local_fields(inspection.graph, inspection.layers, 0)
        assert fields[inspection.layers[-1].index][0].sizes == sizes


@pytest.mark.parametrize(("name", "size", "gated"), [("seresnet50", 427, 19), ("mobilenet_v3_small", 639, 7)])
def test_networks_with_gates(name: str, size: int, gated: int) -> None:
    inspection = convscope.inspect(name)
    assert inspection.network_field is not None and inspection.local_field is not None
    assert inspection.local_field.fields[0].size == size
    assert inspection.network_field.fields[0].size == gated


def test_table_page_comparison_and_json_say_the_same() -> None:
    inspection = convscope.inspect("resnet18")
    (figures, _) = convscope.compare(inspection, "lenet5").figures
    assert figures.field == (435, 435) and figures.field_layer == "layer4.1.conv2"
    assert inspection.to_dict()["network_field"] == {
        "size": [435, 435],
        "least": [435, 435],
        "stride": [32, 32],
        "without_borders": True,
        "layer": "layer4.1.conv2",
        "before": "avgpool",
    }
    assert "435 pixels at stride 32, at layer4.1.conv2, before avgpool reads the whole image" in str(inspection)
    drawing = inspection.field_figure()
    assert drawing is not None and "435" in drawing.title
    assert "local field" in [c.header for c in inspection.table(depth=1, local_fields=True).columns]


def test_self_attention_on_a_map_takes_few_numbers() -> None:
    def attend(x: torch.Tensor) -> torch.Tensor:
        tokens = x.flatten(2)
        return tokens @ torch.softmax(tokens.transpose(1, 2) @ tokens, -1)

    graph = capture(Run(attend), (3, 64, 64))
    reaches = propagate(graph)
    largest = max(r.clipped[0].size for v in graph.values for r in reaches.axes_of(v.index).values())
    assert largest == 64 * 64  # of the scores of 4096 by 4096 tokens: a row of the image by a row


def test_padding_on_one_side_takes_few_numbers() -> None:
    def run(x: torch.Tensor, a: nn.Module, b: nn.Module) -> torch.Tensor:
        return b(F.pad(a(x), (0, 3, 0, 3)) + F.pad(x, (0, 3, 0, 3)))

    graph = capture(Run(run, conv(), conv()), (8, 61, 61))
    reaches = propagate(graph)
    largest = max(r.clipped[0].size for v in graph.values for r in reaches.axes_of(v.index).values())
    assert largest <= 64 * 8  # rows, by few kinds of columns


@pytest.mark.parametrize("way", ["module", "setting"])
def test_circular_padding_has_the_field_of_any_padding(way: str) -> None:
    padded = [nn.CircularPad2d((1, 2, 0, 1)), nn.Conv2d(8, 8, (2, 4))] if way == "module" else [circular()]
    inspection = inspected(nn.Sequential(circular(stride=2), *padded, conv()), 16, 20)
    found = inspection.network_field
    assert found is not None and [f.stride for f in found.fields] == [2, 2]
    # 3; then 2 more taps (1 and 3 of the oblong window) and 2 more, at stride 2.
    assert [f.size for f in found.fields] == ([9, 13] if way == "module" else [11, 11])
    assert all(f.endless and f.least == f.size for f in found.fields)


class _Beside(nn.Module):
    """A circular padding made by hand, as the older ONNX exporter writes it."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.cat([x[..., -2:], x, x[..., :1]], -1)
        return torch.cat([x[..., -1:, :], x], -2)


def test_borders_put_beside_a_map_are_a_circular_padding() -> None:
    padded = nn.Sequential(_Beside(), nn.Conv2d(8, 8, (2, 4)))
    inspection = inspected(nn.Sequential(conv(), padded, conv()), 16, 20)
    found = inspection.network_field
    assert found is not None and [(f.size, f.stride, f.endless) for f in found.fields] == [(6, 1, True), (8, 1, True)]


def circular(**settings: int) -> nn.Conv2d:
    return nn.Conv2d(8, 8, 3, padding=1, padding_mode="circular", **settings)


@pytest.mark.parametrize("written", ["adaptive", "a window of the map's size"])
def test_global_pooling_is_one_however_it_is_written(written: str) -> None:
    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.gate, self.last = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.first(x)
            mean = F.adaptive_avg_pool2d(x, 1) if written == "adaptive" else F.avg_pool2d(x, x.shape[3])
            return self.last(x * self.gate(mean).sigmoid())

    answer = convscope.inspect(Gated(), (3, 16, 16)).to_dict()
    assert answer["network_field"]["size"] == [3, 3] and answer["local_field"]["size"] == [5, 5]


def wrapped(kernel: int = 3) -> nn.Conv2d:
    return nn.Conv2d(8, 8, kernel, padding=kernel // 2, padding_mode="circular")


def in_blocks(x: torch.Tensor, order: tuple[int, ...]) -> torch.Tensor:
    n, c, h, w = x.shape
    return x.reshape(n, c, h // 4, 4, w // 4, 4).permute(order)


def put_back(x: torch.Tensor, a: nn.Module, b: nn.Module) -> torch.Tensor:
    return b(in_blocks(a(x), (0, 2, 4, 3, 5, 1)).permute(0, 5, 1, 3, 2, 4).reshape(x.shape))


def dilated_by_reshape(x: torch.Tensor, a: nn.Module, b: nn.Module) -> torch.Tensor:
    n, c, h, w = x.shape
    parts = b(a(x).reshape(n, c, h // 2, 2, w // 2, 2).permute(0, 3, 5, 1, 2, 4).reshape(4 * n, c, h // 2, w // 2))
    return parts.reshape(n, 2, 2, c, h // 2, w // 2).permute(0, 3, 4, 1, 5, 2).reshape(x.shape)


def space_to_depth(x: torch.Tensor, _: nn.Module, b: nn.Module) -> torch.Tensor:
    slices = [x[:, :2, i::2, j::2] for i in (0, 1) for j in (0, 1)]
    return b(torch.cat(slices, 1))


def folded(x: torch.Tensor, kernel: int, **settings: int) -> torch.Tensor:
    return F.fold(F.unfold(x, kernel, **settings), x.shape[2:], kernel, **settings)


def enlarged(x: torch.Tensor) -> torch.Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)


@pytest.mark.parametrize(
    ("way", "size", "stride"),
    [
        (lambda x, a, b: b(folded(a(x), 2, stride=2)), 5, 1),  # each pixel by itself
        (lambda x, a, b: b(folded(a(x), 3, padding=1)), 5, 1),  # each pixel nine times
        (lambda x, a, b: (b.weight.flatten(1) @ F.unfold(a(x), 3, padding=1)).unflatten(2, (32, 32)), 5, 1),
        (lambda x, a, b: wrapped()(wrapped()(x).roll((3, -2), (2, 3))), 5, 1),
        (lambda x, a, b: b(a(x).flip(3)), 5, 1),
        (lambda x, a, b: F.pixel_shuffle(b(F.pixel_unshuffle(a(x)[:, :2], 2)), 2), 8, 1),
        (space_to_depth, 6, 2),
        (put_back, 5, 1),
        (dilated_by_reshape, 7, 1),  # 3, then 2 more at stride 2
        (lambda x, a, b: b(enlarged(F.max_pool2d(a(x), 2))), 8, 1),
    ],
)
def test_positions_that_are_moved_and_moved_back(way, size: int, stride: int | None) -> None:
    inspection = inspected(Run(way, conv(), conv()), 32, 32)
    found = inspection.network_field
    assert found is not None and [(f.size, f.stride) for f in found.fields] == [(size, stride)] * 2
    assert all(f.endless for f in found.fields) and inspection.to_dict()["network_field"]["without_borders"]
