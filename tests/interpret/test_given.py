"""What a network is given: which axes are understood, what is added, and what is refused with both sides named."""

from __future__ import annotations

import json
import struct
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from torch import nn

import convscope
from convscope.cli.explain import command
from convscope.data.pixels.decode import decode_image
from convscope.data.preprocessing import Normalization, Preprocessing
from convscope.data.records import Decoding
from convscope.errors import CaptureError, DataError, GeometryError
from convscope.interpret.explanation.explain import lens
from convscope.interpret.explanation.given import GivenNetwork, network_input
from convscope.interpret.explanation.layout import understood

CONV = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
NORM = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("normalised", [False, True])
def test_a_tensor_with_and_without_its_batch_axis(rank: int, normalised: bool) -> None:
    layers = [CONV[rank](2, 3, 3), *([NORM[rank](3)] if normalised else [])]
    network = nn.Sequential(*layers).eval()
    sample = torch.randn(2, *(7, 6, 5)[:rank])
    at = (1,) * rank
    found = [convscope.explain(network, x, layer="0", channel=2, at=at) for x in (sample, sample[None])]
    with torch.inference_mode():
        expected = network[0](sample[None])[(0, 2, *at)]
    for one in found:
        assert one.torch_value == float(expected) and one.value == pytest.approx(one.torch_value, abs=1e-5)
        assert one.shape == (1, 3, *(size - 2 for size in sample.shape[1:]))
        assert one.box is not None and one.box.sizes == (3,) * rank
    several = convscope.explain(network, torch.stack([sample, sample + 1]), layer="0", channel=2, at=at)
    assert several.torch_value == float(expected)
    assert several.lens.notes == ("the first of 2 samples is explained",)


def test_the_first_layer_decides_between_networks_of_two_ranks() -> None:
    class Attention(nn.Module):
        """A convolution over the channels, as in efficient channel attention, in a network of images."""

        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)
            self.over_channels = nn.Conv1d(1, 1, 3, padding=1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.conv(x)
            weights = self.over_channels(x.mean((2, 3))[:, None])
            scaled: torch.Tensor = x * weights[:, 0, :, None, None].sigmoid()
            return scaled

    found = convscope.explain(Attention(), torch.randn(3, 6, 6), layer="over_channels", at=(3,))
    assert found.shape == (1, 1, 4) and found.value == pytest.approx(found.torch_value, abs=1e-6)


@pytest.mark.parametrize(
    ("shape", "wanted", "words"),
    [
        ((500,), (1, 500), "L"),
        ((1, 500), (1, 500), "C×L"),
        ((1, 2, 500), (2, 500), "N×C×L"),
        ((32, 30), (1, 32, 30), "H×W"),
        ((3, 32, 30), (3, 32, 30), "C×H×W"),
        ((32, 30, 3), (3, 32, 30), "H×W×C"),
        ((3, 4, 3), (3, 4, 3), "C×H×W"),
        ((1, 3, 32, 30), (3, 32, 30), "N×C×H×W"),
        ((8, 6, 7), (1, 8, 6, 7), "D×H×W"),
        ((3, 8, 6, 7), (3, 8, 6, 7), "C×D×H×W"),
        ((1, 3, 8, 6, 7), (3, 8, 6, 7), "N×C×D×H×W"),
    ],
)
def test_the_axes_that_are_understood(shape: tuple[int, ...], wanted: tuple[int, ...], words: str) -> None:
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    found = understood(array, wanted, name="x.npy", network="net")
    assert (found.words, found.sample.shape) == (words, wanted)
    channels_last = np.moveaxis(array, -1, 0) if words.endswith("W×C") else array
    assert np.array_equal(found.sample.reshape(-1), channels_last.reshape(-1))


@pytest.mark.parametrize(
    ("shape", "wanted", "words"),
    [
        ((3, 3, 3), (3, 3, 3), "which can be C×H×W or H×W×C: save it as 1×C×H×W, channels first"),
        ((3, 5, 3), (3, 9, 9), "which can be C×H×W or H×W×C"),
        (
            (1, 100),
            (1, 500),
            "has the shape 1×100, and net takes 1×500: cut or pad it to that, or give input_shape=(1, 100)",
        ),
        ((2, 500), (1, 500), "has the shape 2×500, and net takes 1×500, with or without a batch axis of 1"),
        ((500, 1), (1, 500), "its channels come first: transpose it"),
        ((4, 1, 500), (1, 500), "save one sample, without others beside it"),
        ((1, 32, 30, 3), (3, 32, 30), "its channels come first: transpose it|with or without a batch axis"),
        ((32, 30), (3, 32, 30), "net takes 3×32×30, with or without a batch axis of 1"),
    ],
)
def test_axes_that_are_not_understood(shape: tuple[int, ...], wanted: tuple[int, ...], words: str) -> None:
    with pytest.raises(DataError) as caught:
        understood(np.zeros(shape), wanted, name="x.npy", network="net")
    assert any(one in str(caught.value) for one in words.split("|"))


def test_pixels_are_resized_and_normalised_and_numbers_are_not(tmp_path: Path) -> None:
    network = GivenNetwork("net", nn.Conv2d(3, 1, 1), (3, 8, 8))
    pixels = np.full((10, 20, 3), 255, np.uint8)
    np.save(tmp_path / "pixels.npy", pixels)
    found = network_input(tmp_path / "pixels.npy", network)
    assert found.tensor.shape == (1, 3, 8, 8) and found.pixels is not None
    assert float(found.tensor[0, 0, 0, 0]) == pytest.approx((1 - 0.485) / 0.229, abs=1e-5)
    assert found.notes == ("pixels.npy: uint8 of 10×20×3, read as pixels H×W×C, resized and normalised",)
    grey = network_input(np.full((9, 9), 255, np.uint8), network)
    assert torch.equal(grey.tensor, found.tensor)
    np.save(tmp_path / "numbers.npy", np.full((3, 8, 8), 255, np.int16))
    numbers = network_input(str(tmp_path / "numbers.npy"), network)
    assert (numbers.tensor == 255).all()
    assert numbers.notes == ("numbers.npy: int16 of 3×8×8, read as C×H×W; its numbers are used as they are",)


def test_pixels_with_alpha_are_those_of_the_image() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (12, 10, 4), np.uint8)
    known = GivenNetwork("net", nn.Conv2d(3, 2, 3), (3, 8, 8))
    found, image = network_input(pixels, known), network_input(Image.fromarray(pixels), known)
    assert torch.equal(found.tensor, image.tensor) and "with alpha" in found.notes[0]


def test_a_tensor_of_other_axes_is_named() -> None:
    with pytest.raises(DataError, match=r"a tensor of 2×3×4×5×6 is no input of Conv1d: give \(C, L\) or \(N, C, L\)"):
        convscope.explain(nn.Conv1d(2, 2, 3), torch.zeros(2, 3, 4, 5, 6), layer="convolution", at=(0,))
    with pytest.raises(DataError, match=r"give \(C, D, H, W\) or \(N, C, D, H, W\)"):
        convscope.explain(nn.Conv3d(2, 2, 3), torch.zeros(5, 6), layer="convolution", at=(0, 0, 0))


def test_a_single_sample_of_other_axes_is_the_networks_own() -> None:
    generator = nn.Sequential(nn.Linear(4, 36), nn.Unflatten(1, (1, 6, 6)), nn.Conv2d(1, 2, 3))
    noise = torch.rand(1, 4)
    found = convscope.explain(generator, noise, layer="2", channel=1, at=(2, 3))
    assert found.value == pytest.approx(generator(noise)[0, 1, 2, 3].item(), abs=1e-6)
    with pytest.raises(DataError, match=r"or say what it takes: input_shape=\(4,\)"):
        convscope.explain(generator, torch.rand(4), layer="2", at=(0, 0))


@pytest.mark.parametrize("wanted", [None, (1, 8, 8)])
@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((), "is a single number, without axes, and net takes"),
        ((0, 8), "is of 0×8 and holds no numbers, and net takes"),
    ],
)
def test_what_has_no_axes_or_no_numbers(shape: tuple[int, ...], words: str, wanted: tuple[int, ...] | None) -> None:
    network = GivenNetwork("net", nn.Flatten(), wanted)
    for given in (np.ones(shape), np.ones(shape, np.uint8), torch.ones(shape)):
        with pytest.raises(DataError, match=words):
            network_input(given, network)


def test_a_file_of_a_single_number_is_named(tmp_path: Path) -> None:
    np.save(tmp_path / "0d.npy", np.array(1.0))
    with pytest.raises(DataError, match=r"0d\.npy is a single number, without axes, and net takes 1×8×8"):
        network_input(tmp_path / "0d.npy", GivenNetwork("net", nn.Conv2d(1, 1, 3), (1, 8, 8)))


def test_numbers_beyond_the_type_of_the_network_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "big.npy", np.full((2, 4, 9, 9), -1e300))
    with pytest.raises(DataError, match=r"big\.npy: its largest number, 1e\+300, is beyond float32, which Conv3d"):
        lens(nn.Conv3d(2, 1, 3), tmp_path / "big.npy")
    with pytest.raises(DataError, match=r"the input: its largest number, 1e\+05, is beyond float16, which Conv1d"):
        lens(nn.Conv1d(2, 1, 3).half(), np.full((2, 9), 1e5, np.float32))


NETWORK = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv{rank}d(2, 2, 3, padding=1)
        self.pool = nn.MaxPool{rank}d(2)
        self.mean = nn.AvgPool{rank}d(2)
        self.next = nn.Conv{rank}d(2, 2, 2)
        self.full = nn.Linear(2, 3)
        for one in self.parameters():
            nn.init.constant_(one, 1.0)

    def forward(self, x):
        x = self.pool(self.conv({made}))
        x = self.next(x)
        x = self.full(self.mean(x).flatten(2).mean(2))
        return x.softmax(1)
"""
LAYERS = ("conv", "pool", "next", "mean", "full")


@pytest.mark.parametrize(
    ("rank", "made"), [(1, "torch.log(x)"), (2, "torch.log(-x)"), (2, "x * 3e39"), (3, "x * 3e38")]
)
def test_a_network_that_makes_infinities_is_explained(rank: int, made: str, tmp_path: Path) -> None:
    model, given, page = tmp_path / f"net{rank}.py", tmp_path / "x.npy", tmp_path / "page.html"
    model.write_text(NETWORK.format(rank=rank, made=made))
    numbers = np.arange(2 * 8**rank, dtype=np.float32).reshape(2, *(8,) * rank) % 3
    np.save(given, numbers)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        seen = lens(f"{model}:Net", given)
        for layer in LAYERS:
            found = seen.cell(layer, at={"full": (), "mean": (0,) * rank}.get(layer, (1,) * rank))
            assert any(word in str(found) for word in ("inf", "nan")), found
            assert found._repr_html_() and json.dumps(found.to_dict())
        base = [f"{model}:Net", str(given), "--layer", "pool", "--at", ",".join("0" * rank), "--pixels"]
        text = CliRunner().invoke(command, [*base, "--html", str(page)], catch_exceptions=False)
        as_json = CliRunner().invoke(command, [*base, "--json"], catch_exceptions=False)
    assert text.exit_code == as_json.exit_code == 0 and page.stat().st_size
    value = json.loads(as_json.stdout, parse_constant=pytest.fail)["cells"][0]["torch"]
    assert value in ("inf", "-inf", "nan") and value.removeprefix("-") in text.stdout


def test_an_image_array_is_prepared_for_a_run_as_its_file_is(tmp_path: Path) -> None:
    from PIL import Image

    decoding = Decoding(size=(8, 6), channels=3, resize_mode="letterbox", background=(9, 99, 200))
    normalization = Normalization((0.1, 0.2, 0.3), (0.5, 0.6, 0.7))
    preprocessing = Preprocessing(decoding=decoding, normalization=normalization)
    network = GivenNetwork("run", nn.Conv2d(3, 1, 1), preprocessing.input_shape, preprocessing)
    pixels = np.arange(20 * 11 * 3, dtype=np.uint8).reshape(20, 11, 3)
    Image.fromarray(pixels).save(tmp_path / "x.png")
    of_array, of_file = network_input(pixels, network), network_input(tmp_path / "x.png", network)
    assert torch.equal(of_array.tensor, of_file.tensor) and of_array.pixels is not None
    assert np.array_equal(of_array.pixels, decode_image(tmp_path / "x.png", decoding))


def test_a_streamed_sound_says_so(tmp_path: Path) -> None:
    start = struct.pack("<4sI4s4sIHHIIHH", b"RIFF", 2**32 - 1, b"WAVE", b"fmt ", 16, 1, 1, 8000, 16000, 2, 16)
    (tmp_path / "x.wav").write_bytes(start + struct.pack("<4sI4h", b"data", 2**32 - 1, 1, 2, 3, 4))
    found = network_input(tmp_path / "x.wav", GivenNetwork("net", nn.Conv1d(1, 1, 3), (1, 4)))
    assert "its header has no length; read to the end" in found.notes[0]


def test_one_channel_is_not_several() -> None:
    with pytest.raises(GeometryError, match="has 1 channel, 0: channel 5 is outside"):
        convscope.explain(nn.Conv1d(1, 1, 3), torch.ones(1, 8), layer="convolution", channel=5, at=(0,))


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_a_number_that_is_not_finite_is_drawn(rank: int, number: float) -> None:
    network = CONV[rank](1, 1, 3)
    nn.init.constant_(network.weight, number)
    found = convscope.explain(network, torch.ones(1, *(4,) * rank), layer="convolution", at=(0,) * rank)
    assert "<svg" in found._repr_html_() and str(number) in str(found)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (torch.ones(1, 4, 4, dtype=torch.complex64), "the tensor holds complex64"),
        (np.ones((1, 4, 4), np.complex64), "the array holds complex64"),
        (torch.ones(1, 4, 4, dtype=torch.bool), "the tensor holds bool"),
        (torch.full((1, 4, 4), torch.inf), r"the tensor: 16 of its numbers are not finite, the first at \(0, 0, 0\)"),
        (torch.full((1, 4, 4), torch.nan, dtype=torch.bfloat16), "not finite"),
        (np.full((1, 4, 4), np.nan), "the array: 16 of its numbers are not finite"),
        (torch.ones(1, 4, 4, device="meta"), "its numbers can't be read"),
    ],
    ids=range(7),
)
def test_what_holds_no_finite_real_numbers_is_refused(given: Any, said: str) -> None:
    for verb in (partial(convscope.explain, layer="convolution", at=(0, 0)), convscope.audit):
        with pytest.raises(DataError, match=said):
            verb(CONV[2](1, 1, 3), given)


def test_weights_without_numbers_are_refused() -> None:
    network = nn.Sequential(CONV[2](1, 1, 3), nn.Conv2d(1, 1, 1, device="meta"))
    for verb in (partial(convscope.explain, layer="0", at=(0, 0)), convscope.audit):
        with pytest.raises(CaptureError, match=r"1\.weight is on the meta device"):
            verb(network, torch.ones(1, 4, 4))


def test_an_index_beyond_its_axis_is_one_line() -> None:
    class Second(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x * 2)[torch.tensor([1])]

    with pytest.raises(CaptureError, match="index does not run on this input: index 1 is out of bounds"):
        convscope.explain(Second(), torch.rand(1, 4), layer="index", channel=1)


@pytest.mark.parametrize("channels", [2, 4, 5])
def test_pixels_of_channels_that_are_no_colours_are_no_picture(channels: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 12, channels), np.uint8)
    network = nn.Sequential(nn.Conv2d(channels, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(280, 3))
    for shape in (None, (channels, 9, 12)):
        look = convscope.look(network, pixels, input_shape=shape, methods=["gradient"], checks=False)
        assert look.picture is None and look.to_html()
        assert look.attributions[0].map.shape == (9, 12)


def test_pixels_with_their_channels_first_are_those_with_their_channels_last() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 12, 3), np.uint8)
    network = GivenNetwork("net", nn.Conv2d(3, 4, 3))
    last = network_input(pixels, network)
    for given in (pixels.transpose(2, 0, 1), torch.from_numpy(pixels).permute(2, 0, 1)):
        first = network_input(given, network)
        assert torch.equal(first.tensor, last.tensor) and first.pixels is not None
        assert first.notes[0].endswith("uint8 of 3×9×12, read as pixels C×H×W")
