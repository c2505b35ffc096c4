"""The meter reads 0 on circular networks of stride 1, and names the layer that was planted in one."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from convscope.capture.capture import capture
from convscope.errors import CaptureError, GeometryError
from convscope.graph.layer_names import LayerNames
from convscope.interpret.equivariance.layer_errors import READS_ZERO
from convscope.interpret.equivariance.meter import equivariance_of
from convscope.interpret.equivariance.record import Equivariance
from convscope.interpret.equivariance.shifted_map import ShiftedMaps
from convscope.interpret.replay.replays import Replays

DEPTH = 4
DEPTHS = (3, 4, 6)


def smooth_image(seed, side=32):
    noise = np.random.default_rng(seed).normal(size=(1, 2, side, side))
    rows = np.fft.fftfreq(side)[:, None] ** 2 + np.fft.fftfreq(side)[None] ** 2
    blurred = np.fft.ifft2(np.fft.fft2(noise) * np.exp(-rows * 60)).real
    return torch.tensor(blurred / blurred.std(), dtype=torch.float32)


def circular(in_channels, stride=1, **settings):
    return nn.Conv2d(in_channels, 4, 3, stride=stride, padding=1, padding_mode="circular", **settings)


PLANTED = {
    "stride 2": lambda channels: circular(channels, stride=2),
    "zero padding": lambda channels: nn.Conv2d(channels, 4, 3, padding=1),
    "max pool 2": lambda channels: nn.MaxPool2d(2),
    "average pool 2": lambda channels: nn.AvgPool2d(2),
    "no padding": lambda channels: nn.Conv2d(channels, 4, 3),
    "reflected": lambda channels: nn.Conv2d(channels, 4, 3, padding=1, padding_mode="reflect"),
    "max pool 3": lambda channels: nn.MaxPool2d(3, stride=2, padding=1),
}
# Of each kind as the first layer of 3, a middle one of 4, and the last of 6: 20 networks.
PLACES = [(kind, place, depth) for place, depth in zip((0, 1, 5), DEPTHS, strict=True) for kind in PLANTED][:20]


def network_with(kind=None, place=-1, seed=0, depth=DEPTH):
    """Build convolutions of stride 1, one replaced by a planted layer; return the network and that layer's name."""
    torch.manual_seed(seed)
    layers, channels, name = [], 2, ""
    for number in range(depth):
        if number == place:
            name = str(len(layers))
            layers += [PLANTED[kind](channels)]
            channels = channels if "pool" in kind else 4
            continue
        layers += [circular(channels), nn.ReLU(inplace=True)]
        channels = 4
    return nn.Sequential(*layers), name


def measured(network, image, **settings) -> Equivariance:
    return equivariance_of(Replays(network, name="net"), image, **settings)


@pytest.mark.parametrize("seed", range(3))
def test_a_circular_network_of_stride_1_reads_0(seed):
    network, _ = network_with(seed=seed)
    found = measured(network, smooth_image(seed), shifts=(1, 2, 3))
    assert len(found.layers) == 2 * DEPTH and found.breaking == ()
    for layer in found.layers:
        assert layer.strides == (1, 1)
        for error in layer.errors:
            assert not error.fractional and error.whole < READS_ZERO and (error.inside or 0) < READS_ZERO
    assert "no layer breaks it" in found.headline()


@pytest.mark.parametrize(("kind", "place", "depth"), PLACES)
def test_the_planted_layer_is_named(kind, place, depth):
    network, name = network_with(kind, place, seed=place, depth=depth)
    found = measured(network, smooth_image(place), shifts=(1, 2, 3))
    assert found.breaking == (name,)
    planted = next(layer for layer in found.layers if layer.layer == name)
    strided = "stride" in kind or "pool" in kind
    assert planted.breaks("inside") == strided and planted.inside < READS_ZERO
    if strided:
        assert planted.strides == (2, 2)
        odd = [error for error in planted.errors if error.pixels % 2]
        assert all(error.fractional and error.inside > 0.01 and error.border is None for error in odd)
    else:
        assert planted.border > 0.01 and planted.subsampling is None and not planted.breaks("inside")


def test_there_are_twenty_planted_networks():
    assert len(set(PLACES)) == 20


def difference(channels):
    """Return a circular filter that amplifies what is fine: a pixel less its four neighbours' mean."""
    made = nn.Conv2d(channels, channels, 3, padding=1, padding_mode="circular", groups=channels, bias=False)
    with torch.no_grad():
        made.weight[:] = torch.tensor([[0, -1.0, 0], [-1, 4, -1], [0, -1, 0]]) / 4
    return made


def test_a_layer_that_amplifies_an_error_increases_it_most_and_breaks_nothing():
    network = nn.Sequential(nn.AvgPool2d(2), difference(2))
    # Smooth, with some grain, which is what a difference leaves.
    wave = torch.sin(2 * torch.pi * torch.arange(32) / 32)
    grain = np.random.default_rng(2).normal(0, 0.2, (1, 2, 32, 32))
    found = measured(network, (wave[:, None] + wave + torch.from_numpy(grain)).float(), shifts=(1, 2, 3))
    pool, filtered = found.layers
    # By the increase of the error over its input's alone, the pooling would not be the one that is named.
    assert filtered.increase("inside") > 1.5 * pool.increase("inside") > 0
    assert found.largest("inside").layer == "1" and found.breaking == ("0",)
    assert filtered.own_error("inside") < READS_ZERO < pool.own_error("inside")
    assert "which amplifies the error of a layer before it" in str(found)


def test_all_layers_that_break_it_are_named_not_the_first_alone():
    torch.manual_seed(1)
    network = nn.Sequential(
        circular(2), nn.MaxPool2d(2), circular(4), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1), circular(4, stride=2),
        nn.BatchNorm2d(4), nn.Upsample(scale_factor=2), circular(4),
    )  # fmt: skip
    found = measured(network.eval(), smooth_image(3), shifts=(1, 2))
    assert found.breaking == ("1", "4", "5")
    kinds = {layer.layer: (layer.breaks("inside"), layer.breaks("border")) for layer in found.layers}
    assert (kinds["1"], kinds["4"], kinds["5"]) == ((True, False), (False, True), (True, False))


class Block(nn.Module):
    """A residual block of stride 2 with zero padding."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(2, 4, 3, stride=2, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.shortcut = nn.Conv2d(2, 4, 1, stride=2)

    def forward(self, x):
        return (self.second(self.first(x).relu()) + self.shortcut(x)).relu()


def test_the_branches_of_a_block_are_told_apart_and_their_sum_breaks_nothing():
    torch.manual_seed(2)
    found = measured(Block(), smooth_image(4), shifts=(1, 2))
    assert {name.partition(":")[0] for name in found.breaking} == {"first", "second", "shortcut"}
    by_name = {layer.layer: layer for layer in found.layers}
    assert by_name["shortcut"].breaks("inside") and not by_name["shortcut"].breaks("border")
    assert by_name["first"].breaks("inside") and by_name["first"].breaks("border")
    assert by_name["second"].breaks("border") and not by_name["second"].breaks("inside")


def test_an_own_error_is_that_of_the_layer_alone_on_shifted_maps():
    network, name = network_with("stride 2", 1, seed=7)
    network.double()
    image = smooth_image(7).double()
    found = next(layer for layer in measured(network, image, shifts=(1, 2)).layers if layer.layer == name)
    assert [(error.axis, error.cells, error.fractional) for error in found.own] == [
        (0, 1, True), (0, 2, False), (1, 1, True), (1, 2, False),
    ]  # fmt: skip
    place = int(name)
    with torch.no_grad():
        read = network[:place](image)
        for error in found.own:
            there = network[place](read.roll(error.cells, 2 + error.axis))
            expected = network[place](read).roll(1, 2 + error.axis)
            spread = expected - expected.mean((2, 3), keepdim=True)
            assert error.inside == pytest.approx(float((there - expected).norm() / spread.norm()), abs=1e-12)


def test_subsampling_is_told_from_the_border_where_every_cell_reads_one():
    torch.manual_seed(0)
    before = [nn.Conv2d(2, 2, 3, padding=1) for _ in range(16)]
    found = measured(nn.Sequential(*before, nn.Conv2d(2, 2, 3, padding=1, stride=2)), smooth_image(1), shifts=(1, 2))
    last = found.layers[-1]
    assert last.inside is None and last.breaks("inside") and last.breaks("border")
    assert not found.layers[-2].breaks("inside")


def test_an_error_is_the_formula_on_the_networks_own_values():
    network, _ = network_with("stride 2", 1, seed=5)
    network.double()
    image = smooth_image(5).double()
    found = measured(network, image, shifts=(1, 2))
    with torch.no_grad():
        first = network[:3](image)
        for axis, pixels in found.shifts:
            there = network[:3](image.roll(pixels, 2 + axis))
            expected = first.roll((pixels + 1) // 2, 2 + axis)
            spread = expected - expected.mean((2, 3), keepdim=True)
            error = next(e for e in found.layers[2].errors if (e.axis, e.pixels) == (axis, pixels))
            assert error.whole == pytest.approx(float((there - expected).norm() / spread.norm()), abs=1e-12)
            assert error.fractional == (pixels == 1) and error.cells == 1


def test_the_border_of_a_strided_layer_is_not_taken_for_subsampling():
    torch.manual_seed(0)
    network = nn.Conv2d(1, 2, 3, padding=1, stride=2)
    # Of a constant image there is nothing that subsampling could change.
    found = measured(nn.Sequential(network), torch.ones(1, 1, 16, 16), shifts=(1, 2)).layers[0]
    assert found.breaks("border") and not found.breaks("inside")


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(3, 1, 1), (4, 4, 0), (5, 2, 2), (3, 2, 0), (7, 4, 3)])
def test_cells_inside_read_neither_a_border_nor_what_was_rolled_in(kernel, stride, padding):
    size = 24
    graph = capture(nn.Conv2d(1, 1, kernel, stride=stride, padding=padding), (1, size, size))
    shifted = ShiftedMaps(LayerNames(graph))
    [found], _ = shifted.of()
    fields = [range(cell * stride - padding, cell * stride - padding + kernel) for cell in range(found.cells[0])]
    for pixels in (1, 2, 3, 5, 8):
        cells, fractional = found.moved(0, pixels)
        assert cells == round(pixels / stride + 1e-9) and fractional == (pixels % stride > 0)
        expected = [
            0 <= cell - cells < len(fields)
            and all(pixels <= row < size for row in field)
            and all(0 <= row < size for row in fields[cell - cells])
            for cell, field in enumerate(fields)
        ]
        assert found.inside(0, pixels, size).tolist() == expected


def test_inside_is_where_no_border_reaches_and_is_0_with_zero_padding():
    torch.manual_seed(0)
    network = nn.Sequential(*(nn.Conv2d(2, 2, 3, padding=1) for _ in range(5)))
    found = measured(network, smooth_image(1), shifts=(1, 4))
    for layer in found.layers:
        assert layer.inside < READS_ZERO < layer.border and layer.whole == pytest.approx(layer.border)
        assert layer.breaks("border") and not layer.breaks("inside")
    # 14 of these have a field of 29 pixels, that no cell of 32 - 4 shifted pixels has inside.
    deep = measured(nn.Sequential(*(nn.Conv2d(2, 2, 3, padding=1) for _ in range(14))), smooth_image(1), shifts=(4,))
    assert deep.layers[-1].inside is None and "larger image" in str(deep.document().to_dict())


def test_the_record_has_its_forms():
    network, name = network_with("max pool 2", 1, seed=1)
    found = measured(network, smooth_image(1), image_name="a photograph", shifts=(1, 2))
    arrays = found.arrays()
    assert arrays["shifts"].tolist() == [[0, 1], [0, 2], [1, 1], [1, 2]]
    assert arrays["inside"].shape == arrays["fractional"].shape == (len(found.layers), 4)
    written = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert written["breaking"] == [name] and written["layers"][0]["errors"][0]["whole"] < READS_ZERO
    assert name in found.headline() and "<svg" in found.svg
    assert f"broken by {name}" in str(found)
    own = written["layers"][2]["own"]
    assert own[0]["fractional"] and own[0]["inside"] == written["layers"][2]["own_inside"] > 0.01


def test_the_network_is_left_as_it_was_and_bad_input_is_one_line():
    network, _ = network_with("zero padding", 0)
    network.train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    state = torch.random.get_rng_state()
    measured(network, smooth_image(0), shifts=(1,))
    assert network.training and torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    with pytest.raises(GeometryError, match="give 1 to 16"):
        measured(network, smooth_image(0), shifts=(17,))
    with pytest.raises(CaptureError, match="no layer 'nothing'"):
        measured(network, smooth_image(0), layers=("nothing",))
    with pytest.raises(CaptureError, match="no layer with a map"):
        measured(nn.Sequential(nn.Flatten(), nn.Linear(2048, 3)), smooth_image(0))


def test_an_interrupt_returns_what_is_there():
    network, _ = network_with()

    def stop(done, total, what):
        if done >= 8:
            raise KeyboardInterrupt

    found = measured(network, smooth_image(0), progress=stop)
    assert len(found.shifts) == 8 and found.planned == 16 and "interrupted: 8 of 16 shifts" in str(found)
