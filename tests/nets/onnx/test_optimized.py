"""Files that onnxruntime writes, loops written out, channels last: the same MACs and numbers as the network's own."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import convscope
from convscope.capture.load import load
from convscope.errors import CaptureError
from convscope.nets.onnx.model import read_model
from onnx_files import exported, made, trained

onnx = pytest.importorskip("onnx")
node = onnx.helper.make_node


class Attending(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True, activation="gelu")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.layer(x)
        return result


NETWORKS: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "convolutions": (nn.Sequential(nn.Conv2d(3, 8, 3), nn.LeakyReLU(), nn.Conv2d(8, 8, 3), nn.SiLU(),
                                   nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)), (3, 12, 12)),
    "attention": (Attending(), (9, 16)),
    "recurrent": (nn.LSTM(6, 5, batch_first=True), (7, 6)),
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_optimized_file_has_the_macs_and_numbers_of_its_source(name: str, tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    network, shape = NETWORKS[name]
    path = exported(trained(network), shape, tmp_path / "m.onnx")
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath, options.log_severity_level = str(tmp_path / "fused.onnx"), 4
    runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    found, wanted = convscope.inspect(str(tmp_path / "fused.onnx")), convscope.inspect(network, shape)
    assert found.error is None and not found.graph.uncounted
    assert (found.macs, found.parameters) == (wanted.macs, wanted.parameters)
    x = torch.rand(1, *shape)
    with torch.no_grad():
        made, own = load(tmp_path / "fused.onnx").module(x), network(x)  # type: ignore[misc]  # a file's is there
    first, theirs = (value[0] if isinstance(value, tuple) else value for value in (made, own))
    torch.testing.assert_close(first, theirs, rtol=1e-4, atol=1e-5)


def test_layers_of_8_bits_count_as_the_real_ones(tmp_path: Path) -> None:
    quantization = pytest.importorskip("onnxruntime.quantization")
    network, shape = NETWORKS["convolutions"]
    path = exported(trained(network), shape, tmp_path / "m.onnx")
    numbers = iter([{"input.1": np.random.default_rng(0).random((1, *shape), np.float32)}])

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]  # it has no types
        def get_next(self) -> Any:
            return next(numbers, None)

    options = {"quant_format": quantization.QuantFormat.QOperator}
    quantization.quantize_static(str(path), str(tmp_path / "q.onnx"), Reader(), **options)
    found, wanted = convscope.inspect(str(tmp_path / "q.onnx")), convscope.inspect(network, shape)
    assert found.error is None and not found.graph.uncounted
    assert (found.macs, found.parameters) == (wanted.macs, wanted.parameters)


def body(inner: Any = None) -> Any:
    """One convolution, or a loop of a body, of what goes around in a loop."""
    facts = onnx.helper.make_tensor_value_info
    once = node("Loop", ["n", "", "s"], ["o"], body=inner) if inner else node("Conv", ["s", "w"], ["o"], pads=[1] * 4)
    nodes = [once, node("Identity", ["go"], ["on"])]
    return onnx.helper.make_graph(nodes, "body", [facts("i", 7, []), facts("go", 9, []), facts("s", 1, None)],
                                  [facts("on", 9, []), facts("o", 1, None)])  # fmt: skip


def test_loop_of_a_constant_count_is_written_out(tmp_path: Path) -> None:
    weight = {"w": np.ones((3, 3, 3, 3), np.float32)}
    for count, macs in ((1, 5184), (4, 4 * 5184)):
        path = made(tmp_path / "m.onnx", [node("Loop", ["n", "", "x"], ["y"], body=body())], {"x": (1, 3, 8, 8)}, ["y"],
                    {**weight, "n": np.array(count)})  # fmt: skip
        found = convscope.inspect(str(path))
        assert (found.error, found.macs, found.parameters) == (None, macs, 81)
        assert found.network_field is not None
        assert [field.size for field in found.network_field.fields] == [1 + 2 * count] * 2
    path = made(
        tmp_path / "m.onnx", [node("Loop", ["", "", "x"], ["y"], body=body())], {"x": (1, 3, 8, 8)}, ["y"], weight
    )
    assert "Loop can't be followed (nothing ends it)" in str(convscope.inspect(str(path)).error)
    nested = node("Loop", ["n", "", "x"], ["y"], body=body(body()))
    path = made(tmp_path / "m.onnx", [nested], {"x": (1, 3, 8, 8)}, ["y"], {**weight, "n": np.array(100)})
    assert "loops run more than 5,000 nodes" in str(convscope.inspect(str(path)).error)


def test_while_loop_ends_by_its_condition(tmp_path: Path) -> None:
    facts = onnx.helper.make_tensor_value_info
    nodes = [node("Conv", ["s", "w"], ["o"], pads=[1] * 4), node("Less", ["i", "two"], ["on"])]
    inner = onnx.helper.make_graph(nodes, "body", [facts("i", 7, []), facts("go", 9, []), facts("s", 1, None)],
                                   [facts("on", 9, []), facts("o", 1, None)])  # fmt: skip
    # As torch's exporter writes `while`: a count that is none.
    tensors = {"w": np.ones((3, 3, 3, 3), np.float32), "two": np.array(2), "n": np.array(2**63 - 1)}
    path = made(tmp_path / "m.onnx", [node("Loop", ["n", "", "x"], ["y"], body=inner)], {"x": (1, 3, 8, 8)}, ["y"],
                tensors)  # fmt: skip
    found = convscope.inspect(str(path))
    assert (found.error, found.macs) == (None, 3 * 5184)


@pytest.mark.parametrize("settings", [{}, {"scan_input_directions": [1]}, {"scan_output_directions": [1]},
                                      {"scan_output_axes": [1]}])  # fmt: skip
def test_first_state_of_a_loop_is_a_tensor_of_the_file(tmp_path: Path, settings: dict[str, Any]) -> None:
    runtime, facts = pytest.importorskip("onnxruntime"), onnx.helper.make_tensor_value_info
    nodes = [node("Add", ["h", "v"], ["h2"]), node("Mul", ["h2", "v"], ["o"])]
    h, v, h2, o = (facts(name, 1, [3]) for name in ("h", "v", "h2", "o"))
    inner = onnx.helper.make_graph(nodes, "body", [h, v], [h2, o])
    scan = node("Scan", ["first", "x"], ["y", "rows"], body=inner, num_scan_inputs=1, **settings)
    path = made(tmp_path / "m.onnx", [scan], {"x": (4, 3)}, ["y", "rows"], {"first": np.arange(3, dtype=np.float32)},
                ir_version=9)  # fmt: skip
    x = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    wanted = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, {"x": x})
    for one, other in zip(read_model(path).network(torch.from_numpy(x)), wanted, strict=True):
        np.testing.assert_allclose(one.detach().numpy(), other, rtol=1e-5)


def test_constant_that_a_branch_or_a_body_gives_is_known(tmp_path: Path) -> None:
    facts = onnx.helper.make_tensor_value_info
    number = onnx.numpy_helper.from_array(np.array(3, np.float32))
    branch, other = (onnx.helper.make_graph([node("Constant", [], [f"{name}_out"], value=number)], name, [],
                                            [facts(f"{name}_out", 1, [])]) for name in ("then", "else"))  # fmt: skip
    go = node("Constant", [], ["on"], value=onnx.numpy_helper.from_array(np.array(True)))
    inner = onnx.helper.make_graph([node("Mul", ["s", "three"], ["o"]), go], "body",
                                   [facts("i", 7, []), facts("go", 9, []), facts("s", 1, None)],
                                   [facts("on", 9, []), facts("o", 1, None)])  # fmt: skip
    nodes = [node("If", ["yes"], ["three"], then_branch=branch, else_branch=other),
             node("Loop", ["n", "", "x"], ["y"], body=inner)]  # fmt: skip
    path = made(tmp_path / "m.onnx", nodes, {"x": (1, 2)}, ["y"], {"yes": np.array(True), "n": np.array(2)})
    assert read_model(path).network(torch.tensor([[1.0, -2.0]])).tolist() == [[9, -18]]
    assert convscope.inspect(str(path)).error is None


def test_functions_of_one_name_are_told_apart(tmp_path: Path) -> None:
    sets = [onnx.helper.make_opsetid("", 20), onnx.helper.make_opsetid("own", 1)]
    functions = [
        onnx.helper.make_function("own", "F", ["a"], ["b"], [node(operator, ["a"], ["b"])], sets, overload=which)
        for operator, which in (("Neg", "first"), ("Abs", "second"))
    ]
    calls = [node("F", ["x"], ["y"], domain="own", overload="first"),
             node("F", ["y"], ["z"], domain="own", overload="second")]  # fmt: skip
    path = made(tmp_path / "m.onnx", calls, {"x": (1, 2)}, ["y", "z"], functions=functions, opset_imports=sets)
    y, z = read_model(path).network(torch.tensor([[1.0, -2.0]]))
    assert y.tolist() == [[-1, 2]] and z.tolist() == [[1, 2]]


def test_channels_of_an_input_come_first(tmp_path: Path) -> None:
    nodes = [node("Sub", ["x", "m"], ["s"]), node("Transpose", ["s"], ["t"], perm=[0, 3, 1, 2]),
             node("Conv", ["t", "w"], ["y"], strides=[2, 2], name="conv")]  # fmt: skip
    tensors = {"m": np.float32(0.5), "w": np.ones((8, 3, 3, 5), np.float32)}
    path = str(made(tmp_path / "m.onnx", nodes, {"x": ("N", 32, 24, 3)}, ["y"], tensors))
    found = convscope.inspect(path)
    assert found.graph.shape(found.graph.inputs[0]) == (1, 3, 32, 24) and "channels last" in str(found)
    assert convscope.field(path, "conv", (1, 2)).spans == ((2, 4), (4, 8))
    image = np.random.default_rng(0).random((3, 32, 24), np.float32)
    value = convscope.explain(path, image, layer="conv", at=(1, 2)).value
    assert value == pytest.approx(float((image[:, 2:5, 4:9] - 0.5).sum()), rel=1e-4)
    if pytest.importorskip("onnxruntime"):
        assert any("digits are left" in note for note in convscope.audit(path).notes)


def test_node_without_its_inputs_is_one_line(tmp_path: Path) -> None:
    for operator, settings in (("Gemm", {}), ("LSTM", {"hidden_size": 3}), ("MaxPool", {}), ("Softmax", {"axis": 9})):
        path = made(tmp_path / "m.onnx", [node(operator, ["x"], ["y"], **settings)], {"x": (1, 3, 8, 8)}, ["y"])
        assert f"{operator} lacks an input or a setting" in str(convscope.inspect(str(path)).error)
        with pytest.raises(CaptureError):
            convscope.audit(str(path))


def test_text_that_a_node_makes_is_one_line(tmp_path: Path) -> None:
    path = made(tmp_path / "m.onnx", [node("Cast", ["x"], ["y"], to=8)], {"x": (1, 3)}, ["y"])
    assert "Cast can't be followed (it casts to element type 8)" in str(convscope.inspect(str(path)).error)


def test_copy_of_a_network_computes_the_same(tmp_path: Path) -> None:
    nodes = [node("Conv", ["x", "w"], ["c"]), node("Relu", ["c"], ["y"])]
    path = made(tmp_path / "m.onnx", nodes, {"x": (1, 3, 8, 8)}, ["y"], {"w": np.ones((2, 3, 3, 3), np.float32)})
    network, x = read_model(path).network, torch.rand(1, 3, 8, 8)
    assert torch.equal(copy.deepcopy(network)(x), network(x))


def test_even_window_of_channels_has_one_more_behind(tmp_path: Path) -> None:
    path = made(
        tmp_path / "m.onnx", [node("LRN", ["x"], ["y"], size=2, alpha=0.5, beta=0.6)], {"x": (1, 3, 1, 1)}, ["y"]
    )
    x = torch.tensor([1.0, 2.0, 3.0]).reshape(1, 3, 1, 1)
    wanted = [n / (1 + 0.25 * s) ** 0.6 for n, s in ((1, 1 + 4), (2, 4 + 9), (3, 9))]  # the operator's definition
    torch.testing.assert_close(load(path).module(x).ravel(), torch.tensor(wanted))  # type: ignore[misc]
