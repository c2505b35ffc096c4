"""What the warnings say, and on which networks they keep silent."""

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from convscope.graph.diagnose.finding import DesignWarning
from convscope.interpret.inspection.record import inspect
from convscope.nets.build import build


def found(model: nn.Module, *shape: int, object_size: int | None = None) -> dict[str, list[DesignWarning]]:
    inspection = inspect(model, shape, object_size=object_size)
    assert inspection.error is None
    kinds: dict[str, list[DesignWarning]] = {}
    for warning in inspection.warnings:
        kinds.setdefault(warning.kind, []).append(warning)
    return kinds


def net(forward: Callable[..., torch.Tensor], **modules: nn.Module | nn.Parameter) -> nn.Module:
    """A module with these parts and this forward."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for name, part in modules.items():
                setattr(self, name, part)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return forward(self, x)

    return Net()


class TestShrinking:
    def test_five_convolutions_without_padding_eat_the_image(self):
        model = nn.Sequential(*(nn.Conv2d(3, 3, 5) for _ in range(5)))
        [warning] = found(model, 3, 32, 32)["shrinking"]
        assert (warning.layer, warning.severity) == ("0", "warning")
        assert "5 convolutions without padding, from 0 to 4, leave 38 % of each side" in warning.message
        assert "32×32 becomes 12×12" in warning.message and "0 4, 1 4, 2 4, 3 4, 4 4" in warning.evidence

    def test_padding_strides_and_full_kernels_are_meant(self):
        for model in (
            nn.Sequential(*(nn.Conv2d(3, 3, 5, padding=2) for _ in range(5))),
            nn.Sequential(*(nn.Sequential(nn.ReflectionPad2d(2), nn.Conv2d(3, 3, 5)) for _ in range(5))),
            nn.Sequential(*(nn.Conv2d(3, 3, 3, 2) for _ in range(3))),
            nn.Sequential(nn.Conv2d(3, 3, 3), nn.Conv2d(3, 3, 3), nn.Conv2d(3, 3, 28)),
            nn.Sequential(*(nn.Conv2d(3, 3, 5) for _ in range(2))),
        ):
            assert "shrinking" not in found(model, 3, 32, 32)

    def test_a_branch_that_keeps_its_size_carries_on(self):
        crop = net(lambda m, x: m.c(m.b(m.a(x))) + x[..., 6:-6, 6:-6], a=nn.Conv2d(3, 3, 5), b=nn.Conv2d(3, 3, 5),
                   c=nn.Conv2d(3, 3, 5))  # fmt: skip
        assert "shrinking" in found(crop, 3, 20, 20)  # 8 of 20
        assert "shrinking" not in found(nn.Sequential(crop, crop), 3, 64, 64)


class TestWindows:
    def test_the_row_and_column_that_a_strided_convolution_drops_are_named(self):
        [warning] = found(nn.Sequential(nn.Conv2d(3, 4, 3, stride=2)), 3, 64, 64)["never-read"]
        assert (warning.layer, warning.severity) == ("0", "warning")
        assert "3.1 % of its 64×64 input" in warning.message  # 127 of 4,096
        assert "row 63 and column 63" in warning.evidence
        assert "pad by 1 more" in warning.remedy

    def test_what_one_branch_steps_over_and_another_reads_is_no_loss(self):
        block = net(
            lambda m, x: m.conv(x) + m.short(x), conv=nn.Conv2d(4, 4, 3, 2, 1), short=nn.Conv2d(4, 4, 1, 2)
        )  # fmt: skip
        kinds = found(block, 4, 32, 32)
        assert "never-read" not in kinds
        [note] = kinds["stride-over-kernel"]
        assert (note.layer, note.severity) == ("short", "note")
        assert "1 in 4" in note.message

    def test_what_both_branches_step_over_is_lost(self):
        block = net(lambda m, x: m.a(x) + m.b(x), a=nn.Conv2d(4, 4, 1, 2), b=nn.Conv2d(4, 4, 1, 2))
        kinds = found(block, 4, 32, 32)
        [warning] = kinds["never-read"]
        assert "75 %" in warning.message and "pool before striding" in warning.remedy
        assert [w.layer for w in kinds["stride-over-kernel"]] == ["b"]  # said once for a

    def test_a_map_that_is_read_through_another_normalisation_is_read(self):
        """Pre-activation blocks normalise the same map once per branch, as dual-path networks do."""
        block = net(
            lambda m, x: m.a(F.relu(m.norm_a(m.stem(x)))) + m.b(F.relu(m.norm_b(m.stem(x)))),
            stem=nn.Identity(), a=nn.Conv2d(4, 4, 3, 2, 1), b=nn.Conv2d(4, 4, 1, 2),
            norm_a=nn.BatchNorm2d(4), norm_b=nn.BatchNorm2d(4),
        )  # fmt: skip
        assert "never-read" not in found(block, 4, 32, 32)

    def test_a_shifted_copy_reads_what_the_other_steps_over(self):
        """The factorised reduction of NASNet: a second path that starts one pixel further."""
        block = net(
            lambda m, x: torch.cat([m.a(x), m.b(F.pad(x, (-1, 1, -1, 1)))], 1),
            a=nn.AvgPool2d(1, 2), b=nn.AvgPool2d(1, 2),
        )  # fmt: skip
        assert "never-read" not in found(block, 4, 32, 32)

    def test_a_crop_is_meant(self):
        assert "never-read" not in found(net(lambda m, x: m.c(x[:, :, 2:-2, 2:-2]), c=nn.Conv2d(3, 4, 3)), 3, 16, 16)

    def test_taps_that_only_ever_meet_padding(self):
        [warning] = found(nn.Sequential(nn.Conv2d(64, 64, 3, padding=1, bias=False)), 64, 1, 1)["dead-taps"]
        assert "8 of the 9 taps" in warning.message
        assert f"{64 * 64 * 8:,} weights never get a gradient" in warning.evidence

    def test_a_rate_of_36_on_33_is_a_pointwise_convolution(self):
        """The finding of DeepLab v3 (Chen et al., 2017), section 3.3."""
        [warning] = found(nn.Sequential(nn.Conv2d(8, 8, 3, padding=36, dilation=36)), 8, 33, 33)["dead-taps"]
        assert "8 of the 9 taps" in warning.message

    @pytest.mark.parametrize(("kernel", "warned"), [(3, False), (4, True), (5, False), (6, True)])
    def test_even_kernels_with_same_padding(self, kernel: int, warned: bool):
        kinds = found(nn.Sequential(nn.Conv2d(3, 4, kernel, padding="same")), 3, 32, 32)
        assert ("even-same" in kinds) is warned

    def test_downsampling_without_a_low_pass_is_a_note(self):
        blur = nn.Conv2d(8, 8, 3, stride=2, padding=1, groups=8, bias=False).requires_grad_(False)
        model = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.MaxPool2d(2), nn.AvgPool2d(2), nn.Conv2d(8, 8, 2, 2), blur)
        assert [(w.layer, w.severity) for w in found(model, 3, 64, 64)["aliasing"]] == [("0", "note"), ("1", "note")]


class TestFields:
    def chain(self, layers: int) -> nn.Module:
        """A stem of stride 4, then 3x3 convolutions that add 8 pixels each."""
        return nn.Sequential(nn.Conv2d(3, 4, 4, 4), *[nn.Conv2d(4, 4, 3, padding=1) for _ in range(layers)])

    def test_a_layer_after_the_whole_image_was_seen_adds_nothing(self):
        kinds = found(self.chain(12), 3, 32, 32)
        warned = [w for w in kinds["beyond-image"] if w.severity == "warning"]
        # Before layer k the field is 4 + 8 (k - 1): every one of the 8 positions sees all 32 from 60 on.
        assert warned[0].layer == "8" and "60×60" in warned[0].evidence
        noted = [w.layer for w in kinds["beyond-image"] if w.severity == "note"]
        assert noted == ["5", "6", "7"]  # 36, 44, 52: the central positions alone

    def test_a_shortcut_keeps_it_a_note(self):
        block = nn.Conv2d(4, 4, 3, padding=1)
        model = net(lambda m, x: _residual(m, x, 12), stem=nn.Conv2d(3, 4, 4, 4), block=block)
        assert {w.severity for w in found(model, 3, 32, 32)["beyond-image"]} == {"note"}

    def test_vgg16_is_made_for_224_and_not_for_32(self):
        assert "beyond-image" not in found(build("vgg16", num_classes=2), 3, 224, 224)
        kinds = found(build("vgg16", num_classes=2), 3, 32, 32)
        names = [w.layer for w in kinds["beyond-image"] if w.severity == "warning"]
        # Before features.19 four positions see 60 pixels each, from -26, -18, -10 and -2 on: all of 0 to 31.
        assert names == ["features.19", "features.21", "features.24", "features.26", "features.28"]

    def test_an_object_larger_than_any_field(self):
        model = nn.Sequential(self.chain(2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
        [warning] = found(model, 3, 128, 128, object_size=60)["small-field"]
        assert warning.layer == "0.2" and "is 20×20" in warning.message
        assert "about 5 3×3 layers" in warning.remedy  # 40 more pixels, 8 a layer
        assert "small-field" not in found(model, 3, 128, 128, object_size=20)
        assert "small-field" not in found(model, 3, 128, 128)

    def test_a_field_far_below_the_image_is_found_without_being_asked(self):
        pooled = nn.Sequential(self.chain(2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
        [note] = found(pooled, 3, 128, 128)["far-below-image"]
        assert (
            note.severity == "note"
            and "1 averages positions that see 20×20 each of the input's 128×128" in note.message
        )
        assert "16 % of each side" in note.evidence
        assert found(pooled, 3, 224, 224)["far-below-image"][0].severity == "warning"
        assert "far-below-image" not in found(pooled, 3, 64, 64)
        # A fully connected layer weighs each position by itself; a map of scores is no answer for the whole image.
        flat = nn.Sequential(self.chain(2), nn.Flatten(), nn.LazyLinear(2))
        assert "far-below-image" not in found(flat, 3, 128, 128)
        assert "far-below-image" not in found(self.chain(2), 3, 128, 128)

    def test_a_gate_is_no_field(self):
        gate = net(lambda m, x: x * m.weigh(x.mean((2, 3), keepdim=True)).sigmoid(), weigh=nn.Conv2d(4, 4, 1))
        model = nn.Sequential(nn.Conv2d(3, 4, 3), gate, nn.Conv2d(4, 4, 9, 8), nn.Conv2d(4, 4, 9), nn.GroupNorm(1, 4),
                              nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))  # fmt: skip
        assert "far-below-image" not in found(model, 3, 128, 128)  # 75 pixels, behind a gate that stands after 3
        [note] = found(model, 3, 320, 320)["far-below-image"]
        assert "75×75" in note.message and note.layer == "3"

    def test_a_fully_connected_layer_on_the_map_sees_every_object(self):
        assert "small-field" not in found(build("lenet5"), 1, 32, 32, object_size=30)

    @pytest.mark.parametrize(
        ("dilations", "read"),
        [
            ((4,), "3 of the 9"),
            ((2, 2), "5 of the 9"),
            ((1, 4), "9 of the 11"),
            ((1, 2), None),
            ((1, 2, 5), None),
        ],
    )
    def test_holes_that_dilation_leaves(self, dilations: tuple[int, ...], read: str | None):
        model = nn.Sequential(*[nn.Conv2d(1, 1, 3, padding=d, dilation=d) for d in dilations])
        kinds = found(model, 1, 33, 33)
        if read is None:
            assert not [w for w in kinds.get("gridding", []) if w.layer == str(len(dilations) - 1)]
        else:
            assert read in kinds["gridding"][-1].message


def _residual(m: nn.Module, x: torch.Tensor, times: int) -> torch.Tensor:
    x = m.stem(x)  # type: ignore[operator]  # modules made on the fly
    for _ in range(times):
        x = x + m.block(x)  # type: ignore[operator]  # as above
    return x


class TestNetwork:
    def test_a_bias_before_batch_normalisation(self):
        model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU())
        [note] = found(model, 3, 16, 16)["bias-before-norm"]
        assert (
            note.layer == "0"
            and "bias of 0 has no effect: 1 subtracts" in note.message
            and "8 parameters" in note.evidence
        )

    def test_a_shared_bias_that_acts_elsewhere_is_kept(self):
        model = net(lambda m, x: m.bn(m.c(x)) + m.c(x), c=nn.Conv2d(3, 8, 3), bn=nn.BatchNorm2d(8))
        assert "bias-before-norm" not in found(model, 3, 16, 16)

    def test_instance_normalisation_subtracts_a_bias(self):
        for norm in nn.InstanceNorm2d(8), nn.InstanceNorm2d(8, affine=True, track_running_stats=True):
            [note] = found(nn.Sequential(nn.Conv2d(3, 8, 3), norm), 3, 16, 16)["bias-before-norm"]
            assert note.layer == "0" and "1 subtracts" in note.message

    def test_layer_normalisation_keeps_a_bias(self):
        model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.GroupNorm(2, 8))
        assert "bias-before-norm" not in found(model, 3, 16, 16)
        assert "bias-before-norm" in found(nn.Sequential(nn.Conv2d(3, 8, 3), nn.GroupNorm(8, 8)), 3, 16, 16)

    def stack(self, count: int, activation: type[nn.Module], *, norm: bool = False) -> nn.Module:
        parts: list[nn.Module] = []
        for _ in range(count):
            parts += [nn.Conv2d(3, 3, 3, padding=1), *([nn.BatchNorm2d(3)] if norm else []), activation()]
        return nn.Sequential(*parts, nn.Conv2d(3, 3, 1))

    def test_sigmoids_in_a_row(self):
        [warning] = found(self.stack(4, nn.Sigmoid), 3, 16, 16)["saturating"]
        assert "4 saturating activations in a row, from 1 to 7" in warning.message
        assert "0.004 in all" in warning.evidence  # 0.25 ** 4

    @pytest.mark.parametrize(
        "model",
        [
            nn.Sequential(nn.Conv2d(3, 3, 1), nn.Sigmoid()),
            net(
                lambda m, x: x * torch.sigmoid(m.c(x)) * torch.sigmoid(m.c(x)) * torch.sigmoid(m.c(x)),
                c=nn.Conv2d(3, 3, 1),
            ),
            build("lenet5", in_channels=3),
        ],
        ids=["answer", "gates", "lenet5"],
    )
    def test_answers_gates_and_shallow_stacks_may_saturate(self, model: nn.Module):
        assert "saturating" not in found(model, 3, 32, 32)

    def test_normalised_stacks_may_saturate(self):
        assert "saturating" not in found(self.stack(6, nn.Sigmoid, norm=True), 3, 16, 16)

    def test_the_first_fully_connected_layer_of_alexnet(self):
        inspection = inspect(lambda: build("alexnet"), (3, 224, 224))
        [warning] = [w for w in inspection.warnings if w.kind == "heavy-linear"]
        assert warning.layer == "classifier.1" and "62 %" in warning.message and "256×6×6" in warning.message
        assert "37,752,832 of 61,100,840" in warning.evidence and f"{256 * 4096 + 4096:,}" in warning.evidence

    def test_a_branch_that_leads_nowhere(self):
        def forward(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
            m.b(F.relu(m.a(x)))  # type: ignore[operator]  # modules made on the fly
            return m.c(x)  # type: ignore[operator]  # as above

        model = net(forward, a=nn.Conv2d(3, 4, 3), b=nn.Conv2d(4, 4, 1), c=nn.Conv2d(3, 4, 3))
        [warning] = found(model, 3, 8, 8)["dead-branch"]
        assert warning.layer == "b" and warning.severity == "warning"
        assert f"3 layers, {36 * (4 * 27 + 16):,} MACs and {112 + 20} parameters" in warning.evidence

    def test_parameters_that_are_never_read_are_listed_by_module(self):
        model = net(lambda m, x: m.a(x), a=nn.Conv2d(3, 4, 3), aux=nn.Sequential(nn.Linear(5, 5), nn.Linear(5, 5)))
        [warning] = found(model, 3, 8, 8)["unused-parameters"]
        assert warning.layer == "aux" and "60 parameters in 4 tensors" in warning.evidence

    def test_indices_and_running_statistics_are_no_dead_branch(self):
        model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.MaxPool2d(2))
        assert "dead-branch" not in found(model.train(), 3, 16, 16)
