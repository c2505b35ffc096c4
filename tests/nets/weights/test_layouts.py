"""Weights as public trainers save them: under prefixes, in tables, averaged beside the rest, or a whole module."""

from __future__ import annotations

import argparse
from collections import Counter, OrderedDict, defaultdict, deque
from datetime import UTC, datetime
from enum import Enum
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

import hostile_weights as hostile
from convscope.nets.build import build
from convscope.nets.weights.fit import fit_weights
from convscope.nets.weights.match import match_weights
from convscope.nets.weights.read import WeightsFile, read_weights


class Mode(Enum):
    FAST = "fast"

    def title(self) -> str:
        return self.value


def made(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return build("tinyvgg", num_classes=3, image_size=32)


WANTED = made(1).state_dict()
OTHER = made(2).state_dict()
BACKBONE = [name for name in WANTED if not name.startswith("classifier")]


class OfPython2:
    """A table as Python 2 pickled an OrderedDict: made of a list of pairs, not filled item by item."""

    def __init__(self, entries: dict) -> None:
        self.entries = entries

    def __reduce__(self) -> tuple:
        return OrderedDict, ([[name, value] for name, value in self.entries.items()],)


def under(prefix: str, weights=WANTED, names=None) -> dict[str, torch.Tensor]:
    return {prefix + name: weights[name] for name in names or weights}


def inside(part: str) -> dict[str, torch.Tensor]:
    """A wrapper within the names, as where the convolutional part alone is parallel or compiled."""
    head = BACKBONE[0].split(".")[0]
    return {name.replace(f"{head}.", f"{head}.{part}.", 1): tensor for name, tensor in WANTED.items()}


class EasyDict(dict):
    """A table of its own kind, whose entries are attributes as well, as much research code saves."""

    def __init__(self, entries: dict) -> None:
        super().__init__(entries)
        self.__dict__ = self


class Ordered(OrderedDict):
    """Another table of its own kind."""


LAYOUTS = {
    "plain": WANTED,
    "a class derived from dict": EasyDict({"epoch": 3, "model": EasyDict(WANTED)}),
    "another derived from OrderedDict": Ordered(WANTED),
    "DataParallel": under("module."),
    "torch.compile": under("_orig_mod."),
    "compiled DataParallel": under("module._orig_mod."),
    "ImageNet example, parallel features": {"epoch": 90, "arch": "vgg", "state_dict": inside("module")},
    "compiled part": inside("_orig_mod"),
    "Lightning": {
        "epoch": 3,
        "pytorch-lightning_version": "2.1.0",
        "state_dict": {**under("model."), "criterion.weight": torch.ones(3)},
        "optimizer_states": [{"state": {0: {"exp_avg": torch.zeros(4)}}}],
        "hyper_parameters": {"lr": 0.1},
    },
    "Lightning, compiled": {"state_dict": under("net._orig_mod.")},
    "timm with an average": {
        "arch": "tinyvgg",
        "args": argparse.Namespace(lr=0.1),
        "state_dict": OTHER,
        "state_dict_ema": WANTED,
        "optimizer": {"state": {0: {"momentum_buffer": torch.zeros(4)}}},
    },
    "timm's best of a run, in model_ema": {"model": under("module.", OTHER), "model_ema": under("module.")},
    "an average without statistics": {"state_dict": WANTED, "ema": under("", OTHER, BACKBONE[:2])},
    "DINO": {
        "student": {**under("module.backbone.", OTHER, BACKBONE), "module.head.mlp.0.weight": torch.zeros(8, 8)},
        "teacher": {**under("backbone.", WANTED, BACKBONE), "head.mlp.0.weight": torch.zeros(8, 8)},
        "args": argparse.Namespace(arch="vit"),
    },
    "self-supervised encoder": under("encoder.", WANTED, BACKBONE),
    "MMPretrain": {"meta": {"epoch": 1}, "state_dict": under("backbone.")},
    "AveragedModel": {**under("module."), "n_averaged": torch.tensor(3)},
    "params": {"params": WANTED, "params_ema_of": 1},
    "nested twice": {"model": {"net": under("module.")}},
    "Python 2": OfPython2(WANTED),
    "Python 2, in a table": {"epoch": 90, "state_dict": OfPython2(under("module."))},
    "FSDP": under("_fsdp_wrapped_module."),
    "Lightning with objects of other packages": {
        "state_dict": under("model."),
        "hyper_parameters": {
            "optimizer": partial(torch.optim.SGD, lr=0.1),
            "mode": Mode.FAST,
            "more": SimpleNamespace(depth=2, weight=torch.zeros(4)),
            "recent": deque([1, 2], maxlen=5),
            "epochs": range(3),
            "method": Mode.FAST.title,
            "random": np.random.default_rng(0),
        },
    },
    "objects beside the weights": {
        "state_dict": WANTED,
        "best": np.float64(0.5),
        "history": np.arange(5.0),
        "folder": Path("runs"),
        "when": datetime(2024, 5, 1, tzinfo=UTC),
        "metrics": {"seen": {1, 2}, "counts": Counter("ab"), "tables": defaultdict(list)},
    },
}


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("older", [False, True], ids=["zip", "older"])
def test_a_checkpoint_loads_whatever_its_layout(tmp_path, name, older):
    torch.save(LAYOUTS[name], tmp_path / "x.pth", _use_new_zipfile_serialization=not older)
    network = made(3)
    fresh = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    fit = hostile.load_weights_file(network, tmp_path / "x.pth")
    expected = BACKBONE if name in ("DINO", "self-supervised encoder") else list(WANTED)
    assert list(fit.taken) == expected
    for key, tensor in network.state_dict().items():
        assert torch.equal(tensor, WANTED[key] if key in expected else fresh[key])


def test_a_head_beside_its_backbone_is_found(tmp_path):
    names = {name: f"head.{name}" if name.startswith("classifier") else f"backbone.{name}" for name in WANTED}
    save_file({full: WANTED[name] for name, full in names.items()}, tmp_path / "model.safetensors")
    network = made(3)
    assert len(hostile.load_weights_file(network, tmp_path / "model.safetensors").taken) == len(WANTED)


def test_a_whole_saved_module_gives_its_weights_and_none_of_its_code(tmp_path):
    for older in (False, True):
        torch.save(nn.DataParallel(made(1)), tmp_path / "x.pt", _use_new_zipfile_serialization=not older)
        network = made(3)
        assert len(hostile.load_weights_file(network, tmp_path / "x.pt").taken) == len(WANTED)
        assert torch.equal(network.state_dict()[BACKBONE[0]], WANTED[BACKBONE[0]])


def test_where_they_were_found_is_said_in_one_line(tmp_path):
    torch.save({"state_dict": under("module.", OTHER), "state_dict_ema": under("module.")}, tmp_path / "x.pth")
    found = match_weights(read_weights(tmp_path / "x.pth"), WANTED)
    first = next(iter(WANTED))
    assert found.line == (f"{first} is state_dict_ema.module.{first} in the file, and so on; 'state_dict' fits too")
    torch.save(WANTED, tmp_path / "x.pth")
    assert match_weights(read_weights(tmp_path / "x.pth"), WANTED).line == ""


words = st.sampled_from(
    ["_orig_mod", "model", "module", "net", "backbone", "encoder", "student", "0", "layer", "state_dict", "größe"]
)


@settings(max_examples=25, deadline=None)
@given(tables=st.lists(words, max_size=3), prefix=st.lists(words, max_size=4), ema=st.booleans())
def test_no_prefix_and_no_table_hides_weights(tables, prefix, ema):
    """The law: every combination of tables and prefixes gives the same network."""
    full = ".".join([*tables, *prefix, ""]).lstrip(".")
    stored = {**({"other." + k: v for k, v in OTHER.items()} if ema else {}), **under(full)}
    if ema:
        stored = {**{"ema." + key: tensor for key, tensor in under(full).items()}, "other.x": torch.ones(1)}
    found = match_weights(WeightsFile(where="x", tensors=stored), WANTED)
    network = made(3)
    fit_weights(network, found.weights, where="x")
    assert all(torch.equal(tensor, WANTED[name]) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.float8_e4m3fn])
def test_other_kinds_of_floats_and_strided_tensors_are_read(tmp_path, dtype):
    whole = torch.arange(24.0).reshape(4, 6).to(dtype)
    tensors = {"turned": whole.t(), "part": whole[1:3, ::2], "one": whole[2, 3], "none": whole[:0]}
    torch.save(tensors, tmp_path / "x.pth")
    read = read_weights(tmp_path / "x.pth").tensors
    assert all(torch.equal(read[name].tensor(), tensors[name]) for name in tensors)
    plain = {name: tensor.contiguous() for name, tensor in tensors.items()}
    save_file(plain, tmp_path / "x.safetensors")
    read = read_weights(tmp_path / "x.safetensors").tensors
    assert all(torch.equal(read[name].tensor(), plain[name]) for name in plain)


def test_an_object_of_a_package_that_is_not_here_is_passed_over(tmp_path):
    """A class of another Python (pathlib._local is of 3.13) and one that no machine has."""
    name = b"cpathlib._local\nPosixPath\n(" + hostile.text("runs") + b"tR"
    other = b"cabsent.package\nConfig\n)\x81}" + hostile.text("weight") + b"cabsent\nfunction\nsb"
    held = {"a": hostile.tensor(3, 0, (3,), (1,)), "b": name, "c": other}
    body = b"}" + b"".join(hostile.text(key) + value + b"s" for key, value in held.items())
    (tmp_path / "x.pth").write_bytes(hostile.zipped(body))
    assert list(read_weights(tmp_path / "x.pth").tensors) == ["a"]
