"""Weights from a file: what fits, what does not and is listed, and what is refused."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from convscope.errors import CaptureError
from convscope.nets.build import build
from convscope.nets.weights.fit import fit_weights
from convscope.nets.weights.match import fits
from convscope.nets.weights.read import read_weights
from hostile_weights import load_weights_file
from torchvision_oracle import timm_or_skip, torchvision_or_skip


@pytest.fixture
def ten_classes():
    torch.manual_seed(1)
    return build("resnet18", num_classes=10)


def equal(network, weights) -> bool:
    return all(torch.equal(tensor, weights[name]) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize("wrap", ["plain", "state_dict", "module."])
def test_a_pth_file_loads_by_name_however_it_was_wrapped(tmp_path, ten_classes, wrap):
    weights = ten_classes.state_dict()
    saved = {"plain": weights, "state_dict": {"epoch": 3, "state_dict": weights}}.get(
        wrap, {f"module.{name}": tensor for name, tensor in weights.items()}
    )
    torch.save(saved, tmp_path / "weights.pth")
    network = build("resnet18", num_classes=10)
    fit = load_weights_file(network, tmp_path / "weights.pth")
    assert equal(network, weights)
    assert len(fit.taken) == len(weights) and not (fit.remade or fit.misfits or fit.missing or fit.unused)


def test_a_safetensors_file_and_a_folder_with_one_load_too(tmp_path, ten_classes):
    save_file(ten_classes.state_dict(), tmp_path / "weights.safetensors")
    for path in (tmp_path, tmp_path / "weights.safetensors"):
        network = build("resnet18", num_classes=10)
        load_weights_file(network, path)
        assert equal(network, ten_classes.state_dict())


def test_the_classifier_is_made_anew_for_another_number_of_classes(ten_classes):
    network = build("resnet18", num_classes=3)
    fresh = network.fc.weight.detach().clone()
    fit = fit_weights(network, ten_classes.state_dict(), where="weights.pth")
    assert [misfit.name for misfit in fit.remade] == ["fc.bias", "fc.weight"]
    assert torch.equal(network.fc.weight, fresh)
    assert torch.equal(network.layer4[1].conv2.weight, ten_classes.layer4[1].conv2.weight)
    assert "2 made anew for this number of classes: fc.bias (10 in the file, 3 in the network)" in fit.lines()[1]


def test_every_kind_of_misfit_is_listed(ten_classes):
    weights = ten_classes.state_dict()
    weights["layer1.0.conv1.weight"] = torch.zeros(64, 64, 5, 5)
    del weights["layer2.0.bn1.weight"]
    weights["teacher.weight"] = torch.zeros(2)
    fit = fit_weights(build("resnet18", num_classes=10), weights, where="weights.pth")
    assert fit.lines()[1:] == [
        "1 of another shape, left fresh: layer1.0.conv1.weight (64×64×5×5 in the file, 64×64×3×3 in the network)",
        "1 not in the file, left fresh: layer2.0.bn1.weight",
        "1 in the file alone, not used: teacher.weight",
    ]


def test_a_colour_networks_first_convolution_adds_up_for_grey_images(ten_classes):
    grey = build("resnet18", num_classes=10, in_channels=1)
    fit = fit_weights(grey, ten_classes.state_dict(), where="weights.pth")
    assert fit.summed == ("conv1.weight",)
    picture = torch.rand(1, 1, 64, 64)
    with torch.no_grad():
        colour = ten_classes.eval()(picture.expand(-1, 3, -1, -1))
        assert torch.allclose(grey.eval()(picture), colour, atol=1e-4)


@pytest.mark.parametrize(("channels", "fitting"), [(3, True), (4, True), (8, False)])
def test_filters_of_many_channels_do_not_fit_a_depthwise_convolution(channels, fitting):
    assert fits(torch.zeros(8, 1, 3, 3), torch.zeros(8, channels, 3, 3)) is fitting


def test_weights_of_another_network_are_refused():
    with pytest.raises(CaptureError, match=r"x\.pth holds the weights of another network: 0.0 % of its"):
        fit_weights(build("resnet18"), build("lenet5").state_dict(), where="x.pth")
    with torch.device("meta"):
        deeper = build("resnet50").state_dict()
    with pytest.raises(CaptureError, match="another network"):
        fit_weights(build("resnet18"), deeper, where="x.pth")


def test_a_network_of_other_layers_is_refused_though_most_numbers_are_of_its_first_connection():
    """Of a VGG's numbers 86 % and more are those of its full connections, which all depths share."""
    with torch.device("meta"):
        networks = {name: build(name) for name in ("vgg11", "vgg11_bn", "vgg16")}
    for file, name, share in (("vgg11", "vgg16", "36.4"), ("vgg16", "vgg11", "36.4"), ("vgg11", "vgg11_bn", "45.5")):
        with pytest.raises(CaptureError, match=rf"another network: {share} % of its layers fit; not features"):
            fit_weights(networks[name], networks[file].state_dict(), where="x.pth")


def test_a_small_network_of_another_width_takes_what_fits():
    def network(width: int) -> nn.Module:
        return nn.Sequential(nn.Linear(300, 40), nn.Linear(40, width), nn.Linear(width, 5))

    fit = fit_weights(network(16), network(12).state_dict(), where="x.pth")
    assert fit.taken == ("0.weight", "0.bias", "2.bias")
    assert [each.name for each in fit.misfits] == ["1.bias", "1.weight", "2.weight"]


class Harmful:
    def __reduce__(self):
        return (os.mkdir, ("harmed",))


def test_a_file_that_holds_code_is_refused_and_the_code_never_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": Harmful()}, "zipped.pth")
    Path("plain.pth").write_bytes(pickle.dumps(Harmful(), protocol=2))
    for name in ("zipped.pth", "plain.pth"):
        with pytest.raises(CaptureError, match="runs no code from files"):
            read_weights(name)
    assert not (tmp_path / "harmed").exists()


@pytest.mark.parametrize("name", ["a.pth", "a.pt", "a.safetensors"])
@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"\x89PNG\r\n\x1a\n" + bytes(80), "a PNG image"),
        (b"<!DOCTYPE html><html>not found</html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a Git LFS pointer"),
        (b"\x89HDF\r\n\x1a\n" + bytes(80), "an HDF5 file"),
        (b"epoch 3, loss 0.2\n", "text"),
        (b"\x01\x02\x03" * 80, "of no format that is known"),
    ],
)
def test_a_file_of_another_kind_is_called_what_it_is(tmp_path, name, content, kind):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CaptureError, match=rf"{name} is no file of weights: it is {kind}.*; name a .safetensors"):
        read_weights(tmp_path / name)


def test_missing_torn_and_empty_files_are_named(tmp_path):
    torch.save({"weight": torch.zeros(1000)}, tmp_path / "whole.pth")
    whole = (tmp_path / "whole.pth").read_bytes()
    (tmp_path / "torn.pth").write_bytes(whole[: len(whole) // 2])
    flipped = bytearray(whole)
    flipped[whole.index(bytes(1000)) + 10] ^= 1
    (tmp_path / "flipped.pth").write_bytes(flipped)
    (tmp_path / "empty.pth").write_bytes(b"")
    (tmp_path / "torn.safetensors").write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00{}")
    torch.save([1, 2], tmp_path / "list.pth")
    torch.save({"epoch": 1}, tmp_path / "none.pth")
    torch.save({"weight": torch.eye(3).to_sparse()}, tmp_path / "sparse.pth")
    for name in ("gone.pth", "torn.pth", "flipped.pth", "empty.pth", "torn.safetensors", "list.pth", "none.pth"):
        with pytest.raises(CaptureError, match=name):
            read_weights(tmp_path / name)
    with pytest.raises(CaptureError, match="sparse"):
        read_weights(tmp_path / "sparse.pth")


def test_torchvisions_first_densenet_files_load(tmp_path):
    densenet = torchvision_or_skip().models.densenet121(num_classes=4)
    weights = densenet.state_dict()
    first = {name.replace("norm1.", "norm.1.").replace("conv2.", "conv.2."): weights[name] for name in weights}
    path = tmp_path / "densenet.pth"
    torch.save(first, path)
    network = build("densenet121", num_classes=4)
    load_weights_file(network, path)
    assert equal(network, densenet.state_dict())


def test_timms_networks_are_built_by_name_and_a_wrong_one_is_suggested():
    timm_or_skip()
    network = build("timm/resnet18", num_classes=4, in_channels=1)
    assert network(torch.rand(2, 1, 64, 64)).shape == (2, 4)
    with pytest.raises(CaptureError, match="Did you mean timm/resnet18"):
        build("timm/resnet81")


def test_a_file_of_features_alone_is_used_whole():
    network = build("vgg11", num_classes=3)
    features = {name: tensor + 1 for name, tensor in network.state_dict().items() if name.startswith("features")}
    fit = fit_weights(network, features, where="x.pth")
    assert len(fit.taken) == 16 and len(fit.missing) == 6
