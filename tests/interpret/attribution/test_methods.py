"""What the methods promise beside their numbers: complete sums, exact places, one line for what can't be explained."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import convscope.interpret.attribution.integrated_gradients as integrated_module
import convscope.interpret.attribution.occlusion as occlusion_module
from convscope.capture.capture import capture
from convscope.data.preprocessing import Normalization, Preprocessing
from convscope.errors import ArgumentError, CaptureError, ConvscopeError, GeometryError
from convscope.interpret.attribution.baselines import BASELINES, baseline_of
from convscope.interpret.attribution.integrated_gradients import STEPS, midpoints
from convscope.interpret.attribution.methods import METHODS, attribute
from convscope.interpret.attribution.options import AttributionOptions
from convscope.interpret.attribution.record import Attribution
from convscope.interpret.attribution.windows import Windows
from convscope.interpret.map_geometry import MapGeometry, placed
from convscope.interpret.replay.rectifiers import rectifiers
from convscope.interpret.replay.replays import Replays
from convscope.interpret.subject import Subject
from look_networks import Small


def subject_of(network: nn.Module, *shape: int, seed: int = 0) -> Subject:
    generator = torch.Generator().manual_seed(seed)
    dtype = next(network.parameters()).dtype
    tensor = torch.randn(1, *shape, generator=generator, dtype=torch.float64).to(dtype)
    pixels = np.zeros((*shape[1:], shape[0]), np.uint8) if len(shape) == 3 else None
    return Subject(network=network, name="net", image_name="image", tensor=tensor, pixels=pixels)


def small(seed: int = 0, **settings: object) -> Subject:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return subject_of(Small("in-place", **settings).double(), 3, 12, 12)  # type: ignore[arg-type]


def asked(**options: object) -> AttributionOptions:
    return AttributionOptions(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("method", METHODS)
def test_a_map_is_the_same_each_time_and_has_the_image_s_size(method: str) -> None:
    first, second = attribute(small(), method), attribute(small(), method)
    assert np.array_equal(first.cells, second.cells) and np.array_equal(first.map, second.map)
    assert first.map.shape == (12, 12)
    assert first.signed or (first.cells >= 0).all()
    assert first.headline() in f"{first!r} {first.headline()}" and first.to_dict()["method"] == method
    assert f"{first.title}: class" in first.svg and "cells" in str(first)


def test_a_fine_map_is_put_in_words_by_its_regions_and_few_pixels_do_not_set_its_colours() -> None:
    found = attribute(small(), "gradient")
    assert found.in_words().startswith("cells: ")
    fine = np.zeros((24, 32))
    fine[6:9, 12:16] = 1.0
    fine[0, 0], fine[20, 20] = 3.0, np.nan
    found = replace(found, map=fine, cells=fine)
    assert "largest mean: 1 in rows 6 to 8, columns 12 to 15; 0.25 in rows 0 to 2, columns 0 to 3" in found.in_words()
    assert found.scale.high == 1.0 and "colours end at 1" in found.figure().document()
    assert replace(found, layer="2").scale.high == 3.0


def test_integrated_gradients_sum_to_the_difference_of_the_scores() -> None:
    of = small()
    found = attribute(of, "integrated-gradients", target=2)
    scores = [float(of.replays.class_scores(x)[0, 2]) for x in (of.tensor, baseline_of(of)[0])]
    gap = abs(found.cells.sum() - (scores[0] - scores[1])) / abs(scores[0] - scores[1])
    assert found.measures["completeness gap"] == pytest.approx(gap) and gap <= 0.01
    assert found.values is not None and np.allclose(found.values.sum(0), found.cells)


class Steep(nn.Module):
    """A score that rises in a hundredth of the way."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(400.0, dtype=torch.float64))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        total = images.mean((1, 2, 3))
        return torch.stack([torch.tanh(self.weight * (total - 0.311)), total], 1)


def test_steps_grow_until_the_sum_is_complete_and_what_is_missing_is_said() -> None:
    of = replace(subject_of(Steep(), 1, 4, 4), tensor=torch.ones(1, 1, 4, 4, dtype=torch.float64))
    steep = attribute(of, "integrated-gradients", target=0, options=asked(baseline="black"))
    assert steep.measures["steps"] in STEPS[1:]
    straight = attribute(of, "integrated-gradients", target=1, options=asked(baseline="black"))
    assert straight.measures["steps"] == 32 and straight.cells.sum() == pytest.approx(1)
    few = attribute(of, "integrated-gradients", target=0, options=asked(baseline="black", steps=3))
    assert few.measures["steps"] == 3 and "misses the difference of the scores by" in " ".join(few.notes)


def test_midpoints_of_fewer_steps_are_midpoints_of_an_odd_multiple() -> None:
    for steps in STEPS[1:]:
        both = torch.cat([midpoints(STEPS[0]), midpoints(steps, without=STEPS[0])])
        assert torch.equal(both.sort().values, midpoints(steps)) and len(both) == steps
    with pytest.raises(AssertionError, match="64 steps have other midpoints than 32"):
        midpoints(64, without=32)


def test_gradients_at_common_midpoints_are_computed_once_and_sum_to_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(integrated_module, "COMPLETE", -1.0)  # never complete: all steps are tried
    of, taken = small(), []
    gradients = Replays.class_gradients

    def counted(replays: Replays, target: int, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        taken.append(len(inputs))
        return gradients(replays, target, inputs)

    monkeypatch.setattr(Replays, "class_gradients", counted)
    for number, steps in enumerate(STEPS):
        monkeypatch.setattr(integrated_module, "STEPS", STEPS[: number + 1])
        taken.clear()
        found = attribute(of, "integrated-gradients", target=1)
        assert found.measures["steps"] == steps and sum(taken) == (32, 96, 224)[number]
        direct = attribute(of, "integrated-gradients", target=1, options=asked(steps=steps))
        np.testing.assert_allclose(found.values, direct.values, rtol=0, atol=1e-14 * np.abs(direct.values).max())


def test_gradients_in_another_memory_format_are_the_same_and_in_bf16_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = attribute(small(), "integrated-gradients").cells
    coarse = attribute(small(), "integrated-gradients", options=asked(precision="bf16")).cells
    np.testing.assert_allclose(coarse, plain, atol=0.1 * np.abs(plain).max())
    assert not np.array_equal(coarse, plain)
    monkeypatch.setattr("convscope.interpret.attribution.batches._LARGE_MACS", 0)
    np.testing.assert_allclose(attribute(small(), "integrated-gradients").cells, plain, atol=1e-5 * np.abs(plain).max())


def test_an_image_that_is_its_own_baseline_has_no_gap() -> None:
    of = replace(small(), tensor=torch.zeros(1, 3, 12, 12, dtype=torch.float64))
    found = attribute(of, "integrated-gradients", target=0)
    assert found.measures["completeness gap"] is None and (found.cells == 0).all()
    assert "no positive evidence for class 0 at the input" in found.notes


def test_a_map_without_evidence_is_zero_and_says_so() -> None:
    of = small()
    with torch.no_grad():
        of.network.fc.weight.fill_(-1.0)  # type: ignore[union-attr, operator]
    found = attribute(of, "grad-cam", target=0)
    assert (found.cells == 0).all() and np.isfinite(found.map).all()
    assert found.notes == ("no positive evidence for class 0 at relu2",)
    assert "no positive evidence" in found.headline() and "all 0" in found.svg


class InWindows(nn.Module):
    """A convolution, windows of 4 by 4 positions added onto a list of tokens, and a convolution of that."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.each, self.last = nn.Conv2d(3, 8, 3, padding=1), nn.Linear(8, 8), nn.Conv2d(8, 8, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = self.first(x).flatten(2).transpose(1, 2)
        windows = tokens.reshape(1, 2, 4, 2, 4, 8).permute(0, 1, 3, 2, 4, 5).reshape(4, 16, 8)
        back = self.each(windows).reshape(1, 2, 2, 4, 4, 8).permute(0, 1, 3, 2, 4, 5).reshape(1, 64, 8)
        return self.last((tokens + back).transpose(1, 2).reshape(1, 8, 8, 8)).mean((2, 3))


def test_the_last_map_is_found_behind_windows_of_tokens() -> None:
    graph = capture(InWindows(), torch.zeros(1, 3, 8, 8))
    geometry = MapGeometry(graph)
    value = geometry.last_map(graph.outputs[0])
    assert value is not None and graph.nodes[graph.values[value].producer].module == "last"
    layout = geometry.layout(value)
    assert layout is not None and layout.exact and [list(along) for along in layout.centres] == [list(range(8))] * 2


@pytest.mark.parametrize(
    ("layers", "first", "stride", "cells"),
    [
        ([nn.Conv2d(1, 1, 3, 2, 1), nn.Conv2d(1, 1, 3, 2, 1)], 0, 4, 8),  # centres at 0, 4, 8, not at 1.5, 5.5
        ([nn.Conv2d(1, 1, 2, 2), nn.Conv2d(1, 1, 2, 2)], 1.5, 4, 8),
        ([nn.Conv2d(1, 1, 5), nn.MaxPool2d(2, 2)], 2.5, 2, 14),
        ([nn.Conv2d(1, 1, 3, padding=1), nn.ConvTranspose2d(1, 1, 2, 2)], 0, 0.5, 64),
    ],
)
def test_cells_are_at_the_centres_of_their_fields(
    layers: list[nn.Module], first: float, stride: float, cells: int
) -> None:
    graph = capture(nn.Sequential(*layers, nn.Flatten()), torch.zeros(1, 1, 32, 32))
    geometry = MapGeometry(graph)
    value = geometry.last_map(graph.outputs[0])
    assert value is not None
    layout = geometry.layout(value)
    assert layout is not None and layout.cells == (cells, cells)
    if stride >= 1:
        assert layout.exact and layout.centres[0].tolist() == [first + stride * at for at in range(cells)]
    else:  # every second cell reads the same pixel: their centres do not ascend, so they are spread evenly
        assert not layout.exact and np.allclose(np.diff(layout.centres[0]), stride)


def test_a_map_goes_through_the_cells_values_at_their_centres() -> None:
    generator = np.random.default_rng(0)
    cells, centres = generator.normal(size=(4, 3)), [np.array([0.0, 4, 8, 12]), np.array([2.0, 7, 12])]
    found = placed(cells, centres, (16, 14))
    assert np.allclose(found[np.ix_([0, 4, 8, 12], [2, 7, 12])], cells)
    assert np.allclose(found[6, 2], (cells[1, 0] + cells[2, 0]) / 2)
    assert np.allclose(found[:, :2], found[:, 2:3]) and np.allclose(found[13:], found[12])


def test_a_layer_is_any_operation_by_name() -> None:
    found = attribute(small(), "grad-cam", options=asked(layer="conv1"))
    assert found.layer == "conv1" and found.cells.shape == (12, 12)
    assert attribute(small(), "hires-cam", options=asked(layer="relu1")).layer == "relu1"


@pytest.mark.parametrize("size", [(224, 224), (28, 28), (30, 44), (16_000,)])
def test_windows_are_a_seventh_of_an_image_s_shorter_side(size: tuple[int, ...]) -> None:
    assert Windows.over(size).side == round(min(size) / 7)


@pytest.mark.parametrize("size", [(32, 1000), (1, 5000), (16, 112, 112), (64, 64, 64), (3, 60, 60, 60)])
def test_long_lines_clips_and_volumes_have_no_more_windows_than_an_image(size: tuple[int, ...]) -> None:
    windows = Windows.over(size)
    assert len(windows.boxes) <= 1000
    covered = np.zeros(size, bool)
    for box in windows.boxes[: windows.first]:
        covered[box] = True
    assert covered.all()
    assert Windows.over((16, 20, 20), side=2, stride=1).side == 2  # what is asked for is kept


class BySpectrum(nn.Module):
    """A convolution of what a Fourier transform and its inverse hand on."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.fc = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(4, 5)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.fc(torch.fft.fft2(self.first(images).relu()).abs().mean((2, 3)))


def test_the_last_map_is_one_of_real_numbers() -> None:
    found = attribute(subject_of(BySpectrum(), 3, 8, 9), "grad-cam")
    assert found.layer == "relu" and found.cells.shape == (8, 9)


def test_windows_cover_the_image_first_and_refine_after() -> None:
    windows = Windows.over((20, 13), side=5, stride=2)
    for count in (windows.first, len(windows.boxes)):
        covered = np.zeros((20, 13), int)
        for box in windows.boxes[:count]:
            covered[box] += 1
        assert (covered > 0).all()
    assert len(set(map(str, windows.boxes))) == len(windows.boxes) == np.prod(windows.counts)


def test_an_interrupt_ends_occlusion_with_the_map_that_there_is() -> None:
    def interrupt(done: int, total: int, what: str) -> None:
        if done >= 40:
            raise KeyboardInterrupt

    options = asked(window=3, stride=1, progress=interrupt)
    found = attribute(small(), "occlusion", options=options)
    assert any("interrupted after" in note for note in found.notes) and np.isfinite(found.map).all()

    def at_once(done: int, total: int, what: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        attribute(small(), "occlusion", options=asked(window=2, stride=1, progress=at_once))


def test_occlusion_in_bf16_is_within_its_tolerance_or_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(288, 2))
    for parameter in network.parameters():
        nn.init.constant_(parameter, 0.1)
    of = replace(subject_of(network, 1, 12, 12), tensor=torch.ones(1, 1, 12, 12))
    options = asked(baseline="black", window=6, stride=3)
    exact = attribute(of, "occlusion", options=replace(options, precision="fp32"))
    allowed = occlusion_module.TOLERANCE * np.abs(exact.map).max()
    # Three windows are computed in both, and the other six in bf16.
    monkeypatch.setattr(occlusion_module, "is_faster_in_bf16", lambda graph, tensor: True)
    monkeypatch.setattr(occlusion_module, "forward_batch", lambda graph, wanted: 4)
    for precision in (None, "bf16"):
        found = attribute(of, "occlusion", options=replace(options, precision=precision))
        assert found.measures["precision"] == "bf16" and 0 < np.abs(found.map - exact.map).max() <= allowed
    monkeypatch.setattr(occlusion_module, "TOLERANCE", 0.0)
    refused = attribute(of, "occlusion", options=options)
    assert refused.measures["precision"] == "fp32"
    np.testing.assert_allclose(refused.map, exact.map, atol=1e-5)


def test_baselines_are_what_their_names_say() -> None:
    known = Preprocessing.default((3, 12, 12), Normalization((0.5, 0.4, 0.3), (0.2, 0.2, 0.1)))
    of = replace(small(), preprocessing=known)
    black, white = (baseline_of(of, name)[0][0, :, 5, 5].tolist() for name in ("black", "white"))
    assert black == pytest.approx([-2.5, -2, -3]) and white == pytest.approx([2.5, 3, 7])
    assert torch.allclose(baseline_of(of, "mean")[0][0, :, 0, 0], of.tensor.mean((2, 3))[0])
    blurred = baseline_of(of, "blurred")[0]
    assert blurred.std() < 0.3 * of.tensor.std() and not torch.allclose(blurred[..., 0, 0], blurred[..., 6, 6])
    assert (
        "no preprocessing is known: black is the input 0"
        in attribute(small(), "occlusion", options=asked(baseline="black", window=6)).notes
    )
    assert all(baseline_of(of, name)[0].dtype == of.tensor.dtype for name in BASELINES)


@pytest.mark.parametrize("method", ["gradient", "integrated-gradients", "occlusion", "guided-backprop", "grad-cam"])
@pytest.mark.parametrize("shape", [(2, 20), (1, 6, 8, 8)])
def test_signals_and_volumes_are_explained_too(method: str, shape: tuple[int, ...]) -> None:
    conv = nn.Conv1d if len(shape) == 2 else nn.Conv3d
    network = nn.Sequential(conv(shape[0], 3, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.LazyLinear(4))
    network(torch.zeros(1, *shape))
    found = attribute(subject_of(network, *shape), method, options=asked(window=4) if method == "occlusion" else None)
    assert found.map.shape == shape[1:] and "<svg" in found.svg


def test_a_row_of_numbers_has_a_number_each() -> None:
    found = attribute(subject_of(nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3)), 6), "integrated-gradients")
    assert found.cells.shape == (6,) and found.cells.any() and found.measures["completeness gap"] <= 0.01  # type: ignore[operator]
    assert found.notes[0] == "the input has no positions to blur: the baseline is the mean of its numbers"
    with pytest.raises(ArgumentError, match="takes no image"):
        attribute(subject_of(nn.Linear(6, 3), 6), "occlusion")


@pytest.mark.parametrize(
    ("method", "settings", "error", "message"),
    [
        ("grad-cam", {"layer": "relu3"}, CaptureError, "has no layer 'relu3'. Did you mean relu"),
        (
            "grad-cam",
            {"layer": "fc"},
            GeometryError,
            "fc has no spatial map: its output is 5: take one before it",
        ),
        ("grad-kam", {}, ArgumentError, "no method of attribution 'grad-kam'. Did you mean grad-cam"),
        ("gradient", {"steps": 3}, ArgumentError, "gradient has no option steps: it takes no options"),
        ("occlusion", {"steps": 3}, ArgumentError, "occlusion has no option steps: it takes baseline and"),
        ("occlusion", {"baseline": "blured"}, ArgumentError, "no baseline 'blured'. Did you mean blurred"),
        ("occlusion", {"window": 13}, ArgumentError, "window is 13: give 1 to 12"),
        ("occlusion", {"window": 4, "stride": 5}, ArgumentError, "stride is 5: give 1 to 4"),
        ("occlusion", {"precision": "fp16"}, ArgumentError, "no precision 'fp16': give auto, fp32, bf16"),
        ("integrated-gradients", {"precision": "auto"}, ArgumentError, "no precision 'auto': give fp32, bf16"),
        ("integrated-gradients", {"steps": 0}, ArgumentError, "steps is 0: give 1 to 4096"),
        ("captum:LayerGradCam", {}, ArgumentError, "captum:LayerGradCam explains a layer: use grad-cam"),
        ("captum:DeepLit", {}, ArgumentError, "no method captum:DeepLit at the input. Did you mean DeepLift"),
    ],
)
def test_what_is_asked_wrongly_gets_one_line(
    method: str, settings: dict[str, object], error: type[ConvscopeError], message: str
) -> None:
    with pytest.raises(error, match=message.replace("(", r"\(")) as found:
        attribute(small(), method, options=asked(**settings))
    assert "\n" not in str(found.value)


def test_a_class_out_of_range_gets_one_line() -> None:
    with pytest.raises(GeometryError, match="has no class 5: it has 5, 0 to 4"):
        attribute(small(), target=5)


@pytest.mark.parametrize("place", ["conv2.weight", "norm.running_var"])
def test_a_number_that_is_none_is_found_where_it_is(place: str) -> None:
    of = small()
    dict([*of.network.named_parameters(), *of.network.named_buffers()])[place].data.view(-1)[0] = float("nan")
    with pytest.raises(
        CaptureError, match=f"net gives NaN: its {place} holds NaN, first read by {place.split('.')[0]}"
    ):
        attribute(of, "gradient")


class Root(nn.Module):
    """A square root of negative numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.sqrt(-self.conv(images).abs() - 1).mean((2, 3))


def test_an_operation_that_makes_no_number_is_named() -> None:
    with pytest.raises(CaptureError, match="net gives NaN: sqrt is the first that makes NaN"):
        attribute(subject_of(Root(), 1, 6, 6), "gradient")


def test_a_network_that_ends_in_a_softmax_is_said() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(9, 4), nn.Softmax(1))
    notes = attribute(subject_of(network, 1, 3, 3), "gradient").notes
    assert any("ends in softmax" in note for note in notes)


def test_a_record_keeps_what_was_asked() -> None:
    of = replace(small(), classes=("cat", "dog", "owl", "cow", "hen"))
    found = attribute(of, "occlusion", target="owl", options=asked(window=6, baseline="mean"))
    assert isinstance(found, Attribution)
    assert (found.target, found.class_name, found.baseline) == (2, "owl", "mean")
    assert found.measures["window"] == 6 and found.to_dict()["class_name"] == "owl"
    assert found.pixels is of.pixels


def test_a_rectifier_whose_limit_was_overwritten_is_none() -> None:
    x, limit = torch.ones(3, requires_grad=True), torch.zeros(3)
    score = torch.maximum(x, limit).sum()
    limit.add_(1)
    assert not list(rectifiers(score))


class Clamped(nn.Module):
    """A network whose rectifiers are clamps, and which divides by a norm."""

    def __init__(self, rectify: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second, self.head = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 6, 3), nn.Linear(6, 4)
        self.rectify = rectify

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.rectify(self.second(self.rectify(self.first(x)))).mean((2, 3))
        y: torch.Tensor = self.head(nn.functional.normalize(x))
        return y


@pytest.mark.parametrize(
    "rectify",
    [
        lambda x: x.clamp(min=0),
        lambda x: torch.clamp(x, 0, 1e6),
        lambda x: x.clamp_min(0),
        lambda x: x.clamp(min=torch.zeros(1, dtype=x.dtype)),
        lambda x: torch.maximum(x, torch.zeros_like(x)),
        lambda x: torch.maximum(torch.zeros((), dtype=x.dtype), x),
        lambda x: torch.fmax(x, torch.zeros((), dtype=x.dtype)),
        lambda x: functional.threshold(x, 0.0, 0.0),
        lambda x: functional.hardtanh(x, 0.0, 1e6),
        lambda x: functional.prelu(x, torch.zeros(1, dtype=x.dtype)),
        lambda x: functional.leaky_relu(x, 0.0),
        lambda x: functional.rrelu(x, 0.0, 0.0),
        lambda x: torch.where(x > 0, x, 0),
        lambda x: torch.where(x >= 0, x, torch.zeros_like(x)),
        lambda x: torch.where(x < 0, torch.tensor(0.0, dtype=x.dtype), x),
        lambda x: x * (x > 0),
        lambda x: (x > 0).to(x.dtype) * x,
        lambda x: x.masked_fill(x < 0, 0),
    ],
)
def test_what_rectifies_at_zero_is_a_rectifier_and_the_limit_of_a_norm_is_none(
    rectify: Callable[[torch.Tensor], torch.Tensor],
) -> None:
    twin = attribute(subject_of(Clamped(torch.relu).double(), 3, 9, 9), "guided-backprop", target=1)
    found = attribute(subject_of(Clamped(rectify).double(), 3, 9, 9), "guided-backprop", target=1)
    assert found.measures["rectifiers"] == twin.measures["rectifiers"] == 2
    np.testing.assert_array_equal(found.values, twin.values)


@pytest.mark.parametrize(
    "rectify",
    [
        functional.hardtanh,
        lambda x: functional.threshold(x, -1.0, -1.0),
        lambda x: x.clamp(-1, 1),
        lambda x: torch.where(x > -1, x, 0),
        lambda x: torch.where(x > 0, x, 0.5 * x),
        lambda x: torch.where(x < 0, x, 0),
    ],
)
def test_what_lets_negative_numbers_through_up_to_a_limit_is_no_rectifier(
    rectify: Callable[[torch.Tensor], torch.Tensor],
) -> None:
    of = subject_of(Clamped(rectify).double(), 3, 9, 9)
    found = attribute(of, "guided-backprop", target=1)
    assert found.measures["rectifiers"] == 0
    assert "the network has no rectifier: this is the plain gradient" in found.notes
    np.testing.assert_array_equal(found.cells, attribute(of, "gradient", target=1).cells)


class OneMap(nn.Module):
    """A map without channels on the way to the scores, and a second output beside them."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 1, 3, padding=1)
        self.beside, self.head = nn.Conv2d(4, 2, 3, padding=1), nn.Linear(36, 3)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.first(x).relu()
        return self.head(self.second(x).squeeze(1).sigmoid().flatten(1)), self.beside(x)


def test_a_map_without_channels_is_weighted_too() -> None:
    of = subject_of(OneMap().double(), 3, 6, 6)
    run = of.replay
    (gradient,) = run.gradients(run.score(1).sum(), run.find("sigmoid"))
    product = (gradient * run.value("sigmoid"))[0].numpy()
    found = attribute(of, "hires-cam", target=1, options=asked(layer="sigmoid"))
    np.testing.assert_allclose(found.cells, product, rtol=1e-12)
    pooled = attribute(of, "grad-cam", target=1, options=asked(layer="sigmoid")).cells
    weighted = float(gradient.mean()) * run.value("sigmoid")[0].numpy()
    np.testing.assert_allclose(pooled, weighted.clip(min=0), rtol=1e-12)


class Unbatched(OneMap):
    """The same without an axis of images before its map, and with all of its channels."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        maps = self.first(x).squeeze(0).tanh()
        return self.head((maps * torch.arange(1, 5, dtype=x.dtype)[:, None, None]).sum(0).flatten())[None]


def test_all_channels_of_a_map_without_an_axis_of_images_are_weighted() -> None:
    of = subject_of(Unbatched().double(), 3, 6, 6)
    run = of.replay
    (gradient,) = run.gradients(run.score(1).sum(), run.find("tanh"))
    maps = run.value("tanh")
    assert maps.shape == (4, 6, 6)
    found = [attribute(of, name, target=1, options=asked(layer="tanh")).cells for name in ("grad-cam", "hires-cam")]
    pooled = (gradient.mean((1, 2), keepdim=True) * maps).sum(0).clamp(min=0)
    np.testing.assert_allclose(found[0], pooled.numpy(), rtol=1e-10)
    np.testing.assert_allclose(found[1], (gradient * maps).sum(0).numpy(), rtol=1e-10)


@pytest.mark.parametrize("method", ["grad-cam", "hires-cam"])
def test_a_layer_that_the_scores_do_not_depend_on_has_no_map_of_them(method: str) -> None:
    with pytest.raises(CaptureError, match="the scores of net do not depend on beside: take one before them, such as"):
        attribute(subject_of(OneMap(), 3, 6, 6), method, options=asked(layer="beside"))


def test_a_map_that_is_no_map_of_real_numbers_is_refused() -> None:
    of = subject_of(Clamped(lambda x: x * (x > 0)), 3, 9, 9)
    with pytest.raises(GeometryError, match="gt outputs bool: take a layer of real numbers"):
        attribute(of, "grad-cam", options=asked(layer="gt"))


class Length(nn.Conv2d):
    """The length of a map that is 0, at which it has no gradient."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return (0 * super().forward(images)).square().sum((2, 3)).sqrt()


def test_a_gradient_that_is_no_number_is_said_and_not_called_a_lack_of_evidence() -> None:
    found = attribute(subject_of(Length(1, 2, 3), 1, 5, 5), "gradient-times-input")
    assert found.notes == ("25 of 25 cells at the input are NaN or infinite",)
    assert found.headline().endswith(": NaN or infinite")
