"""Operators of ONNX as torch runs them, held to onnx's own reference and to the cases that its backends must pass."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from convscope.nets.onnx.model import read_model
from convscope.nets.onnx.network import OnnxNetwork
from convscope.nets.onnx.operators import BY_DOMAIN
from convscope.nets.onnx.plan import plan_of
from convscope.nets.onnx.step import OnnxStep
from onnx_files import made

onnx = pytest.importorskip("onnx")
SIZES = np.array([1, 2, 7, 4], np.int64)
WEIGHT = np.linspace(-1, 1, 54, dtype=np.float32).reshape(3, 2, 3, 3)

CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "same upper": ("Conv", {"w": WEIGHT}, {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    "same lower": ("Conv", {"w": WEIGHT}, {"auto_pad": "SAME_LOWER", "strides": [2, 3]}),
    "uneven padding": ("Conv", {"w": WEIGHT}, {"pads": [0, 1, 2, 1]}),
    "transposed, uneven": ("ConvTranspose", {"w": WEIGHT[:2]}, {"strides": [2, 2], "pads": [0, 1, 1, 0]}),
    "mean, ends apart": ("AveragePool", {}, {"kernel_shape": [3, 3], "pads": [1, 0, 1, 1], "strides": [2, 1]}),
    "mean of dilated": ("AveragePool", {}, {"kernel_shape": [2, 2], "dilations": [2, 2]}),
    "maximum, rounded up": ("MaxPool", {}, {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}),
    **{
        f"{mode} {where}": ("Resize", {"r": np.zeros(0, np.float32), "s": np.zeros(0, np.float32), "z": SIZES},
                            {"mode": mode, "coordinate_transformation_mode": where})
        for mode in ("nearest", "linear", "cubic")
        for where in ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel", "half_pixel_symmetric")
    },
    "cubic, outside left out": ("Resize", {"r": np.zeros(0, np.float32), "s": np.array([1, 1, 1.5, 2], np.float32)},
                                {"mode": "cubic", "exclude_outside": 1, "cubic_coeff_a": -0.5}),
    "slice from the back": ("Slice", {"b": np.array([4, -1]), "e": np.array([-99, 0]), "a": np.array([2, 3]),
                                      "t": np.array([-2, -1])}, {}),
    "maximum, windows in the padding": ("MaxPool", {}, {"kernel_shape": [3, 3], "strides": [3, 3], "ceil_mode": 1,
                                                        "pads": [0, 0, 2, 2]}),
    "mean, windows in the padding": ("AveragePool", {}, {"kernel_shape": [3, 3], "strides": [3, 3], "ceil_mode": 1,
                                                         "pads": [0, 0, 2, 2]}),
    "norm, windows in the padding": ("LpPool", {}, {"kernel_shape": [3, 3], "strides": [3, 3], "ceil_mode": 1,
                                                    "pads": [0, 0, 2, 2]}),
    "variance 1": ("MeanVarianceNormalization", {}, {"axes": [1, 2, 3]}),
    "edge": ("Pad", {"p": np.array([0, 0, 1, 0, 0, 0, 0, 2])}, {"mode": "edge"}),
    "reflect, channels too": ("Pad", {"p": np.array([0, 1, 0, 2, 0, 0, 0, 1])}, {"mode": "reflect"}),
    "depth to space": ("SpaceToDepth", {}, {"blocksize": 1}),
    "norm of groups": ("GroupNormalization", {"s": np.ones(2, np.float32), "b": np.ones(2, np.float32)},
                       {"num_groups": 1}),
    "quantized": ("QuantizeLinear", {"s": np.array([0.1, 0.2], np.float32), "z": np.array([3, 4], np.uint8)},
                  {"axis": 1}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_node_gives_what_onnx_gives(name: str, tmp_path: Path) -> None:
    from onnx.reference import ReferenceEvaluator

    operator, tensors, settings = CASES[name]
    node = onnx.helper.make_node(operator, ["x", *tensors], ["y"], **settings)
    opset = [onnx.helper.make_opsetid("", 21 if operator == "GroupNormalization" else 20)]
    path = made(tmp_path / "m.onnx", [node], {"x": (1, 2, 5, 6)}, ["y"], tensors, opset_imports=opset)
    x = np.random.default_rng(0).normal(size=(1, 2, 5, 6)).astype(np.float32)
    (wanted,) = ReferenceEvaluator(str(path)).run(None, {"x": x})
    found = read_model(path).network(torch.from_numpy(x)).detach().numpy()
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found.astype(float), wanted.astype(float), rtol=1e-4, atol=1e-5)


# Numbers by hand: operator, version, settings, inputs, what comes out.
BY_HAND: dict[str, tuple[str, int, dict[str, Any], list[Any], list[float]]] = {
    "norm, the last window hangs over": (
        "LpPool", 18, {"kernel_shape": [3], "strides": [2], "ceil_mode": 1, "p": 1},
        [torch.arange(1.0, 7.0).reshape(1, 1, 6)], [1 + 2 + 3, 3 + 4 + 5, 5 + 6]),
    **{f"transposed, beyond its windows, {rule}": (
        "ConvTranspose", 11, {"strides": [3], **more},
        [torch.tensor([[[1.0, 2.0]]]), torch.ones(1, 1, 1), torch.tensor([0.5])], [1.5, 0.5, 0.5, 2.5, 0.5, 0.5])
       for rule, more in (("size given", {"output_shape": [6]}), ("same lower", {"auto_pad": "SAME_LOWER"}))},
    "slice from before the front, backwards": (
        "Slice", 13, {}, [torch.arange(4.0), np.array([-9]), np.array([-(2**63)]), np.array([0]), np.array([-1])], [0]),
    "norm of maps of one position": (
        "InstanceNormalization", 6, {}, [torch.ones(1, 2, 1, 1), torch.ones(2), torch.tensor([3.0, 4.0])], [3, 4]),
    "norm without a domain, as onnxruntime writes it": (
        "SimplifiedLayerNormalization", 18, {"axis": -1},
        [torch.tensor([[3.0, 4.0]]), torch.tensor([1.0, 10.0])], [3 / 12.5**0.5, 40 / 12.5**0.5]),
    "a coordinate on a position is not rounded down": (
        "Resize", 13, {"mode": "nearest", "nearest_mode": "floor"},
        [torch.arange(1.0, 6.0).reshape(1, 1, 5), None, np.array([1, 1, 0.6], np.float32)], [1, 3, 4]),
    "smaller, by the first Resize": (
        "Resize", 10, {"mode": "nearest"},
        [torch.arange(1.0, 9.0).reshape(1, 1, 2, 4), np.array([1, 1, 0.6, 0.6], np.float32)], [1, 3]),
}  # fmt: skip


@pytest.mark.parametrize("name", BY_HAND)
def test_node_gives_what_is_worked_out_by_hand(name: str) -> None:
    operator, version, settings, inputs, wanted = BY_HAND[name]
    step = OnnxStep(operator, "", version, ("x",), ("y",), settings)
    made = BY_DOMAIN[""][operator](step, inputs)
    assert isinstance(made, torch.Tensor)
    np.testing.assert_allclose(made.ravel().numpy(), wanted, rtol=1e-5)


def test_single_numbers_are_operands_as_tensors_are(tmp_path: Path) -> None:
    from onnx.reference import ReferenceEvaluator

    nodes = [onnx.helper.make_node(*one) for one in (
        ("Greater", ["x", "two"], ["g"]), ("And", ["yes", "g"], ["a"]), ("Xor", ["a", "yes"], ["b"]),
        ("Or", ["b", "no"], ["c"]), ("Where", ["c", "x", "two"], ["w"]))]  # fmt: skip
    nodes.append(onnx.helper.make_node("Mod", ["two", "w"], ["y"], fmod=1))
    tensors = {"two": np.array(2, np.float32), "yes": np.array(True), "no": np.array(False)}
    path = made(tmp_path / "m.onnx", nodes, {"x": (1, 4)}, ["y"], tensors)
    x = np.array([[0.75, 3.0, -1.5, 2.0]], np.float32)
    (wanted,) = ReferenceEvaluator(str(path)).run(None, {"x": x})
    np.testing.assert_allclose(read_model(path).network(torch.from_numpy(x)).detach().numpy(), wanted)


def test_a_scale_gives_the_size_that_onnxruntime_and_torch_give(tmp_path: Path) -> None:
    tensors = {"r": np.zeros(0, np.float32), "s": np.array([1, 1, 1.4, 2], np.float32)}
    node = onnx.helper.make_node("Resize", ["x", *tensors], ["y"])
    path = made(tmp_path / "m.onnx", [node], {"x": (1, 2, 5, 6)}, ["y"], tensors)
    x = torch.ones(1, 2, 5, 6)
    assert read_model(path).network(x).shape == torch.nn.functional.interpolate(x, scale_factor=(1.4, 2)).shape


def test_two_numbers_to_choose_from_keep_their_type() -> None:
    step, choice = OnnxStep("Where", "", 16, ("c", "a", "b"), ("y",), {}), torch.tensor([True, False])
    for kind in (np.int32, np.float64, np.float32, np.int64):
        made = BY_DOMAIN[""]["Where"](step, [choice, np.array(2, kind), np.array(-1, kind)])
        assert isinstance(made, torch.Tensor) and made.tolist() == [2, -1] and made.numpy().dtype == kind


def test_zeros_are_quantized_to_zeros() -> None:
    step = OnnxStep("DynamicQuantizeLinear", "", 11, ("x",), ("y", "scale", "zero"), {})
    y, scale, zero = BY_DOMAIN[""]["DynamicQuantizeLinear"](step, [torch.zeros(2, 3)])
    assert not y.any() and zero == 0 and scale > 0 and scale.isfinite()


def test_numbers_of_16_bits_are_quantized_as_the_type_says() -> None:
    x, scale = torch.tensor([-1.0, 0.25, 1e6]), torch.tensor(0.5)
    step = OnnxStep("QuantizeLinear", "", 21, ("x", "s"), ("y",), {"output_dtype": 5})
    y = BY_DOMAIN[""]["QuantizeLinear"](step, [x, scale])
    assert isinstance(y, torch.Tensor) and y.dtype is torch.int16 and y.tolist() == [-2, 0, 32767]
    # What onnxruntime's quantizer writes where the operator set has no 16 bits.
    step, zero = OnnxStep("QuantizeLinear", "com.microsoft", 1, ("x", "s", "z"), ("y",), {}), torch.tensor(3).short()
    y = BY_DOMAIN["com.microsoft"]["QuantizeLinear"](step, [x, scale, zero])
    back = BY_DOMAIN["com.microsoft"]["DequantizeLinear"](step, [y, scale, zero])
    assert isinstance(y, torch.Tensor) and y.tolist() == [1, 3, 32767]
    assert isinstance(back, torch.Tensor) and back.tolist() == [-1, 0, 16382]


def test_an_index_beyond_the_classes_is_none_of_them() -> None:
    step = OnnxStep("OneHot", "", 11, ("x", "d", "v"), ("y",), {})
    index, values = torch.tensor([0, -1, 3, -4]), np.array([0.0, 5.0], np.float32)
    found = BY_DOMAIN[""]["OneHot"](step, [index, np.array(3), values])
    assert found.tolist() == [[5, 0, 0], [0, 0, 5], [0, 0, 0], [0, 0, 0]]


@pytest.mark.long  # some 1,700 cases
def test_cases_of_onnx_backends() -> None:
    """Every case is equal, or says that it is not known; unsigned arithmetic of 16 bits and more is not torch's."""
    from onnx.backend.test.loader import load_model_tests

    right, wrong = 0, []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = load_model_tests(kind="node")
    for case in cases:
        inputs, wanted = case.data_sets[0]
        if any(value is None or isinstance(value, list | tuple | dict) for value in (*inputs, *wanted)):
            continue  # sequences and optional values
        arrays = [np.asarray(value) for value in (*inputs, *wanted)]
        if any(array.dtype.kind not in "fiub" for array in arrays) or not arrays:
            continue
        try:
            network = OnnxNetwork(plan_of(case.model, path=Path("m.onnx"), newest=99))
            given = map(torch.from_numpy, map(np.array, inputs))
            # What the file takes with its channels last is given with its channels first.
            made = network(*(x.movedim(-1, 1) if name in network.channels_last else x
                             for name, x in zip(network.plan.inputs, given, strict=True)))  # fmt: skip
        except Exception as problem:
            if not any(w in f"{problem}" for w in ("not known", "followed", "no input", "is a ", "elements of type",
                                                   "not implemented")):  # fmt: skip
                wrong.append((case.name, str(problem)[:80]))
            continue
        for found, value in zip([made] if isinstance(made, torch.Tensor) else made, wanted, strict=True):
            numbers = (found.float() if found.dtype is torch.bfloat16 else found).detach().numpy()
            if numbers.shape != value.shape or not np.allclose(numbers.astype(float), value.astype(float), 1e-3, 1e-4,
                                                               equal_nan=True):  # fmt: skip
                wrong.append((case.name, "another value"))
        right += 1
    assert wrong == []
    assert right > 800
