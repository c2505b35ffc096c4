"""ONNX files from strangers: refused in one line, nothing read outside their folder, nothing without bound."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from convscope.capture.capture import capture
from convscope.errors import CaptureError
from convscope.nets.onnx.model import read_model
from onnx_files import made

onnx = pytest.importorskip("onnx")
WEIGHT = np.ones((2, 3, 3, 3), np.float32)


def node(operator: str, inputs: list[str], outputs: list[str], **settings: Any) -> Any:
    return onnx.helper.make_node(operator, inputs, outputs, **settings)


def plain(path: Path, **more: Any) -> Path:
    return made(path, [node("Conv", ["x", "w"], ["y"])], {"x": (1, 3, 8, 8)}, ["y"], {"w": WEIGHT}, **more)


def changed(path: Path, change: Callable[[Any], None]) -> Path:
    model = onnx.load_model_from_string(plain(path).read_bytes())
    change(model)
    path.write_bytes(model.SerializeToString())
    return path


def outside(model: Any, location: str) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = 1
    for key, value in (("location", location), ("offset", "0"), ("length", "216")):
        tensor.external_data.add(key=key, value=value)


def calls_itself(model: Any) -> None:
    inner = node("F", ["a"], ["b"], domain="own")
    sets = [onnx.helper.make_opsetid("", 20), onnx.helper.make_opsetid("own", 1)]
    model.functions.append(onnx.helper.make_function("own", "F", ["a"], ["b"], [inner], sets))
    model.opset_import.append(sets[1])
    model.graph.node[0].CopyFrom(node("F", ["x"], ["y"], domain="own"))


def doubles(model: Any) -> None:
    """Each function calls the next one twice, 40 deep."""
    sets = [onnx.helper.make_opsetid("", 20), onnx.helper.make_opsetid("own", 1)]
    for i in range(25):
        calls = [node(f"F{i + 1}", ["a"], ["c"], domain="own"), node(f"F{i + 1}", ["c"], ["b"], domain="own")]
        model.functions.append(onnx.helper.make_function("own", f"F{i}", ["a"], ["b"], calls, sets))
    model.functions.append(onnx.helper.make_function("own", "F25", ["a"], ["b"], [node("Relu", ["a"], ["b"])], sets))
    model.opset_import.append(sets[1])
    model.graph.node[0].CopyFrom(node("F0", ["x"], ["y"], domain="own"))


CHANGES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "size": (lambda m: m.graph.initializer[0].dims.append(9), "needs 1,944 bytes, and the file has 216"),
    "negative": (lambda m: m.graph.initializer[0].dims.__setitem__(0, -2), r"its shape is \[-2, 3, 3, 3\]"),
    "huge": (lambda m: m.graph.initializer[0].dims.extend([2**60, 2**60]), "bytes, and the file has 216"),
    "type": (lambda m: setattr(m.graph.initializer[0], "data_type", 77), "elements of type 77"),
    "input of text": (
        lambda m: setattr(m.graph.input[0].type.tensor_type, "elem_type", 8),
        "input 'x' has elements of",
    ),
    "text": (lambda m: setattr(m.graph.initializer[0], "data_type", 8), "elements of type 8"),
    "cycle": (lambda m: m.graph.node[0].input.__setitem__(0, "y"), "reads 'y', which nothing before it makes: a cycle"),
    "twice": (lambda m: m.graph.node.append(m.graph.node[0]), "'y' is made twice"),
    "empty": (lambda m: m.graph.ClearField("node"), "its graph is empty"),
    "no output": (lambda m: m.graph.ClearField("output"), "no output"),
    "no input": (lambda m: m.graph.ClearField("input"), "takes no input"),
    "unknown set": (lambda m: setattr(m.opset_import[0], "version", 999), "operator set 999: sets 1 to"),
    "long name": (lambda m: setattr(m.graph.initializer[0], "name", "w" * 100_000), "a name of 100,000 characters"),
    "absolute": (lambda m: outside(m, "/etc/passwd"), "outside the model's folder"),
    "parent": (lambda m: outside(m, "../secret.bin"), "outside the model's folder"),
    "missing": (lambda m: outside(m, "weights.bin"), "kept in 'weights.bin'"),
    "link": (lambda m: outside(m, "link.bin"), "outside the model's folder"),
    "short": (lambda m: outside(m, "short.bin"), "'short.bin' ends before tensor 'w'"),
    "folder": (lambda m: outside(m, "."), "not a regular file"),
    "recursion": (calls_itself, "function 'F' calls itself"),
    "functions": (doubles, "more than|nest too deeply"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_damaged_model_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    (tmp_path / "secret.bin").write_bytes(bytes(1000))
    home = tmp_path / "home"
    home.mkdir()
    (home / "short.bin").write_bytes(bytes(100))
    (home / "link.bin").symlink_to(tmp_path / "secret.bin")
    change, message = CHANGES[name]
    path = changed(home / "model.onnx", change)
    with pytest.raises(CaptureError, match=message) as refused:
        read_model(path)
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 400


def test_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    whole = plain(tmp_path / "whole.onnx").read_bytes()
    with zipfile.ZipFile(tmp_path / "zip", "w") as archive:
        archive.writestr("a", "b")
    contents = {"empty": b"", "text": b"hello there", "zeros": bytes(500), "zip": (tmp_path / "zip").read_bytes(),
                **{f"cut {n}": whole[:n] for n in range(1, len(whole), 41)}}  # fmt: skip
    for name, content in contents.items():
        path = tmp_path / "model.onnx"
        path.write_bytes(content)
        with pytest.raises(CaptureError) as refused:
            read_model(path)
        assert "\n" not in str(refused.value), name
    with pytest.raises(CaptureError, match="no such file"):
        read_model(tmp_path / "none.onnx")
    os.mkfifo(tmp_path / "pipe.onnx")
    with pytest.raises(CaptureError, match="pipe"):
        read_model(tmp_path / "pipe.onnx")
    with (tmp_path / "large.onnx").open("wb") as file:
        file.truncate(3 * 2**30)
    with pytest.raises(CaptureError, match=r"limit|large"):
        read_model(tmp_path / "large.onnx")


def test_tensors_beside_the_file_are_read(tmp_path: Path) -> None:
    path = changed(tmp_path / "model.onnx", lambda m: outside(m, "weights.bin"))
    (tmp_path / "weights.bin").write_bytes(WEIGHT.tobytes())
    weight = next(read_model(path).network.parameters())
    assert weight.shape == WEIGHT.shape and bool((weight == 1).all())


def test_sizes_that_no_memory_holds_cost_none(tmp_path: Path) -> None:
    nodes = [node("ConstantOfShape", ["s"], ["c"]), node("ReduceMax", ["c"], ["m"]), node("Add", ["x", "m"], ["y"])]
    shape = {"s": np.array([2**20, 2**20], np.int64)}
    graph = capture(read_model(made(tmp_path / "m.onnx", nodes, {"x": (1, 3)}, ["y"], shape)).network, (3,))
    assert graph.error is None and graph.shape(graph.outputs[0]) == (1, 3)
    with pytest.raises(CaptureError, match="an axis of 2,147,483,648"):
        capture(read_model(plain(tmp_path / "side.onnx")).network, (3, 2**31, 8))
    limits = {name: np.array(value, np.float32) for name, value in (("a", 0), ("b", 1), ("d", 1e-9))}
    counted = [node("Range", ["a", "b", "d"], ["r"]), node("ReduceMax", ["r"], ["m"]), node("Add", ["x", "m"], ["y"])]
    network = read_model(made(tmp_path / "m.onnx", counted, {"x": (1, 3)}, ["y"], limits)).network
    with pytest.raises(CaptureError, match=r"Range .* numbers can't be computed"):
        network(torch.zeros(1, 3))
    for wrong in (2**62, -5):
        shape = {"s": np.array([wrong, 2], np.int64)}
        graph = capture(read_model(made(tmp_path / "m.onnx", nodes, {"x": (1, 3)}, ["y"], shape)).network, (3,))
        assert graph.error is not None and "\n" not in graph.error


def test_unknown_operator_is_listed_and_never_0(tmp_path: Path) -> None:
    nodes = [
        node("Conv", ["x", "w"], ["c"]),
        node("Fused", ["c"], ["f"], domain="com.example"),
        node("Relu", ["f"], ["y"]),
    ]
    path = made(tmp_path / "m.onnx", nodes, {"x": (1, 3, 8, 8)}, ["y"], {"w": WEIGHT})
    graph = capture(read_model(path).network, (3, 8, 8))
    assert graph.error is not None and "com.example.Fused" in graph.error
    model = onnx.load_model_from_string(path.read_bytes())
    model.graph.value_info.append(onnx.helper.make_tensor_value_info("f", 1, [1, 2, 6, 6]))
    path.write_bytes(model.SerializeToString())
    graph = capture(read_model(path).network, (3, 8, 8))
    (unknown,) = graph.uncounted
    assert (unknown.op, unknown.macs, unknown.paths) == ("com.example.Fused", None, None)
    assert graph.error is None and graph.shape(graph.outputs[0]) == (1, 2, 6, 6)


def test_input_of_one_axis_that_fails_is_one_line(tmp_path: Path) -> None:
    from click.testing import CliRunner

    from convscope.cli.main import cli

    branches = {"then_branch": 3, "else_branch": "abc"}
    path = made(
        tmp_path / "m.onnx", [node("If", ["c"], ["y"], **branches)], {"x": (1, 3)}, ["y"], {"c": np.array(True)}
    )
    assert "If can't be followed" in str(CliRunner().invoke(cli, ["inspect", str(path)]).exception)
