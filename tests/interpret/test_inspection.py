"""An inspection in its forms: terminal, notebook, JSON."""

import json
import re

import pytest
import torch
from torch import nn

import convscope
from convscope.errors import CaptureError
from convscope.interpret.inspection.comparison import compare
from convscope.interpret.inspection.record import inspect
from convscope.nets.build import build


def test_lenet_by_hand():
    answer = convscope.inspect(build("lenet5"), (1, 32, 32), name="lenet5").to_dict()
    json.dumps(answer, allow_nan=False)
    assert answer["version"] == 1
    assert answer["totals"]["parameters"] == 61_706 and answer["totals"]["macs"] == 416_520
    c3 = next(layer for layer in answer["layers"] if layer["name"] == "c3")
    assert c3["op"] == "convolution" and c3["output_shape"] == [1, 16, 10, 10]
    assert c3["parameters"] == 16 * 6 * 25 + 16 and c3["macs"] == 16 * 6 * 25 * 100
    assert c3["receptive_field"] == {
        "status": "exact",
        "size": [14, 14],
        "least": [14, 14],
        "stride": [2, 2],
        "start": [0, 0],
        "sizes": [[14], [14]],
        "without_borders": True,
    }
    assert answer["layers"][-1]["receptive_field"]["status"] == "whole axis"


def test_upsampling_has_a_stride_of_a_half_and_unknown_is_null():
    class Net(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.linalg.eigvals(nn.functional.interpolate(x, scale_factor=2))

    answer = inspect(Net(), (3, 8, 8)).to_dict()
    up, unknown = answer["layers"][0], answer["layers"][-1]
    assert up["receptive_field"]["stride"] == [0.5, 0.5]
    assert unknown["macs"] is None and answer["uncounted"]
    assert unknown["receptive_field"]["status"] == "unknown" and unknown["receptive_field"]["size"] == [None, None]
    json.dumps(answer, allow_nan=False)


def test_every_warning_names_a_layer_with_evidence_and_remedy():
    answer = inspect(lambda: build("vgg16_bn"), (3, 32, 32)).to_dict()
    names = {layer["name"] for layer in answer["layers"]}
    assert {w["kind"] for w in answer["warnings"]} == {"beyond-image", "heavy-linear", "bias-before-norm", "aliasing"}
    assert all(w["layer"] in names and w["message"] and w["evidence"] and w["remedy"] for w in answer["warnings"])


def test_several_inputs_have_their_fields_by_name():
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(3, 4, 5, padding=2)

        def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return self.a(x) + self.b(y)

    answer = inspect(Two(), [(3, 8, 8), (3, 8, 8)]).to_dict()
    fields = answer["layers"][-1]["receptive_fields"]
    assert [fields[i["name"]]["size"] for i in answer["inputs"]] == [[3, 3], [5, 5]]
    assert answer["layers"][1]["receptive_field"] is None


def test_costs_are_for_one_sample_whatever_the_batch():
    one, eight = inspect(nn.Conv2d(3, 8, 3), (3, 9, 9)), inspect(nn.Conv2d(3, 8, 3), torch.zeros(8, 3, 9, 9))
    assert one.macs == eight.macs and one.activation_bytes == eight.activation_bytes
    assert one.table() == eight.table()
    assert f"{one.macs:,} for one sample, {8 * one.macs:,} for 8" in str(eight)
    assert str(eight).startswith("Conv2d on a batch of 8 samples of 3×9×9; the table is of one\n")


def test_print_and_notebook_say_the_same_numbers():
    inspection = inspect(lambda: build("resnet18"), (3, 224, 224), name="resnet18")
    assert "11,689,512" in str(inspection) and "1,814,073,344 for one sample" in str(inspection)
    notebook = inspection._repr_html_()
    assert "11.69 M" in notebook and "<script" not in notebook and notebook.count("<svg") >= 3
    page = inspection.to_html()
    assert page.startswith("<!doctype html>") and not re.findall(r'(?:src|href)="(?!data:)', page)


def test_rich_prints_it():
    from rich.console import Console

    console = Console(width=100, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123 - closed with the test
    console.print(inspect(lambda: build("lenet5"), (1, 32, 32)))
    assert "61,706" in console.export_text()
    console.file.close()


def test_a_forward_that_fails_shows_what_ran():
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(10, 2))
    inspection = inspect(model, (3, 8, 8))
    assert inspection.error is not None and "288" in inspection.error
    assert inspection.layer("0").output_shape == (1, 8, 6, 6)
    assert "stopped:" in str(inspection) and "stopped" in inspection.to_html()
    assert inspection.to_dict()["error"] == inspection.error


def test_a_layer_by_a_name_that_is_nearly_right():
    inspection = inspect(lambda: build("lenet5"), (1, 32, 32))
    with pytest.raises(CaptureError, match="Did you mean flatten"):
        inspection.layer("flaten")


def test_two_kin_are_compared_layer_by_layer():
    comparison = compare(*(inspect(lambda n=n: build(n), (3, 224, 224), name=n) for n in ("resnet18", "resnet34")))
    assert [f.depth for f in comparison.figures] == [18, 34]
    assert all(d.first is None for d in comparison.differences) and len(comparison.differences) == 8 * 7
    assert "layer1.2" in str(comparison) and "1.86×" in str(comparison)
    strangers = compare(*(inspect(lambda n=n: build(n), (3, 224, 224), name=n) for n in ("resnet18", "vgg11")))
    assert strangers.differences == ()
    json.dumps(comparison.to_dict(), allow_nan=False)
