"""Effective fields: the measures, the four ways to measure, and what is left of the network."""

import numpy as np
import pytest
import torch
from torch import nn

from convscope.capture.capture import capture
from convscope.errors import CaptureError, GeometryError
from convscope.graph.reach_walk import walk_back
from convscope.interpret.effective_field.effective_fields import effective_fields
from convscope.interpret.effective_field.field_extent import field_extent
from convscope.interpret.effective_field.object_size import object_side
from convscope.interpret.equivariance.meter import equivariance

WEIGHTS = np.array([1, 2, 3, 2, 1])


def small():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.MaxPool2d(2),
        nn.Conv2d(4, 4, 3, padding=1), nn.Flatten(), nn.Linear(4 * 36, 3),
    )  # fmt: skip


class OfPositions(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.wide = nn.Conv2d(1, 3, 3), nn.Linear(3, 12)

    def forward(self, x):
        return self.wide(self.conv(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Reshaped(nn.Module):
    """Of several images it copies what is a view of one."""

    def __init__(self):
        super().__init__()
        self.body = small()

    def forward(self, x):
        x.permute(1, 0, 2, 3).flatten(0, 1).mean()
        return self.body(x)


def test_a_batch_may_run_more_operations_than_one_image():
    images = torch.randn(3, 2, 12, 12)
    (found,) = effective_fields(Reshaped(), images, layers=["body.4"], seeds=1).layers
    (expected,) = effective_fields(small(), images, layers=["4"], seeds=1).layers
    np.testing.assert_allclose(found.measured["trained"].mass, expected.measured["trained"].mass, rtol=1e-5)


class TestExtent:
    @pytest.mark.parametrize(("side", "half", "most"), [(9, 7, 9), (4, 4, 4), (21, 15, 21)])
    def test_of_a_uniform_square(self, side, half, most):
        mass = np.zeros((25, 25))
        mass[2 : 2 + side, 2 : 2 + side] = 3.0
        found = field_extent(mass, (2 + (side - 1) / 2,) * 2)
        assert (found.half, found.most, found.of_peak) == (half, most, side)

    def test_of_a_gaussian(self):
        """Its mass within a square is the square of the error function, and 4.55 % of the peak is a circle."""
        place = np.arange(-60, 61)
        line = np.exp(-(place**2) / (2 * 10.0**2))
        found = field_extent(np.outer(line, line), (60.0, 60.0))
        assert found.half in (21, 23) and found.most in (45, 47)  # 2 * 10.48 and 2 * 22.36 pixels
        assert found.of_peak == pytest.approx(np.sqrt(2 * np.pi * 100 * np.log(1 / 0.0455)), rel=0.01)

    def test_of_nothing(self):
        assert field_extent(np.zeros((3, 3)), (1.0, 1.0)).half is None

    def test_of_objects(self):
        assert object_side([(0, 0, 3, 9)]) == 9
        for wrong in (-1, np.zeros((2, 3)), np.zeros((2, 4, 4)), [(0, 0, 0, 0)]):
            with pytest.raises(GeometryError, match="side"):
                object_side(wrong)
        with pytest.raises(GeometryError, match="objects of several shapes: give boxes of 4 numbers each"):
            object_side([(0, 0, 3, 9), (0, 0, 3)])


class TestMeasurements:
    def test_two_windows_count_as_a_triangle(self):
        network = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.Conv2d(3, 1, 3, padding=1))
        [layer] = effective_fields(network, layers=["1"], input_shape=(1, 11, 11), seeds=1).layers
        expected = np.zeros((11, 11))
        expected[3:8, 3:8] = np.outer(WEIGHTS, WEIGHTS) / 81
        np.testing.assert_allclose(layer.measured["paths"].mass, expected)
        assert layer.mask.sum() == 25 and layer.side == 5
        assert "trained" not in layer.measured

    def test_with_weights_of_one_the_gradient_counts_paths(self):
        network = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.AvgPool2d(2), nn.Conv2d(1, 1, 3, padding=1))
        for parameter in network.parameters():
            nn.init.ones_(parameter)
        [layer] = effective_fields(network, torch.randn(3, 1, 16, 16), layers=["2"], seeds=1).layers
        np.testing.assert_allclose(layer.measured["trained"].mass, layer.measured["paths"].mass, rtol=1e-5)

    def test_gradients_are_torchs_own(self):
        network, images = small().eval(), torch.randn(4, 2, 12, 12)
        [layer] = effective_fields(network, images, layers=["4"], seeds=1).layers
        total = torch.zeros(12, 12)
        signs = torch.randint(0, 2, (4, 4), generator=torch.Generator().manual_seed(2**20)) * 2.0 - 1
        read = images.clone().requires_grad_()
        cells = network[:5](read)[:, :, 3, 3]
        total = torch.autograd.grad((cells * signs).sum(), read)[0].abs().sum((0, 1)).double()
        np.testing.assert_allclose(layer.measured["trained"].mass, total / total.sum(), atol=1e-7)

    def test_initial_weights_are_those_of_reset_parameters(self):
        network = small().eval()
        [layer] = effective_fields(network, input_shape=(2, 12, 12), layers=["4"], seeds=2, seed=5).layers
        total = torch.zeros(12, 12, dtype=torch.float64)
        for seed in (5, 6):
            torch.manual_seed(seed)
            for module in network:
                if hasattr(module, "reset_parameters"):
                    module.reset_parameters()
            read = torch.randn(1, 2, 12, 12, generator=torch.Generator().manual_seed(seed)).requires_grad_()
            signs = torch.randint(0, 2, (1, 4), generator=torch.Generator().manual_seed(seed + 2**20)) * 2.0 - 1
            cells = network[:5](read)[:, :, 3, 3]
            total += torch.autograd.grad((cells * signs).sum(), read)[0].abs().sum((0, 1))
        np.testing.assert_allclose(layer.measured["initial"].mass, total / total.sum(), atol=1e-7)

    def test_channels_that_lie_last_are_those_of_one_cell(self):
        """As in a block of ConvNeXt, whose fully connected layers read (N, H, W, C)."""
        (grown,) = effective_fields(OfPositions(), input_shape=(1, 11, 11), seeds=1).layers
        assert grown.name == "conv"  # the field does not grow in the layer over positions
        (wide,) = effective_fields(OfPositions(), input_shape=(1, 11, 11), layers=["wide"], seeds=1).layers
        assert wide.side == 3 and wide.layer.cell == (0, 4, 4, None) and wide.mask.sum() == 9

    def test_counts_beyond_float64_are_halved(self):
        deep = capture(lambda: nn.Sequential(*(nn.Conv2d(512, 512, 3, padding=1) for _ in range(120))), (512, 9, 9))
        walk = walk_back(deep, deep.outputs[0], (0, None, 4, 4), measure="paths")
        counted = walk.map(deep.inputs[0])
        # Of three such layers the counts are known; shares of the middle do not depend on the number of channels.
        assert walk.halvings > 0 and np.isfinite(counted).all() and counted[4, 4] == counted.max() > 0
        assert np.allclose(counted, counted[::-1, ::-1])

    def test_rows_and_columns_are_those_of_an_image_with_channels_in_its_last_axis(self):
        class ChannelsLast(nn.Conv2d):
            def forward(self, images):
                return super().forward(images.permute(0, 3, 1, 2))

        found = effective_fields(ChannelsLast(3, 2, 3), input_shape=(8, 12, 3), layers=["convolution"], seeds=1)
        assert found.image_shape == found.layers[0].mask.shape == (8, 12)


class TestRecord:
    def test_the_network_is_left_as_found(self):
        network = small().train()
        network[0].weight.requires_grad_(False)
        before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        images = torch.randn(2, 2, 12, 12)
        parts, state = list(network.modules()), torch.get_rng_state()
        effective_fields(network, images, seeds=2)
        assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
        assert list(network.modules()) == parts and network.training and torch.equal(state, torch.get_rng_state())
        assert all(p.grad is None for p in network.parameters()) and not network[0].weight.requires_grad
        assert not any(m._forward_hooks or m._backward_hooks for m in network.modules())

    def test_what_a_network_draws_by_itself_is_not_drawn_from_the_caller(self, monkeypatch):
        class Drawing(nn.Conv2d):
            def forward(self, images):
                return super().forward(images + torch.randn_like(images))

        monkeypatch.setattr("convscope.api.generators._is_only_thread", lambda: True)
        network, images, state = Drawing(2, 3, 3, padding=1), torch.randn(1, 2, 9, 9), torch.get_rng_state()
        effective_fields(network, images, seeds=1)
        assert torch.equal(torch.get_rng_state(), state)
        equivariance(network, images[0], shifts=(1,))
        assert torch.equal(torch.get_rng_state(), state)

    def test_it_is_shown_and_drawn(self):
        found = effective_fields(small(), torch.randn(2, 2, 12, 12), seeds=2, objects=5)
        assert "depends on the images" in str(found) and "holds the object" in str(found)
        assert "trained gradient" in found.figure().markup()
        assert "object, 5" in found.sizes_figure().markup()
        assert found.to_dict()["layers"][0]["sizes"]["paths"]["half"] == 3
        assert found.layer("4").headline() in found.headline()

    def test_a_layer_without_a_map_is_refused(self):
        with pytest.raises(GeometryError, match="6 gives 3, no map of the image: name a layer before it, such as 0"):
            effective_fields(small(), input_shape=(2, 12, 12), layers=["6"])
        with pytest.raises(CaptureError, match="has no layer 'convv'"):
            effective_fields(small(), input_shape=(2, 12, 12), layers=["convv"])
        with pytest.raises(CaptureError, match="takes no images"):
            effective_fields(nn.Linear(4, 2), input_shape=(4,))

    def test_interrupted_it_has_the_mean_of_what_is_done(self):
        def interrupt(done, total, what):
            if done == 2:
                raise KeyboardInterrupt

        found = effective_fields(small(), input_shape=(2, 12, 12), seeds=9, progress=interrupt)
        assert found.draws == 2 and "2 of 9 draws" in str(found)

    def test_half_precision_is_measured_in_float32(self):
        found = effective_fields(small().to(torch.bfloat16), torch.randn(2, 2, 12, 12), seeds=1, layers=["4"])
        assert found.layers[0].measured["trained"].extent.half is not None
