"""What a user does with an ONNX file: inspect, compare, explain and audit it."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import convscope
from convscope.errors import CaptureError
from onnx_files import exported, trained

pytest.importorskip("onnx")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, Path]:
    network = trained(nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 3)
    ))  # fmt: skip
    return network, exported(network, (1, 6, 6), tmp_path_factory.mktemp("onnx") / "small.onnx")


def test_inspection_is_that_of_the_network(files: tuple[nn.Module, Path]) -> None:
    network, path = files
    found, wanted = convscope.inspect(str(path)), convscope.inspect(network, (1, 6, 6))
    assert found.graph.name == "small" and found.graph.macs == wanted.graph.macs
    assert sum(layer.macs or 0 for layer in found.layers) == found.graph.macs
    assert "folded into 1 layer of 4 channels: 4 fewer" in str(found)


def test_explained_number_is_the_networks_own(files: tuple[nn.Module, Path]) -> None:
    network, path = files
    image = np.random.default_rng(0).normal(size=(1, 6, 6)).astype(np.float32)
    convolution = next(layer.name for layer in convscope.inspect(str(path)).layers if layer.op == "convolution")
    found = convscope.explain(str(path), image, layer=convolution, channel=2, at=(1, 3))
    with torch.no_grad():
        normalized = network[1](network[0](torch.from_numpy(image)[None]))
    assert found.value == pytest.approx(float(normalized[0, 2, 1, 3]), rel=1e-4)


def test_audit_compares_with_onnxruntime(files: tuple[nn.Module, Path]) -> None:
    pytest.importorskip("onnxruntime")
    found = convscope.audit(str(files[1]))
    assert found.agreement < 1e-12
    assert any("onnxruntime" in note and "digits are left" in note for note in found.notes)


def test_missing_package_is_one_line(files: tuple[nn.Module, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(CaptureError, match=r"pip install 'convscope\[onnx\]'"):
        convscope.inspect(str(files[1]))
