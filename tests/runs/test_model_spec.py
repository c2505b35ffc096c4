"""A stranger's model.json: every field is checked, and nothing is fetched or run by a name that stands in it."""

from __future__ import annotations

import copy
import importlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from convscope.capture.load import load
from convscope.errors import CaptureError, RunError
from convscope.runs.run_directory import Run
from hostile_files import untrained_run

Change = Callable[[dict[str, Any]], object]


def _set(*path: str, to: object) -> Change:
    def change(spec: dict[str, Any]) -> None:
        inner = spec
        for name in path[:-1]:
            inner = inner[name]
        inner[path[-1]] = to

    return change


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return untrained_run(tmp_path_factory.mktemp("stranger") / "run", "photos")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_set("format", to="1"), "format is '1': it must be a whole number"),
        (_set("format", to=1), "it has format 1, of an older convscope: train again, or use that version"),
        (_set("format", to=3), "it has format 3, and this convscope reads 2: update convscope"),
        (_set("network", to=[]), "network is a list of 0: it must be an object"),
        (_set("preprocessing", "channels", to=-3), "-3 channels: images are decoded to 1"),
        (_set("preprocessing", "channels", to=1), "mean and std are not one number per channel"),
        (_set("preprocessing", "size", to=[10**9, 32]), r"preprocessing.size\[0\] is 1000000000: it must be"),
        (_set("preprocessing", "size", to=[32]), "is not .height, width"),
        (_set("preprocessing", "mean", to=["0.5"]), r"preprocessing.mean\[0\] is '0.5': it must be a finite number"),
        (_set("preprocessing", "std", to=[0, 1, 1]), r"preprocessing.std\[0\] is 0: it must be"),
        (_set("preprocessing", "resize_mode", to="crap"), "one of crop, letterbox, squash. Did you mean crop"),
        (_set("classes", to=["a", "a"]), "names a class twice"),
        (_set("classes", to=[]), "names no classes"),
        (_set("classes", to=["a", 3]), r"classes\[1\] is 3: it must be a text"),
        (_set("network", "name", to="os:system"), "no network of the catalogue has this name"),
        (_set("network", "name", to="evil.py:make"), "no network of the catalogue has this name"),
        (_set("network", "source", to={"file": "net.py", "sha256": "0" * 64}), "of a source it is FILE.py:FACTORY"),
        (_set("network", "source", to={"file": "../net.py", "sha256": "0" * 64}), "it must be the path of a .py file"),
        (_set("network", "source", to={"file": "net.py", "sha256": "x"}), "it must be 64 hexadecimal digits"),
        (_set("network", "source", to="net.py"), "network.source is 'net.py': it must be an object"),
        (_set("network", "name", to="timm/hf_hub:evil/net"), "it must be timm/ and the name of a network of timm"),
        (_set("network", "name", to="timm/../../evil"), "it must be timm/ and the name of a network of timm"),
        (_set("network", "name", to="timm/local-dir:/tmp"), "it must be timm/ and the name of a network of timm"),
        (_set("ensemble", to={"names": ["../evil"], "planned": 2}), "'../evil' is not the name of a folder in it"),
        (_set("loss", to="hing"), "one of softmax, hinge, logistic, multi-label. Did you mean hinge"),
        (_set("tta", to="many"), "tta is 'many': it must be one of one, flip, flip-shift, ten-crop"),
        (_set("ensemble", to={"names": [], "planned": 10**18}), "ensemble.planned is 1000000000000000000"),
    ],
)
def test_a_field_that_does_not_fit_is_one_line(run: Run, tmp_path: Path, change: Change, message: str) -> None:
    spec = copy.deepcopy(json.loads(run.spec_path.read_text()))
    change(spec)
    (tmp_path / "model.json").write_text(json.dumps(spec))
    for read in (lambda: load(str(tmp_path)), Run(tmp_path).spec):
        with pytest.raises(RunError, match=message) as raised:
            read()
        assert str(raised.value).startswith(str(tmp_path / "model.json")) and "\n" not in str(raised.value)


def test_an_option_that_the_network_does_not_have_names_the_file(run: Run, tmp_path: Path) -> None:
    spec = json.loads(run.spec_path.read_text())
    spec["network"]["options"] = {"variant": "nope"}
    (tmp_path / "model.json").write_text(json.dumps(spec))
    shutil.copy(run.weights, tmp_path)
    with pytest.raises(CaptureError, match=r"has no option 'variant'|variant") as raised:
        load(str(tmp_path)).build()
    assert str(raised.value).startswith(f"{tmp_path / 'model.json'} can't be used: ")


@pytest.mark.parametrize(
    "options",
    [
        {"pretrained": True},
        {"checkpoint_path": "/etc/passwd"},
        {"pretrained_cfg": {"url": "http://localhost/w.pth"}},
        {"pretrained_cfg_overlay": {"hf_hub_id": "evil/net"}},
        {"img_size": "http://localhost/w.pth"},
        {"act_layer": ["../evil"]},
        {"anything": {"file": "w.pth"}},
    ],
)
def test_nothing_in_a_file_makes_timm_fetch_anything(
    run: Run, tmp_path: Path, options: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = json.loads(run.spec_path.read_text())
    spec["network"] |= {"name": "timm/resnet18", "options": options}
    (tmp_path / "model.json").write_text(json.dumps(spec))

    def reached(name: str, package: str | None = None) -> object:
        raise AssertionError(f"{name} was imported")

    monkeypatch.setattr(importlib, "import_module", reached)
    with pytest.raises(RunError, match=r"network\.options"):
        Run(tmp_path).spec()
    with pytest.raises(RunError, match=r"network\.options"):
        load(str(tmp_path))
