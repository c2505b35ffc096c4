"""Interventions are exact: what a plain torch twin of the changed network or picture gives, for the same input."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from convscope.errors import CaptureError, GeometryError
from convscope.files.regular import UnreadableError
from convscope.studio.compute.interventions import changed_network, changed_picture, kernel_record, require_known
from convscope.studio.compute.opened_model import OpenedModel
from explored_networks import NETWORKS, Residual, ResidualNet, opened

PICTURE = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)


def scores(network: OpenedModel, x: torch.Tensor, *changes: dict[str, Any]) -> torch.Tensor:
    """Return the network's output after changes."""
    run = changed_network(network, changes).on(x)
    return run.tensor(network.graph.outputs[0]).detach()


@pytest.mark.parametrize("layer", ["stem", "blocks.0.conv1", "blocks.1.short", "blocks.2.conv2"])
def test_a_channel_that_is_off_is_zero_for_all_that_reads_it(layer: str) -> None:
    torch.manual_seed(1)
    module, x = ResidualNet(), torch.randn(1, 3, 24, 24)
    network, twin = opened(module), copy.deepcopy(module).eval()

    def off(_: nn.Module, __: object, output: torch.Tensor) -> torch.Tensor:
        output = output.clone()
        output[:, 1] = 0
        return output

    before = scores(network, x)
    twin.get_submodule(layer).register_forward_hook(off)
    with torch.no_grad():
        expected = twin(x)
    assert torch.equal(scores(network, x, {"op": "channel_off", "value": layer, "channel": 1}), expected)
    assert not torch.equal(expected, before)
    with torch.no_grad():
        assert torch.equal(module(x), before)  # the module is as it was


def test_a_channel_of_a_sum_and_two_channels_at_once() -> None:
    class Twin(Residual):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out = self.conv2(self.relu(self.bn1(self.conv1(x)))) + self.short(x)
            out[:, [0, 2]] = 0
            return self.relu(out)

    torch.manual_seed(2)
    block, x = Residual(3, 4).eval(), torch.randn(1, 3, 8, 8)
    twin = Twin(3, 4).eval()
    twin.load_state_dict(block.state_dict())
    changes = [{"op": "channel_off", "value": "add", "channel": channel} for channel in (0, 2)]
    with torch.no_grad():
        assert torch.equal(scores(opened(block, (3, 8, 8)), x, *changes), twin(x))


@pytest.mark.parametrize(("name", "module", "shape"), [
    ("residual", "blocks.1.conv1", (3, 3)), ("branches", "wide.1", (5, 1)), ("branches", "grouped", (3, 3)),
    ("unet", "up", (2, 2)),
])  # fmt: skip
def test_a_kernel_is_replaced_by_the_numbers_given(name: str, module: str, shape: tuple[int, int]) -> None:
    torch.manual_seed(3)
    network, x = NETWORKS[name]().eval(), torch.randn(1, 3, 24, 24)
    kernel = torch.randn(shape).double().round(decimals=3)
    twin = copy.deepcopy(network)
    weight = twin.get_submodule(module).weight
    place = (1, 2) if name == "unet" else (2, 1)  # a transposed convolution has its inputs first
    with torch.no_grad():
        weight[place] = kernel.float()
        expected = twin(x)
    change = {"op": "kernel", "module": module, "out": 2, "in": 1, "weights": kernel.tolist()}
    assert torch.equal(scores(opened(network), x, change), expected)


@pytest.mark.parametrize(("module", "axes", "inputs"), [
    (nn.Conv2d(40, 4, (3, 5)), (2, 39), 40),
    (nn.Conv2d(40, 4, 3, groups=2), (3, 19), 20),
    (nn.ConvTranspose2d(40, 4, 3), (2, 39), 40),
    (nn.ConvTranspose2d(40, 4, 3, groups=2), (1, 19), 20),
    (nn.Conv1d(40, 4, 3), (2, 39), 40),
])  # fmt: skip
def test_every_kernel_of_a_channel_can_be_read_and_put_back(
    module: nn.Module, axes: tuple[int, int], inputs: int
) -> None:
    dimensions = 1 if isinstance(module, nn.Conv1d) else 2
    network, x = opened(nn.Sequential(module), (40, *[8] * dimensions)), torch.randn(1, 40, *[8] * dimensions)
    out, into = axes
    found = kernel_record(network, (), "0", out, into)
    weight = network.network.module.get_submodule("0").weight
    own = weight[into, out] if isinstance(module, nn.ConvTranspose2d) else weight[out, into]
    assert found["inputs"] == inputs
    assert {np.shape(preset) for preset in found["presets"].values()} == {np.shape(found["weights"])}
    assert torch.equal(torch.tensor(found["weights"]).float().reshape(own.shape), own)
    change = {"op": "kernel", "module": "0", "out": out, "in": into}
    assert torch.equal(scores(network, x, {**change, "weights": found["weights"]}), scores(network, x))
    twice = [[2 * number for number in row] for row in found["weights"]]
    assert kernel_record(network, [{**change, "weights": twice}], "0", out, into)["weights"] == twice
    with pytest.raises(GeometryError, match=f"in 0 to {inputs - 1}: {inputs} is none"):
        kernel_record(network, (), "0", out, inputs)


@pytest.mark.parametrize("groups", [1, 2, 6])
@pytest.mark.parametrize("kind", [nn.Conv2d, nn.ConvTranspose2d])
def test_a_kernel_of_a_group_changes_one_output_channel_by_one_input(
    kind: type[nn.Conv2d | nn.ConvTranspose2d], groups: int
) -> None:
    """By what torch's convolution of that input alone with the difference of the kernels gives."""
    torch.manual_seed(4)
    layer, x = kind(6, 12, (3, 2), stride=2, groups=groups).double(), torch.randn(1, 6, 9, 9).double()
    network = opened(nn.Sequential(layer), (6, 9, 9))
    convolve = functional.conv_transpose2d if kind is nn.ConvTranspose2d else functional.conv2d
    before, kernel = scores(network, x), torch.tensor([[1.0, -2.0], [0.5, 3.0], [0.0, 4.0]]).double()
    inputs, outputs = 6 // groups, 12 // groups
    for out in range(12):
        for into in range(inputs):
            known = kernel_record(network, (), "0", out, into)
            assert known["inputs"] == inputs
            change = {"op": "kernel", "module": "0", "out": out, "in": into, "weights": kernel.tolist()}
            changed = scores(network, x, change) - before
            channel = out // outputs * inputs + into
            less = torch.tensor(known["weights"]).double()
            expected = torch.zeros_like(changed)
            expected[:, out] = convolve(x[:, [channel]], (kernel - less)[None, None], stride=2)[:, 0]
            torch.testing.assert_close(changed, expected, rtol=0, atol=1e-12)
    with pytest.raises(GeometryError, match="out 0 to 11: 12 is none"):
        kernel_record(network, (), "0", 12, 0)


def test_a_kernel_of_three_axes_can_not_be_shown_as_rows() -> None:
    with pytest.raises(GeometryError, match="3 axes"):
        kernel_record(opened(nn.Sequential(nn.Conv3d(1, 2, 3)), (1, 8, 8, 8)), (), "0", 0, 0)


def test_gradients_pass_through_the_other_channels() -> None:
    module = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Flatten(), nn.Linear(8, 3)).eval()
    network, x = opened(module, (1, 2, 2)), torch.randn(1, 1, 2, 2)
    run = changed_network(network, [{"op": "channel_off", "value": "0", "channel": 0}]).on(x)
    (gradient,) = run.gradients(run.score(1).sum(), run.inputs[0])
    expected = (module[2].weight[1].reshape(2, 2, 2)[1] * module[0].weight[1, 0, 0, 0]).detach()
    assert torch.allclose(gradient[0, 0], expected)


def test_a_shift_moves_pixels_and_repeats_the_edge() -> None:
    moved = changed_picture(PICTURE, [{"op": "shift", "dy": 3, "dx": -2}])
    assert np.array_equal(moved[3:, :-2], PICTURE[:-3, 2:])
    assert np.array_equal(moved[:3, :-2], np.repeat(PICTURE[:1, 2:], 3, axis=0))


def test_changes_of_the_picture_go_one_after_the_other() -> None:
    one = changed_picture(PICTURE, [{"op": "occlude", "box": [0, 0, 4, 4]}])
    assert (one[:4, :4] == 127).all()
    assert np.array_equal(one[4:], PICTURE[4:])
    both = changed_picture(PICTURE, [{"op": "occlude", "box": [0, 0, 4, 4]}, {"op": "shift", "dy": 1, "dx": 0}])
    assert (both[1:5, :4] == 127).all()
    turned = changed_picture(PICTURE, [{"op": "rotate", "degrees": 360}, {"op": "blur", "sigma": 0}])
    assert np.abs(turned.astype(int) - PICTURE).max() <= 1
    whole = changed_picture(PICTURE, [{"op": "crop", "box": [0, 0, 12, 16]}])
    assert np.array_equal(whole, PICTURE)
    half = changed_picture(PICTURE, [{"op": "crop", "box": [0, 0, 6, 8]}, {"op": "blur", "sigma": 1.5}])
    assert half.shape == PICTURE.shape
    assert half.dtype == np.uint8


@pytest.mark.parametrize(("change", "error", "text"), [
    ({"op": "shift", "dy": 1}, UnreadableError, "dx"),
    ({"op": "explode"}, UnreadableError, "op"),
    ({"op": "blur", "sigma": -1}, UnreadableError, "sigma"),
    ({"op": "blur", "sigma": 1e9}, UnreadableError, "sigma"),
    ({"op": "crop", "box": [0, 0, 0, 5]}, GeometryError, "within 12×16"),
    ({"op": "crop", "box": [0, 0, 5]}, GeometryError, "4 whole numbers"),
    ({"op": "occlude", "box": "all"}, GeometryError, "4 whole numbers"),
])  # fmt: skip
def test_a_change_of_the_picture_that_can_not_be_made_is_told(
    change: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        changed_picture(PICTURE, [change])


@pytest.mark.parametrize(("change", "error", "text"), [
    ({"op": "channel_off", "value": "stam", "channel": 0}, CaptureError, "no layer 'stam'"),
    ({"op": "channel_off", "value": "stem", "channel": 4}, GeometryError, "0 to 3: 4 is none"),
    ({"op": "kernel", "module": "fc", "out": 0, "in": 0, "weights": [[1]]}, CaptureError, "no kernels"),
    ({"op": "kernel", "module": "stem", "out": 9, "in": 0, "weights": [[1]]}, GeometryError, "out 0 to 3"),
    ({"op": "kernel", "module": "stem", "out": 0, "in": 0, "weights": [[1]]}, GeometryError, "5×5"),
    ({"op": "kernel", "module": "stem", "out": 0, "in": 0, "weights": [[1], [1, 2]]}, GeometryError, "rows of numbers"),
    ({"op": "kernel", "module": "stem", "out": 0, "in": 0, "weights": "x"}, GeometryError, "rows of numbers"),
])  # fmt: skip
def test_a_change_of_the_network_that_can_not_be_made_is_told(
    change: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        changed_network(opened(ResidualNet()), [change])


def test_too_many_changes_are_refused() -> None:
    with pytest.raises(GeometryError, match="100 changes"):
        require_known([{"op": "shift", "dy": 0, "dx": 0}] * 100)
