"""A model by what the user typed, and the one line that a mistake gets."""

import sys
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from convscope.capture.build import build_without_memory
from convscope.capture.load import load
from convscope.data.preprocessing import Normalization, Preprocessing
from convscope.data.records import Decoding
from convscope.errors import CaptureError, ConvscopeError, RunError
from convscope.interpret.explanation.given import GivenNetwork, network_input
from convscope.nets import catalogue
from convscope.nets.build import build
from convscope.runs.model_spec import ModelSpec
from convscope.runs.run_directory import Run
from torchvision_oracle import timm_or_skip

NET = """
import torch
from neighbour import WIDTH

class Net(torch.nn.Module):
    def __init__(self, num_classes, width=8):
        super().__init__()
        self.head = torch.nn.Linear(width, num_classes)

def make():
    return Net(10)

def breaks():
    raise KeyError("depth")

def two_lines():
    raise ValueError("first\\nsecond")

def ends():
    raise SystemExit(3)

def nothing():
    return 3

ready = torch.nn.Linear(WIDTH, 2)
number = 7
"""


@pytest.fixture
def file(tmp_path):
    (tmp_path / "net.py").write_text(NET)
    (tmp_path / "neighbour.py").write_text("WIDTH = 5")
    return tmp_path / "net.py"


def test_a_name_a_file_a_module_and_an_instance(file, monkeypatch):
    assert load("resnet50").input_shape == (3, 224, 224)
    assert isinstance(load(f"{file}:make").build(), nn.Module)
    assert load(f"{file}:ready").build().in_features == 5
    monkeypatch.chdir(file.parent)
    assert load("net:make").build().head.out_features == 10


@pytest.mark.parametrize("name", catalogue.names())
def test_every_network_of_the_catalogue_builds_without_memory(name):
    model = build_without_memory(load(name).factory)
    assert sum(p.numel() for p in model.parameters()) == catalogue.find(name).parameters
    assert sum(p.numel() for p in model.parameters() if not p.is_meta) < 2_000_000


def test_a_run_directory_brings_its_weights(tmp_path):
    network = build("lenet5", num_classes=3, in_channels=1, image_size=(28, 28))
    preprocessing = Preprocessing(
        decoding=Decoding(size=(28, 28), channels=1), normalization=Normalization((0.5,), (0.2,)), classes=tuple("abc")
    )
    run = Run(tmp_path)
    run.write_spec(ModelSpec(name="lenet5", options={}, preprocessing=preprocessing))
    run.write_weights(network.state_dict(), {})
    loaded = load(str(tmp_path))
    assert loaded.input_shape == (1, 28, 28) and loaded.preprocessing == preprocessing
    built = loaded.build()
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), built.parameters(), strict=True))
    (tmp_path / "weights.safetensors").write_bytes(b"torn")
    with pytest.raises(RunError, match="is no file of weights: it is text"):
        loaded.build()
    (tmp_path / "model.json").write_text('{"format": 2, "classes": ["a"]}')
    with pytest.raises(RunError, match=r"model\.json can't be used: it has no network"):
        load(str(tmp_path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("resnet8", "there is no network 'resnet8'. Did you mean resnet18"),
        ("./nowhere", "there is no run directory at './nowhere'"),
        (":make", "':make' is not a model: give a name"),
        ("no.such.module:make", "no.such.module does not import: ModuleNotFoundError: No module named 'no'"),
        ("FILE", "is a file: say what in it makes the model"),
        ("FOLDER", "is not a run directory: it has no model.json"),
        ("FOLDER/absent.py:make", "absent.py: no such file"),
        ("FILE:mak", "has no 'mak'. Did you mean make?"),
        ("FILE:number", "number is a int: it must be a function or class"),
        ("FILE:Net", "needs num_classes: give it a value, '"),
        ("FILE:Net(3)", "must be values by name, as "),
        ("FOLDER/script.py:make", "ends the program when it is imported (exit 2): put what it runs under `if __name__"),
        ("BROKEN:make", "does not import: SyntaxError: invalid syntax (broken.py, line 2)"),
    ],
)  # fmt: skip
def test_mistakes_get_one_line(file, text, message):
    (file.parent / "broken.py").write_text("\nimport = 3")
    (file.parent / "script.py").write_text("raise SystemExit(2)")
    text = text.replace("FILE", str(file)).replace("BROKEN", str(file.parent / "broken.py"))
    with pytest.raises(ConvscopeError) as caught:
        load(text.replace("FOLDER", str(file.parent)))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        ("breaks", "failed: KeyError: 'depth'"),
        ("two_lines", "failed: ValueError: first$"),
        ("ends", "ended the program"),
        ("nothing", "gave a value of type int: it must return a torch.nn.Module"),
    ],
)
def test_a_factory_that_fails_says_so(file, factory, message):
    with pytest.raises(CaptureError, match=message):
        build_without_memory(load(f"{file}:{factory}").factory)


def test_timm_when_it_is_there():
    timm_or_skip()
    loaded = load("timm/resnet18")
    assert loaded.input_shape == (3, 224, 224)
    vision = load("timm/vit_tiny_patch16_224").preprocessing
    assert vision is not None and vision.normalization == Normalization((0.5,) * 3, (0.5,) * 3)
    assert sum(p.numel() for p in build_without_memory(loaded.factory).parameters()) == 11_689_512
    with pytest.raises(CaptureError, match="timm has no network 'resnet19'"):
        load("timm/resnet19")


def test_timms_own_mean_and_deviation_prepare_an_image(monkeypatch, tmp_path):
    from PIL import Image

    known = SimpleNamespace(input_size=(3, 8, 8), mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 0.125))
    models = SimpleNamespace(get_pretrained_cfg=lambda name, allow_unregistered: known)
    timm = SimpleNamespace(models=models, is_model=lambda name: True, create_model=lambda name: nn.Conv2d(3, 1, 1))
    monkeypatch.setitem(sys.modules, "timm", timm)
    Image.new("RGB", (8, 8), (255, 0, 51)).save(tmp_path / "x.png")
    loaded = load("timm/net")
    network = GivenNetwork(loaded.name, loaded.build(), loaded.input_shape, loaded.preprocessing)
    seen = network_input(tmp_path / "x.png", network).tensor[0, :, 0, 0]
    assert torch.allclose(seen, torch.tensor([0.9 / 0.5, -0.2 / 0.25, (0.2 - 0.3) / 0.125]))


def test_timm_when_it_is_not_there(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "timm", None)
    with pytest.raises(CaptureError, match="timm is not installed: pip install"):
        load("timm/resnet18")
