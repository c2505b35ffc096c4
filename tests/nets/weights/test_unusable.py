"""Weights that can't be used: the message names the tensor, its kind and what to do."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from convscope.errors import CaptureError
from convscope.nets.layer_groups import part_names
from convscope.nets.weights.fit import fit_weights
from convscope.nets.weights.read import read_weights
from hostile_weights import load_weights_file


def made() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4, 10))


def loaded(path, saved, *, older: bool = False):
    torch.save(saved, path, _use_new_zipfile_serialization=not older)
    return load_weights_file(made(), path)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("older", [False, True], ids=["zip", "older"])
@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda: torch.eye(4).to_sparse(), "sparse"),
        (lambda: torch.eye(4).to_sparse_csr(), "sparse"),
        (lambda: torch.quantize_per_tensor(torch.ones(4), 0.1, 0, torch.qint8), "quantized"),
        (lambda: torch.ones(4, device="meta"), "meta"),
        (lambda: torch.ones(1).expand(4), "repeated"),
    ],
)
def test_a_tensor_that_is_not_plain_is_passed_over_unless_it_is_needed(tmp_path, make, kind, older):
    tensor = make()
    weights = made().state_dict()
    assert len(loaded(tmp_path / "x.pth", {"net": weights, "extra": {"graph": tensor}}, older=older).taken) == 4
    with pytest.raises(CaptureError, match=rf"x\.pth holds net\.0\.bias as a {kind} tensor, which is not read"):
        loaded(tmp_path / "x.pth", {"net": {**weights, "0.bias": tensor}}, older=older)
    with pytest.raises(CaptureError, match=rf"no plain tensors, only such as graph \({kind}\)"):
        loaded(tmp_path / "x.pth", {"graph": tensor}, older=older)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), 1e300])
def test_numbers_that_are_not_finite_are_refused_where_they_are_used(number):
    weights = {name: tensor.double() for name, tensor in made().state_dict().items()}
    weights["unused"] = torch.tensor([number])
    assert len(fit_weights(made(), weights, where="x.pth").taken) == 4
    weights["0.weight"][1, 2, 0, 1] = number
    with pytest.raises(CaptureError, match=r"^x\.pth holds numbers that are not finite in 0\.weight$"):
        fit_weights(made(), weights, where="x.pth")


@pytest.mark.parametrize("dtype", [torch.int8, torch.complex64])
def test_another_type_is_named(dtype):
    weights = made().state_dict()
    kind = str(dtype).removeprefix("torch.")
    weights["2.bias"] = weights["2.bias"].to(dtype)
    line = f"1 of another type, left fresh: 2.bias ({kind} in the file, float32 in the network)"
    assert line in fit_weights(made(), weights, where="x.pth").lines()
    weights = {name: tensor.to(dtype) for name, tensor in weights.items()}
    with pytest.raises(CaptureError, match=rf"x\.pth holds numbers of another type: .*\({kind} in the file, float32"):
        fit_weights(made(), weights, where="x.pth")


@pytest.mark.filterwarnings("ignore")
def test_a_torchscript_file_is_called_one(tmp_path):
    path = tmp_path / "x.pt"
    torch.jit.save(torch.jit.trace(nn.Linear(2, 2), torch.ones(1, 2)), path)
    with pytest.raises(
        CaptureError, match=r"is a TorchScript program: save its weights by torch\.save\(torch\.jit\.load"
    ):
        read_weights(path)


@pytest.mark.parametrize(
    ("saved", "message"),
    [
        (torch.ones(3), "holds a single tensor, not tensors by name"),
        ({"a": np.ones(3)}, r"holds NumPy arrays, such as a, .*torch\.from_numpy"),
        (np.ones(3), "holds NumPy arrays"),
    ],
)
def test_what_holds_no_tensors_by_name_is_called_what_it_is(tmp_path, saved, message):
    with pytest.raises(CaptureError, match=message):
        loaded(tmp_path / "x.pth", saved)


def test_what_is_frozen_is_backbone_alone_or_parts():
    with pytest.raises(CaptureError, match="backbone means all parts but the last: give it alone"):
        part_names(made(), "backbone,2")
    with pytest.raises(CaptureError, match="',' names no part"):
        part_names(made(), ",")
    assert part_names(made(), "") == ()
