"""Explained cells: each way of making a number, on networks small enough to check by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import convscope
from convscope.errors import CaptureError, DataError, GeometryError
from convscope.interpret.explanation.lens import Lens
from convscope.interpret.receptive_field import projective_field
from convscope.reference.edges import NUMBERS, VERTICAL


def vertical_edges() -> nn.Conv2d:
    convolution = nn.Conv2d(1, 1, 3, padding=1, bias=False)
    with torch.no_grad():
        convolution.weight.copy_(torch.tensor(VERTICAL))
    return convolution


def lens_of(model: nn.Module, *shape: int) -> Lens:
    generator = torch.Generator().manual_seed(0)
    return Lens(model.eval(), [torch.randn(1, *shape, generator=generator)])


def test_the_lecture_notes_own_sum() -> None:
    image = torch.tensor(NUMBERS, dtype=torch.float32)[None, None]
    found = Lens(vertical_edges(), [image]).cell("convolution", at=(1, 1))
    assert found.value == found.torch_value == -5
    assert "3·1 + 0·0 + 1·(−1) + 1·1 + 5·0 + 8·(−1) + 2·1 + 7·0 + 2·(−1) = −5" in str(found)
    assert found.box is not None and (found.box.first, found.box.last) == ((0, 0), (2, 2))


def test_padding_is_shown_as_padding_and_adds_nothing() -> None:
    image = torch.tensor(NUMBERS, dtype=torch.float32)[None, None]
    found = Lens(vertical_edges(), [image]).cell("convolution", at=(0, 0))
    inside = found.worked.operands[0].inside[0]
    assert inside.tolist() == [[False, False, False], [False, True, True], [False, True, True]]
    assert found.value == found.torch_value == -(0 + 5)
    assert "· · ·" in str(found)
    assert "stroke-dasharray" in found._repr_html_()
    assert all(one.number in NUMBERS for one in found.contributors())
    assert found.box is not None and found.box.sizes == (2, 2)


def test_a_cell_of_padding_alone() -> None:
    found = lens_of(nn.Sequential(nn.ConstantPad1d(2, 0.5), nn.ReLU()), 1, 4).cell("0", at=(1,))
    assert found.value == found.torch_value == 0.5
    assert found.box is None and found.contributors() == [] and found.to_pixels() == [found]
    assert "lies in the padding" in str(found) and "lies in the padding" in found._repr_html_()
    assert found.to_dict()["channels"] == []


def test_the_range_of_a_large_window_is_of_what_it_reads() -> None:
    cell = convscope.explain(nn.MaxPool2d(13, 1, 6), torch.ones(1, 13, 13), layer="max_pool", at=(0, 0))
    assert "49 numbers of input, from 1 to 1" in str(cell) and "inf" not in str(cell)


def test_the_number_that_is_marked_is_the_one_taken() -> None:
    class Smallest(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.amin((2, 3))

    cell = convscope.explain(Smallest(), torch.arange(4.0).reshape(1, 2, 2), layer="min")
    assert cell.value == 0 and "the smallest is marked" in str(cell)

    class SmallestOfTwo(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.unflatten(1, (2, 2)).amin(2)

    network = nn.Sequential(SmallestOfTwo())
    cell = convscope.explain(network, torch.arange(16.0).reshape(4, 2, 2), layer="0", channel=1, at=(1, 1))
    assert cell.value == cell.torch_value == 11


def test_hundreds_of_channels_become_the_largest_and_the_others() -> None:
    found = lens_of(nn.Conv2d(512, 2, 3), 512, 5, 5).cell("convolution", channel=1, at=(1, 1))
    assert "the other 504 channels" in str(found)
    assert "the other 504 channels" in found._repr_html_()
    sums = [added for _, added in found.by_channel()]
    assert len(sums) == 512 and abs(sums[0]) >= abs(sums[-1])
    bias = found.worked.lines[-1].number - found.worked.lines[-2].number
    assert sum(sums) + bias == pytest.approx(found.torch_value, abs=1e-5)


class Everything(nn.Module):
    """One of each: groups, pooling, normalisation, add, concat, fully connected, softmax."""

    def __init__(self) -> None:
        super().__init__()
        self.grouped = nn.Conv2d(4, 6, 3, groups=2, dilation=2, padding=2)
        self.norm = nn.BatchNorm2d(6)
        self.pool = nn.MaxPool2d(3, 2, padding=1, ceil_mode=True)
        self.average = nn.AvgPool2d(2, padding=1, count_include_pad=False)
        self.up = nn.ConvTranspose2d(6, 3, 3, stride=2, padding=1, output_padding=1)
        self.group_norm = nn.GroupNorm(3, 9)
        self.head = nn.Linear(9, 5)
        with torch.no_grad():
            self.norm.running_mean.normal_()
            self.norm.running_var.uniform_(0.5, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm(self.grouped(x)))
        y = self.average(self.pool(x))
        z = self.up(y)
        z = torch.cat([y, z[:, :, : y.shape[2], : y.shape[3]] + 1], 1)
        z = self.group_norm(z)
        z = F.interpolate(F.interpolate(z, scale_factor=2), size=(7, 5), mode="bilinear")
        return torch.softmax(self.head(z.mean((2, 3))), 1)


def test_every_way_of_making_a_number_is_torchs() -> None:
    torch.manual_seed(0)
    lens = lens_of(Everything(), 4, 9, 9)
    generator = np.random.default_rng(0)
    kinds = set()
    for node in lens.names.nodes:
        for _ in range(4):
            position = tuple(int(generator.integers(n)) for n in lens.graph.shape(node.outputs[0]))
            found = lens.at(node, position)
            kinds.add(found.kind)
            assert found.value == pytest.approx(found.torch_value, abs=1e-6), found.layer
            assert str(found) and found._repr_html_()
            json.dumps(found.to_dict())
    assert kinds == {"products", "choice", "mean", "chain", "softmax", "move"}


def test_from_any_number_down_to_a_pixel() -> None:
    torch.manual_seed(1)
    lens = lens_of(Everything(), 4, 9, 9)
    chain = lens.cell("softmax", channel=2).to_pixels()
    assert chain[0].kind == "softmax"
    last = chain[-1]
    pixel = last.contributors(1)[0]
    assert lens.graph.values[pixel.value].kind == "input"
    assert pixel.number == pytest.approx(float(lens.numbers(lens.graph.inputs[0])[pixel.position]))
    for upper, lower in pairwise(chain):
        assert upper.contributors(1)[0].number == lower.torch_value
    with pytest.raises(GeometryError, match="contributors here"):
        chain[-1].down(10_000)


def test_names_of_layers() -> None:
    lens = lens_of(Everything(), 4, 9, 9)
    labels = [lens.names.of_node(node) for node in lens.names.nodes]
    assert labels[:5] == ["grouped", "norm", "relu", "pool", "average"]
    assert len(set(labels)) == len(labels)
    assert lens.cell("grouped", channel=1, at=(0, 0)).following[0].text == "norm (batch_norm)"


@pytest.mark.parametrize(
    ("layer", "channel", "at", "error", "words"),
    [
        ("groupd", 0, (0, 0), CaptureError, "Did you mean grouped"),
        ("xyzzy", 0, (0, 0), CaptureError, "Its layers: grouped, norm, relu"),
        ("pool", 6, (0, 0), GeometryError, "pool has 6 channels, 0 to 5: channel 6 is outside"),
        ("pool", 0, (5, 0), GeometryError, "pool's map is 5×5: 5,0 is outside; the last cell is 4,4"),
        ("pool", 0, (-1, 0), GeometryError, "pool's map is 5×5: -1,0 is outside"),
        ("pool", 0, (1,), GeometryError, "say where with 2 numbers, Y,X, from 0,0 to 4,4; got 1"),
        ("head", 0, (1,), GeometryError, "head has 5 units and no map: leave the place out"),
    ],
)
def test_a_wrong_cell_is_named(
    layer: str, channel: int, at: tuple[int, ...], error: type[Exception], words: str
) -> None:
    with pytest.raises(error) as caught:
        lens_of(Everything(), 4, 9, 9).cell(layer, channel=channel, at=at)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_the_verb_takes_pixels_a_digit_and_a_tensor() -> None:
    digit = convscope.explain("lenet5", "digits/7", layer="c3", channel=5, at=(4, 4))
    assert digit.lens.notes == ("the weights are random (seed 0)",)
    assert digit.lens.pixels is not None and digit.lens.pixels.shape == (32, 32, 1)
    assert digit.value == pytest.approx(digit.torch_value, abs=1e-6)
    again = convscope.explain("lenet5", digit.lens.pixels, layer="c3", channel=5, at=(4, 4))
    assert again.value == digit.value
    module = nn.Conv2d(3, 2, 3)
    modes = [m.training for m in module.modules()]
    tensor = convscope.explain(module, torch.rand(3, 6, 6), layer="convolution", at=(0, 0))
    assert tensor.lens.pixels is not None and [m.training for m in module.modules()] == modes
    with pytest.raises(DataError, match="digits/0 to digits/1796"):
        convscope.explain("lenet5", "digits/1797", layer="c3", at=(0, 0))
    with pytest.raises(DataError, match="the array has the shape 4×4, and lenet5 takes 1×32×32"):
        convscope.explain("lenet5", np.zeros((4, 4)), layer="c3", at=(0, 0))
    with pytest.raises(DataError, match=r"nowhere\.jpg: no such file"):
        convscope.explain("m5", "nowhere.jpg", layer="conv1", at=(0,))


def test_in_place_operations_keep_the_values_before_them() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(inplace=True), nn.Flatten())
    lens = lens_of(model, 1, 4, 4)
    before, after = lens.cell("0", channel=0, at=(0, 0)), lens.cell("1", channel=0, at=(0, 0))
    assert before.value == pytest.approx(before.torch_value, abs=1e-6)
    assert after.torch_value == max(0.0, before.torch_value)
    assert before.following[0].number == after.torch_value


def test_a_model_that_does_not_run_on_the_input_is_named() -> None:
    with pytest.raises(CaptureError, match="Conv2d does not run on this input"):
        convscope.explain(nn.Conv2d(3, 2, 3), torch.rand(1, 1, 6, 6), layer="convolution", at=(0, 0))


class Scaled(nn.Module):
    """One layer twice, and a map multiplied by one number."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(self.conv(x)) * x.mean()


@pytest.mark.parametrize(
    ("layers", "name"),
    [
        ((nn.Conv2d(3, 4, 3), nn.PReLU(4)), "1"),
        ((nn.Conv2d(3, 4, 3), nn.CELU(0.7)), "1"),
        ((nn.Conv2d(3, 4, 3), nn.LogSigmoid()), "1"),
        ((nn.Conv2d(3, 4, 3), nn.Threshold(0.1, 20)), "1"),
        ((nn.PixelUnshuffle(2),), "0"),
        ((nn.ReflectionPad2d((1, 2, 3, 1)),), "0"),
        ((nn.ReplicationPad2d((1, 2, 3, 1)),), "0"),
        ((nn.Conv2d(3, 4, 5, padding=2, padding_mode="circular"),), "0"),
        ((Scaled(),), "0:mul"),
    ],
)
def test_less_common_layers(layers: tuple[nn.Module, ...], name: str) -> None:
    lens = lens_of(nn.Sequential(*layers), 3, 8, 8)
    for channel, at in [(0, (0, 0)), (2, (2, 1))]:
        found = lens.cell(name, channel=channel, at=at)
        assert found.value == pytest.approx(found.torch_value, rel=1e-5, abs=1e-6)
        assert str(found) and found._repr_html_()


def test_a_second_call_is_named_as_inspect_names_it() -> None:
    lens = lens_of(Scaled(), 3, 8, 8)
    assert lens.cell("conv#2", at=(1, 1)).node.call == 1
    assert lens.cell("conv#1", at=(1, 1)).node is lens.cell("conv", at=(1, 1)).node
    assert lens.cell("conv", at=(1, 1)).node.call == 0
    with pytest.raises(CaptureError, match=r"has no layer 'conv#3'"):
        lens.cell("conv#3", at=(1, 1))


def test_an_addition_by_the_name_that_inspect_prints() -> None:
    pixels = np.full((64, 64, 3), 100, np.uint8)
    found = convscope.explain("resnet18", pixels, layer="layer1.0:add", at=(2, 3), input_shape=(3, 64, 64))
    assert found.layer == "layer1.0:add" and found.value == pytest.approx(found.torch_value, abs=1e-5)
    assert [found.label_of(operands) for operands in found.worked.operands] == ["layer1.0.bn2", "maxpool"]


def test_the_second_part_of_a_split_is_explained_as_itself() -> None:
    class Halves(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            first, second = x.chunk(2, dim=1)
            return first * 0 + second

    lens = lens_of(Halves(), 4, 5, 5)
    down = lens.cell("add", channel=1, at=(2, 2)).down()
    assert down is not None and down.position == (0, 1, 2, 2) and down.value == down.torch_value
    assert down.contributors(1)[0].position == (0, 3, 2, 2)


def test_a_branch_ends_at_complex_numbers() -> None:
    class Fourier(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (torch.fft.rfft2(x) * 2).abs()

    lens = lens_of(Fourier(), 3, 8, 8)
    found = lens.cell("abs", at=(1, 1))
    assert found.kind == "given" and found.value == found.torch_value and found.contributors() == []
    assert "torch's own" in str(found)
    with pytest.raises(CaptureError, match="mul makes complex numbers"):
        lens.cell("mul", at=(1, 1))


class _Detector(nn.Module):
    """Boxes (N, 4) of one image, their scores (N,), and those that pass a limit: none."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, 5, 2, stride=2)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        found = self.head(x).flatten(2)[0].T
        boxes, scores = found[:, :4] * 2, found[:, 4].sigmoid()
        return boxes[scores > 2], scores


def test_values_without_a_batch_axis_are_explained_by_their_own_axes() -> None:
    image = torch.rand(3, 8, 8)
    ask = partial(convscope.explain, _Detector(), image)
    assert ask(layer="mul", channel=3, at=(7,)).position == (7, 3)
    scores = ask(layer="sigmoid", at=(7,))
    assert scores.position == (7,) and abs(scores.difference) < 1e-6
    for layer, at, message in (
        ("sigmoid", None, "sigmoid gives 16: say where with one number, from 0 to 15; got 0"),
        ("sigmoid", (16,), "sigmoid has 16 along its first axis: 16 is outside"),
        ("index", (0,), "index gives 0×4 here, and no number"),
    ):
        with pytest.raises(GeometryError, match=message):
            ask(layer=layer, at=at)


def test_a_sequence_is_taken_with_and_without_its_batch_axis() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    tokens = torch.rand(5, 8)
    with_axis, without = (
        convscope.explain(layer, x, layer="linear1", channel=2, at=(3,)) for x in (tokens[None], tokens)
    )
    assert with_axis.shape == without.shape == (1, 5, 16)
    assert with_axis.torch_value == without.torch_value


def test_nothing_is_below_a_cell_of_padding_alone() -> None:
    network = nn.Conv2d(1, 1, 1, padding=1, bias=False)
    found = convscope.explain(network, torch.rand(1, 3, 3), layer="convolution", at=(0, 0))
    assert found.down() is None and found.to_pixels() == [found]


class OfPositions(nn.Module):
    """A convolution, and a linear layer over its positions, as in a block of ConvNeXt."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.wide, self.act = nn.Conv2d(1, 3, 3), nn.Linear(3, 12), nn.GELU()
        self.head = nn.Linear(12, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.head(self.act(self.wide(self.conv(x).permute(0, 2, 3, 1))).mean((1, 2)))
        return y


@pytest.mark.parametrize("layer", ["wide", "act"])
def test_channels_of_a_layer_over_positions_are_in_its_last_axis(layer: str) -> None:
    network, image = OfPositions().eval(), torch.rand(1, 1, 9, 9)
    found = convscope.explain(network, image, layer=layer, channel=10, at=(2, 6))
    assert found.position == (0, 2, 6, 10) and f"{layer} of OfPositions, channel 10 at (2, 6)" in found.headline()
    assert found.box is not None and (found.box.first, found.box.last) == ((2, 6), (4, 8))
    seen = convscope.field(network, layer, (2, 6), input_shape=(1, 9, 9))
    assert seen.spans == ((2, 4), (6, 8)) and seen.read == 9
    inspection = convscope.inspect(network, (1, 9, 9))
    changed = projective_field(inspection, layer, (4, 4))
    assert changed.shape == (7, 7) and np.argwhere(changed).tolist() == [[y, x] for y in (2, 3, 4) for x in (2, 3, 4)]
    look = convscope.look(network, image, layer=layer, methods=["gradient"], checks=False)
    assert look.strongest_cell is not None
    name, channel, at = look.strongest_cell
    cell = convscope.explain(network, image, layer=name, channel=channel, at=at)
    assert look.maps is not None and cell.torch_value == pytest.approx(look.maps.maps[(channel, *at)], abs=1e-7)


class Arithmetic(nn.Module):
    """One operation on the output of a convolution."""

    def __init__(self, operation: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.conv, self.operation = nn.Conv2d(1, 2, 3), operation

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.operation(self.conv(x))


@pytest.mark.parametrize(
    ("operation", "text"),
    [
        (lambda x: x + 3, "x + 3"),
        (lambda x: 1 - x, "1 − x"),
        (lambda x: torch.rsub(x, x * x, alpha=2), "b − 2 · a"),
        (lambda x: torch.add(x, x * x, alpha=0.5), "a + 0.5 · b"),
        (lambda x: torch.div(x, 0.5, rounding_mode="floor"), "x ÷ 0.5, rounded down"),
        (lambda x: torch.remainder(x, 2), "remainder"),
    ],
)
def test_arithmetic_is_worked_out_and_written_as_it_is_computed(
    operation: Callable[[torch.Tensor], torch.Tensor], text: str
) -> None:
    lens = lens_of(Arithmetic(operation), 1, 5, 5)
    found = lens.number(lens.graph.outputs[0], (0, 1, 2, 0))
    assert found.worked.lines[-1].text == text and found.value == pytest.approx(found.torch_value, abs=1e-6)
