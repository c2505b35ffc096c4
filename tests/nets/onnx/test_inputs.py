"""Inputs of a file: their names, types and sizes are the file's; what it leaves open is asked for by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import convscope
from convscope.cli.main import cli
from convscope.errors import CaptureError
from onnx_files import made

onnx = pytest.importorskip("onnx")


@pytest.fixture
def two(tmp_path: Path) -> str:
    """An image of open sides, and a whole number by which a table of scales is looked up."""
    helper, kinds = onnx.helper, onnx.TensorProto
    nodes = [
        helper.make_node("Conv", ["image:0", "w"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Gather", ["table", "label"], ["s"]),
        helper.make_node("Unsqueeze", ["s", "axes"], ["u"]),
        helper.make_node("Mul", ["c", "u"], ["y"]),
    ]
    tensors = {"w": np.ones((4, 3, 3, 3), np.float32), "table": np.ones((10, 4), np.float32),
               "axes": np.array([2, 3])}  # fmt: skip
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info("image:0", kinds.FLOAT, ["N", 3, "h", "w"]),
         helper.make_tensor_value_info("label", kinds.INT64, ["N"])],
        [helper.make_tensor_value_info("y", kinds.FLOAT, ["N", 4, "h", "w"])],
        [onnx.numpy_helper.from_array(array, name) for name, array in tensors.items()],
    )  # fmt: skip
    path = tmp_path / "two.onnx"
    path.write_bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString())
    return str(path)


def test_open_sizes_of_one_input_are_enough(two: str) -> None:
    for given in ({"image:0": (3, 8, 9)}, (3, 8, 9), [(3, 8, 9), ()]):
        found = convscope.inspect(two, given)
        assert found.error is None and found.macs == 8 * 9 * 4 * 27
        assert found.graph.values[found.graph.inputs[1]].spec.dtype == "int64"
    three = convscope.inspect(two, {"image:0": (3, 8, 9)}, batch_size=3)
    assert three.error is None and three.macs == found.macs and three.graph.shape(three.graph.outputs[0])[0] == 3


def test_what_the_file_does_not_have_is_one_line(two: str) -> None:
    with pytest.raises(CaptureError, match=r"two leaves sizes open, image:0 of 3×h×w: give"):
        convscope.inspect(two)
    with pytest.raises(CaptureError, match=r"no input 'image'.*image:0"):
        convscope.inspect(two, {"image": (3, 8, 9)})
    with pytest.raises(CaptureError, match="takes 2 inputs"):
        convscope.inspect(two, [(3, 8, 9), (), ()])


def test_commands_take_one_input_by_name(two: str) -> None:
    for arguments in (["inspect"], ["field", "--layer", "conv"], ["audit"], ["compare", two]):
        result = CliRunner().invoke(cli, [arguments[0], two, *arguments[1:], "--input", "image:0=3x8x9"])
        assert result.exit_code == 0, result.output
    result = CliRunner().invoke(cli, ["inspect", two])
    assert str(result.exception).endswith("give --input image:0=3x224x224")


def test_explanation_says_what_the_other_inputs_are(two: str) -> None:
    found = convscope.explain(two, np.ones((3, 8, 9), np.float32), layer="conv", at=(4, 4))
    assert found.value == 27 and "what is given is image:0; 0 everywhere: label" in str(found)


def test_input_that_is_given_is_the_one_whose_samples_come_first(tmp_path: Path) -> None:
    """A waveform beside the state of a recurrent layer, none of whose open axes has a name."""
    helper, kinds = onnx.helper, onnx.TensorProto
    nodes = [helper.make_node("Unsqueeze", ["x", "axes"], ["u"]),
             helper.make_node("Add", ["u", "state"], ["y"])]  # fmt: skip
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info("state", kinds.FLOAT, [2, None, 8]),
         helper.make_tensor_value_info("x", kinds.FLOAT, [None, None])],
        [helper.make_tensor_value_info("y", kinds.FLOAT, None)], [onnx.numpy_helper.from_array(np.array([1]), "axes")],
    )  # fmt: skip
    path = tmp_path / "state.onnx"
    path.write_bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString())
    with pytest.raises(CaptureError, match=r"give .*\(2, 1, 8\).*\(224,\)"):
        convscope.inspect(str(path))
    found = convscope.inspect(str(path), {"x": (8,), "state": (2, 1, 8)})
    assert found.error is None and found.graph.shape(found.graph.outputs[0]) == (2, 1, 8)


def test_a_file_for_several_images_at_once_is_one_line(tmp_path: Path) -> None:
    nodes = [onnx.helper.make_node("GlobalAveragePool", ["images"], ["y"])]
    path = made(tmp_path / "four.onnx", nodes, {"images": (4, 3, 8, 9)}, ["y"])
    image = np.ones((1, 3, 8, 9), np.float32)
    with pytest.raises(CaptureError, match=r"^four takes images of 4×3×8×9 at once, and an image is one: export it"):
        convscope.look(path, image)
