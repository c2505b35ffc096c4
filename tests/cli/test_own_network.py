"""A network of the user's own file: trained, resumed and used by name; its code is never run by a name in a run."""

from __future__ import annotations

import importlib
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import convscope
from commands import run_command
from convscope.cli import lr_find
from convscope.cli.main import COMMANDS
from convscope.cli.settings import given_settings
from convscope.errors import CaptureError, RunError
from convscope.nets.build import build
from convscope.report.usage import as_options

BLOCKS = """
from torch import nn
def block(i, o):
    return nn.Sequential(nn.Conv2d(i, o, 3), nn.BatchNorm2d(o), nn.ReLU())
"""
NET = """
from pathlib import Path
from torch import nn
from blocks import block
with Path("imported").open("a") as file:
    file.write("once ")
class Net(nn.Module):
    def __init__(self, num_classes, in_channels=1, width: int = 4):
        super().__init__()
        self.features = nn.Sequential(block(in_channels, width), nn.MaxPool2d(2), nn.Dropout(0.1))
        self.head = nn.Linear(width, num_classes)
    def forward(self, x):
        return self.head(self.features(x).mean((2, 3)))
"""
OF_A_RUN = (
    ("evaluate", "RUN"),
    ("predict", "RUN", "i.png"),
    ("inspect", "RUN"),
    ("field", "RUN", "--layer", "features"),
    ("explain", "RUN", "digits/1", "--layer", "head"),
    ("look", "RUN", "digits/1", "--no-checks"),
    ("look", "RUN", "--parts", "health"),
    ("audit", "RUN"),
    ("compare", "RUN", "lenet5"),
    ("train", "--resume", "RUN", "--epochs", "3"),
    ("train", "digits", "--weights", "RUN"),
    ("train", "digits", "--recipe", "RUN/recipe.toml"),
    ("lr-find", "digits", "--recipe", "RUN/recipe.toml"),
    ("lr-find", "digits", "--weights", "RUN"),
    ("ablate", "digits", "--recipe", "RUN/recipe.toml"),
)
# They read no run and no recipe.
OTHERS = {"check", "demo", "size", "models", "notes", "shard", "doctor", "exercise", "studio"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with net.py, its neighbour, an image, and a run of one epoch."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "net.py").write_text(NET)
    (folder / "blocks.py").write_text(BLOCKS)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("CONVSCOPE_CACHE", str(folder / "cache"))
        recipe = convscope.Recipe(model="net.py:Net", model_options="width=5", epochs=1, autotune="rules")
        outcome = convscope.train("digits", recipe, name="RUN")
        assert convscope.load(outcome).spec.name == "net.py:Net"  # it remembers where the code is
        assert (folder / "imported").read_text() == "once "
        from PIL import Image

        Image.new("L", (8, 8)).save("i.png")
    return folder


@pytest.fixture
def work(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that folder, in which the test is."""
    shutil.copytree(trained, tmp_path / "w")
    shutil.move(tmp_path / "w/runs/RUN", tmp_path / "w/RUN")
    monkeypatch.chdir(tmp_path / "w")
    monkeypatch.setenv("CONVSCOPE_CACHE", str(trained / "cache"))
    return tmp_path / "w"


def test_a_run_keeps_the_code_as_data_and_trains_on_where_it_is_named(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = json.loads((work / "RUN/model.json").read_text())["network"]
    assert network["name"] == "net.py:Net" and network["options"] == {"width": 5}
    assert (work / "RUN/code/net.py").read_text() == NET and network["source"]["file"] == "net.py"
    assert (work / "RUN/code/blocks.py").read_text() == BLOCKS and set(network["source"]["beside"]) == {"blocks.py"}
    assert "code/" in (work / "RUN/report.html").read_text()
    code, out, err = run_command(capsys, "train", "--resume", "RUN", "--model", "net.py:Net", "--epochs", "2")
    assert code == 0 and "trained 2 epochs" in out, err
    code, out, err = run_command(capsys, "evaluate", "RUN", "--model", "net.py:Net", "--json")
    assert code == 0 and json.loads(out)["images"] == 179, err
    assert run_command(capsys, "predict", "RUN", "i.png", "--model", "net.py:Net")[0] == 0
    code, out, _ = run_command(capsys, "inspect", "RUN", "--model", "net.py:Net")
    assert code == 0 and "features.0.0" in out
    assert run_command(capsys, "explain", "RUN", "digits/1", "--layer", "head", "--model", "net.py:Net")[0] == 0
    assert run_command(capsys, "compare", "RUN", "lenet5", "--model", "net.py:Net")[0] == 0


def test_what_a_network_prints_is_not_among_the_results(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (work / "loud.py").write_text(
        NET.replace("        return", "        print('of shape', tuple(x.shape))\n        return")
    )
    own, few = ("--model", "loud.py:Net"), ("--train-images", "40", "--batch-size", "20")
    for words in (
        ("train", "digits", *own, *few, "--epochs", "1", "--autotune", "rules", "--name", "loud", "--json"),
        ("train", "digits", *own, *few, "--epochs", "1", "--autotune", "rules", "--forecast", "--json"),
        ("lr-find", "digits", *own, *few, "--steps", "20", "--json"),
        ("evaluate", "runs/loud", *own, "--json"),
    ):
        code, out, err = run_command(capsys, *words)
        assert code == 0 and isinstance(json.loads(out), dict) and "of shape" in err, err
    code, out, err = run_command(capsys, "predict", "runs/loud", "i.png", *own, "--csv")
    assert code == 0 and "of shape" in err and [line.split(",")[0] for line in out.splitlines()] == ["image", "i.png"]


@pytest.mark.parametrize("words", OF_A_RUN, ids=[f"{words[0]} {words[-2]}" for words in OF_A_RUN])
def test_no_command_runs_the_code_of_a_run_by_itself(
    work: Path, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    hostile = "from pathlib import Path\nPath('ran').touch()\n"
    for name in ("RUN/code/net.py", "RUN/code/blocks.py", "net.py", "RUN/net.py", "RUN/blocks.py"):
        (work / name).write_text(hostile)
    recipe = work / "RUN/recipe.toml"
    lines = recipe.read_text().splitlines()
    recipe.write_text(
        "\n".join('model = "net.py:Net"' if line.startswith("model =") else line for line in lines) + "\n"
    )
    code, _, err = run_command(capsys, *words)
    assert code == 2 and len(err.splitlines()) == 1
    assert "its code is not run unless you say so: give --model net.py:Net" in err
    assert not (work / "ran").exists()


def test_every_command_is_tried_on_such_a_run_and_can_trust_it() -> None:
    assert {words[0] for words in OF_A_RUN} | OTHERS == set(COMMANDS)
    for name in {words[0] for words in OF_A_RUN}:
        command = importlib.import_module(f"convscope.cli.{COMMANDS[name][0]}").command
        assert {"--model", "--trust-code"} <= {option for one in command.params for option in one.opts}, name


@pytest.mark.parametrize("words", [words for words in OF_A_RUN if words[0] in ("lr-find", "audit", "field")])
def test_a_command_runs_the_copy_where_it_is_trusted(
    work: Path, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    (work / "net.py").unlink()
    code, _, err = run_command(capsys, *words, "--trust-code", *(["--steps", "20"] if words[0] == "lr-find" else []))
    assert code == 0, err
    code, _, err = run_command(capsys, *words, "--trust-code", "--model", "net.py:Net")
    assert code == 2 and "give one" in err


def test_the_training_that_a_range_test_proposes_opens_the_same_code() -> None:
    found: Any = SimpleNamespace(proposed=0.02)
    words = ["digits", "--weights", "RUN", "--trust-code", "--cache", "my cache"]
    with lr_find.command.make_context("lr-find", words) as context, as_options():
        proposed = lr_find._command(found, "digits", None, given_settings(context))
    assert proposed == "convscope train digits --weights RUN --learning-rate 0.02 --trust-code --cache 'my cache'"


def test_a_copy_runs_where_it_is_trusted_and_as_it_was_written(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    alone = BLOCKS + NET.replace("from blocks import block\n", "")
    (work / "alone.py").write_text(alone)
    words = ("train", "digits", "--model", "alone.py:Net", "--epochs", "1", "--autotune", "rules", "--name", "alone")
    assert run_command(capsys, *words)[0] == 0
    (work / "alone.py").unlink()
    run = "runs/alone"
    assert run_command(capsys, "inspect", run, "--trust-code")[0] == 0
    assert convscope.load(run, trust_code=True).predict("i.png")
    assert convscope.inspect(convscope.Run(Path(run), trust_code=True)).graph.name == "alone"
    copy = work / run / "code/alone.py"
    copy.write_text(alone + "Path('ran').touch()\n")
    code, _, err = run_command(capsys, "evaluate", run, "--trust-code")
    assert code == 2 and "alone.py was changed" in err and not (work / "ran").exists()
    with pytest.raises(RunError, match="give one"):
        convscope.Run(Path(run), model="net.py:Net", trust_code=True)
    with pytest.raises(RunError, match=r"convscope.Run\(.*model='alone.py:Net'\), or with trust_code=True"):
        convscope.load(run)


PACKAGE = {
    "models/__init__.py": "from .net import Net\n",
    "models/net.py": """
from torch import nn
from .blocks import block
from models.heads import Head
from tools.misc import same
class Net(nn.Module):
    def __init__(self, num_classes, in_channels=1):
        super().__init__()
        self.body, self.head = block(in_channels, 4), Head(4, num_classes)
    def forward(self, x):
        from models import late
        return {"out": self.head(same(self.body(x).mean((2, 3)))), "aux": late.pair(x)}
""",
    "models/blocks.py": BLOCKS,
    "models/heads.py": "from torch.nn import Linear as Head\n",
    "models/late.py": "def pair(x): return x, x\n",
    "tools/misc.py": "def same(x): return x\n",
}


def test_a_package_of_several_files_is_kept_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text in PACKAGE.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CONVSCOPE_CACHE", str(tmp_path / "cache"))
    recipe = convscope.Recipe(model="models/net.py:Net", epochs=1, autotune="rules")
    run = convscope.train("digits", recipe, name="RUN").run.path
    code = run / "code"
    assert {str(path.relative_to(code)) for path in code.rglob("*.py")} == set(PACKAGE)
    for name in ("models.net:Net", "models:Net", "models/net.py:Net"):
        assert convscope.inspect(convscope.Run(run, model=name)).graph.parameter_count == 98
    shutil.move(tmp_path / "models", tmp_path / "gone")
    shutil.rmtree(tmp_path / "tools")
    assert run_command(capsys, "evaluate", str(run))[0] == 2
    assert run_command(capsys, "evaluate", str(run), "--trust-code")[0] == 0
    assert not list(code.rglob("__pycache__"))
    for change in (lambda: (code / "models/late.py").write_text(""), lambda: (code / "torch.py").write_text("")):
        before = {path: path.read_bytes() for path in code.rglob("*.py")}
        change()
        status, _, err = run_command(capsys, "evaluate", str(run), "--trust-code")
        assert status == 2 and len(err.splitlines()) == 1 and "code/" in err
        for path in code.rglob("*.py"):
            path.write_bytes(before[path]) if path in before else path.unlink()


def test_networks_have_neighbours_of_their_own_and_they_are_read_anew_where_they_change(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "blocks.py").write_text(
            f"from torch import nn\nwidth = {len(folder + folder)}{ord(folder)}\n"
        )
        (tmp_path / folder / "net.py").write_text(
            "from torch import nn\nfrom blocks import width\ndef make(num_classes): return nn.Sequential("
            "nn.Flatten(), nn.Linear(64, width), nn.Linear(width, num_classes))\n"
        )
    widths = [
        build(f"{tmp_path / folder}/net.py:make", num_classes=3, in_channels=1, image_size=8, options={})[
            1
        ].out_features
        for folder in ("a", "b", "a")
    ]
    assert widths == [297, 298, 297]
    (tmp_path / "a/blocks.py").write_text("width = 5\n")
    changed = build(f"{tmp_path}/a/net.py:make", num_classes=3, in_channels=1, image_size=8, options={})
    assert changed[1].out_features == 5


def test_a_file_that_differs_is_noted_and_its_weights_decide(
    work: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    (work / "later.py").write_text(NET + "# a remark\n")
    assert convscope.load("RUN", model="later.py:Net")("i.png").label
    assert "note: later.py:Net is not the net.py that RUN was trained with" in caplog.text
    (work / "wider.py").write_text(NET.replace("self.head = nn", "self.tail = nn").replace("self.head(", "self.tail("))
    code, _, err = run_command(capsys, "evaluate", "RUN", "--model", "wider.py:Net")
    assert code == 2 and "does not fit the network" in err
    (work / "net.py").write_text(NET + "\nclass Renamed(Net): pass\n")
    assert convscope.inspect(convscope.Run(Path("RUN"), model="net.py:Renamed")).parameters
    assert "note: net.py:Renamed is not the net.py that RUN was trained with" in caplog.text


@pytest.mark.parametrize("words", OF_A_RUN[2:7], ids=lambda words: words[0])
def test_no_other_network_is_shown_under_the_name_of_a_run(
    work: Path, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    wider = NET.replace("width),", "2 * width),").replace("nn.Linear(width", "nn.Linear(2 * width")
    (work / "wider.py").write_text(wider)
    code, out, err = run_command(capsys, *words, "--model", "wider.py:Net")
    assert code == 2 and not out and "RUN/weights.safetensors does not fit" in err


@pytest.mark.long
def test_ensembles_and_ablations_need_the_code_that_they_began_with(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = ("digits", "--model", "net.py:Net", "--epochs", "1", "--autotune", "rules", "--runs", ".")
    assert run_command(capsys, "train", *own, "--ensemble", "2", "--name", "en")[0] == 0
    assert (
        run_command(capsys, "ablate", *own, "--without", "relu", "--seeds", "1", "--jobs", "2", "--name", "ab")[0] == 0
    )
    (work / "other.py").write_text(NET + "# a remark\n")
    for words in (("train", "--resume", "en", "--ensemble", "3"), ("ablate", "--resume", "ab", "--seeds", "2")):
        code, _, err = run_command(capsys, *words)
        assert code == 2 and "its code is not run unless you say so: give --model net.py:Net" in err
        code, _, err = run_command(capsys, *words, "--model", "other.py:Net")
        assert code == 2 and "other.py:Net is not the code that" in err
        (work / "blocks.py").write_text(BLOCKS + "# a remark\n")
        code, _, err = run_command(capsys, *words, "--model", "net.py:Net")
        assert code == 2 and "(blocks.py differs)" in err
        (work / "blocks.py").write_text(BLOCKS)
        assert run_command(capsys, *words, "--model", "net.py:Net")[0] == 0
    for words in (("train", "--resume", "en", "--ensemble", "4"), ("ablate", "--resume", "ab", "--seeds", "3")):
        code, _, err = run_command(capsys, *words, "--trust-code")
        assert code == 0, err
    assert run_command(capsys, "predict", "en", "i.png", "--model", "net.py:Net")[0] == 0
    assert run_command(capsys, "predict", "en", "i.png")[0] == 2


FACTORIES = """
import torch
from collections import namedtuple
from torch import nn
Outputs = namedtuple("Outputs", "logits aux_logits")
class Net(nn.Module):
    def __init__(self, outputs=10, channels=3, give=lambda scores: scores):
        super().__init__()
        self.conv, self.head, self.give = nn.Conv2d(channels, 4, 3), nn.Linear(4, outputs), give
    def forward(self, x):
        return self.give(self.head(self.conv(x).mean((2, 3))))
def ten(): return Net()
def named(num_classes, in_channels, image_size: int, width=1):
    assert image_size == 8
    return Net(num_classes, in_channels)
def sides(num_classes, image_size=None): assert image_size == (8, 8); return Net(num_classes)
def needs(num_classes, depth): return Net(num_classes)
def passes_on(**settings): return Net(settings.pop("num_classes"), **settings)
def output(): return Net(3, give=lambda scores: {"out": scores, "aux": scores})
def inception(): return Net(3, give=lambda scores: Outputs(scores, scores))
def beside(): return Net(3, give=lambda scores: (scores[:, :1], scores))
def unclear(): return Net(3, give=lambda scores: (scores, scores))
def maps(): return nn.Conv2d(3, 3, 3)
def of_values(): return Net(3, give=lambda scores: scores * scores.detach().sum().mul(0).add(1).item())
def built_of_values(): return Net(3) if torch.linspace(0, 1, 3).sum().item() else None
def lazy(): return nn.Sequential(nn.LazyConv2d(4, 3), nn.Flatten(), nn.LazyLinear(3))
def large(): return nn.Sequential(nn.Conv2d(3, 3, 9), nn.Flatten())
class Caches(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.conv, self.rows = nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 3)), None
        self.twice = nn.Sequential(*[nn.Conv2d(4, 4, 1)] * 2)
        self.head, self.tied = nn.Linear(4, num_classes), nn.Linear(4, num_classes)
        self.tied.weight = self.head.weight
    def forward(self, x):
        if self.rows is None:
            self.rows = torch.arange(x.shape[-1], device=x.device)
        x = self.twice(self.conv(x + self.rows)).mean((2, 3))
        return self.head(x) + self.tied(x)
class Unlisted(nn.Module):
    def forward(self, x): return x.mean((2, 3))
def fails(): raise ValueError("first line\\nsecond")
def nothing(): return 3
def leaves(): raise SystemExit(1)
made = Net()
"""


@pytest.fixture(scope="module")
def factories(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("factories") / "nets.py"
    path.write_text(FACTORIES)
    return path


@pytest.mark.parametrize(
    ("factory", "options", "message"),
    [
        ("ten", {}, "gives 10 outputs, and there are 3 classes: give its factory an argument num_classes"),
        ("ten", {"width": 2}, "has no option 'width': it has none"),
        ("named", {"wdth": 2}, "has no option 'wdth': it has width. Did you mean width?"),
        ("named", {"in_channels": 1}, "in_channels is 3, by the data"),
        ("needs", {}, "needs depth: give model_options=depth=..."),
        ("unclear", {}, "gives a tuple .0 .2, 3., 1 .2, 3.., in which the scores .N, 3. are several"),
        ("maps", {}, "gives outputs .N, 3, 6, 6., and training needs scores .N, 3."),
        ("large", {}, "can't take an input of 3x8x8: .* layer '0' .Conv2d.: .*; give another image_size"),
        ("fails", {}, "failed: ValueError: first line$"),
        ("nothing", {}, "gave a value of type int: it must return a torch.nn.Module"),
        ("leaves", {}, "ended the program .exit 1."),
        ("Unlisted", {}, "has no weights to train: layers in a plain list are not found"),
        ("Net(outputs=3)", {}, "training gives num_classes itself, and the rest by model_options"),
        ("made", {}, "is a Net that is made already, and training draws fresh weights"),
        ("maks", {}, "has no 'maks'. Did you mean "),
    ],
)
def test_a_factory_that_does_not_do_is_one_line(
    factories: Path, factory: str, options: dict[str, object], message: str
) -> None:
    with pytest.raises(CaptureError, match=message) as raised:
        build(f"{factories}:{factory}", num_classes=3, in_channels=3, image_size=8, options=options)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "factory",
    ["named", "sides", "passes_on", "output", "inception", "beside", "of_values", "built_of_values", "lazy", "Caches"],
)
def test_a_factory_gives_scores_in_any_form(factories: Path, factory: str) -> None:
    import torch

    name = f"{factories}:{factory}"
    network = build(name, num_classes=3, in_channels=3, image_size=8)
    assert network(torch.zeros(2, 3, 8, 8)).shape == (2, 3)
    with torch.device("meta"):
        on_meta = build(name, num_classes=3, in_channels=3, image_size=8)
    assert all(weights.is_meta for weights in on_meta.parameters())
    assert on_meta.state_dict().keys() == network.state_dict().keys()


HEADS = """
from torch import nn
class Net(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.answer, self.body, self.aux = nn.Linear(4, num_classes), nn.Conv2d(1, 4, 3), nn.Linear(4, num_classes)
    def forward(self, x):
        x = self.body(x).mean((2, 3))
        return {"logits": self.answer(x), "aux": self.aux(x)}
class Wrapper(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, num_classes))
    def forward(self, x):
        if self.training and getattr(self, "broken", False):
            raise KeyError("first\\nsecond")
        return self.model(x)
class Broken(Wrapper):
    broken = True
"""


def test_the_classifier_of_a_network_is_where_it_defines_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "heads.py").write_text(HEADS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CONVSCOPE_CACHE", str(tmp_path / "cache"))
    common = ("--epochs", "1", "--autotune", "rules")
    for name, frozen in (("Net", "frozen: 1 part, body"), ("Wrapper", "frozen: 1 part, model.0")):
        model = ("--model", f"heads.py:{name}")
        assert run_command(capsys, "train", "digits", *model, *common, "--name", name)[0] == 0
        words = ("train", "digits", "--weights", f"runs/{name}", "--trust-code", "--freeze", "backbone", *common)
        code, _, err = run_command(capsys, *words)
        assert code == 0 and frozen in err, err
    code, _, err = run_command(capsys, "train", "digits", "--model", "heads.py:Broken", *common)
    assert code == 2 and f"heads.py, line {HEADS[: HEADS.index('raise')].count(chr(10)) + 1}: KeyError" in err


def test_a_factory_is_given_values_by_name_where_nothing_else_gives_them(
    factories: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run_command(capsys, "inspect", f"{factories}:Caches(num_classes=5)", "--input", "3x8x8")
    assert code == 0 and "linear" in out, err
    code, _, err = run_command(capsys, "inspect", f"{factories}:Caches", "--input", "3x8x8")
    assert code == 2 and f"give it a value, '{factories}:Caches(num_classes=...)'" in err
