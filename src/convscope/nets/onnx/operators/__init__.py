"""Every ONNX operator that is known, as torch operators; one family a file. What is not here is unknown, never 0."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from convscope.nets.onnx.operators import elementwise, layers, microsoft, quantized, resize, shape, windows
from convscope.nets.onnx.step import OnnxResult, OnnxStep, OnnxValue

OPERATORS: Mapping[str, Callable[[OnnxStep, Sequence[OnnxValue]], OnnxResult]] = {
    **elementwise.OPERATORS,
    **shape.OPERATORS,
    **windows.OPERATORS,
    **layers.OPERATORS,
    **resize.OPERATORS,
    **quantized.OPERATORS,
}

# Operators by domain; "" is ONNX itself.
BY_DOMAIN: Mapping[str, Mapping[str, Callable[[OnnxStep, Sequence[OnnxValue]], OnnxResult]]] = {
    "": OPERATORS,
    "com.microsoft": microsoft.OPERATORS,
}

# Inputs, by position, whose numbers are settings, as axes and sizes are; all others are tensors.
SETTINGS: Mapping[str, tuple[int, ...]] = {
    "Reshape": (1,), "Squeeze": (1,), "Unsqueeze": (1,), "Split": (1,), "Slice": (1, 2, 3, 4), "Expand": (1,),
    "Tile": (1, 2), "ConstantOfShape": (0,), "Range": (0, 1, 2), "Pad": (1, 2, 3), "Clip": (1, 2), "OneHot": (1, 2),
    "Trilu": (1,), "CumSum": (1,), "TopK": (1,), "Resize": (1, 2, 3), "Upsample": (1,), "Col2Im": (1, 2),
    "NonZero": (0,), "Dropout": (1, 2), "Gather": (1,), "GatherElements": (1,), "ScatterElements": (1,),
    "LSTM": (5, 6), "GRU": (5,), "RNN": (5,),
    **dict.fromkeys(("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2",
                     "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp"), (1,)),
}  # fmt: skip
# Inputs that are statistics, scales or first states, and no weights.
BUFFERS: Mapping[str, tuple[int, ...]] = {
    "BatchNormalization": (3, 4), "QuantizeLinear": (1, 2), "DequantizeLinear": (1, 2),
    "QLinearConv": (1, 2, 4, 5, 6, 7), "QLinearMatMul": (1, 2, 4, 5, 6, 7), "ConvInteger": (2, 3),
    "MatMulInteger": (2, 3), "LSTM": (4,), "GRU": (4,), "RNN": (4,),
    "QGemm": (1, 2, 4, 5, 7, 8), "DynamicQuantizeMatMul": (2, 3), "MatMulIntegerToFloat": (2, 3, 4, 5),
    **dict.fromkeys(("QLinearAdd", "QLinearMul"), (1, 2, 4, 5, 6, 7)),
    **dict.fromkeys(("QLinearSigmoid", "QLinearLeakyRelu", "QLinearSoftmax", "QLinearGlobalAveragePool",
                     "QLinearAveragePool"), (1, 2, 3, 4)),
}  # fmt: skip
# Inputs that are weights although they are whole numbers.
WHOLE_WEIGHTS: Mapping[str, tuple[int, ...]] = {
    "DequantizeLinear": (0,), "QLinearConv": (3, 8), "QLinearMatMul": (0, 3), "ConvInteger": (1,),
    "MatMulInteger": (0, 1), "QGemm": (3, 6), "DynamicQuantizeMatMul": (1,), "MatMulIntegerToFloat": (1,),
    "QLinearAdd": (0, 3), "QLinearMul": (0, 3),
}  # fmt: skip
# What a module calls its weights, by the position of the input.
WEIGHT_NAMES: Mapping[str, Mapping[int, str]] = {
    **{name: {1: "weight", 2: "bias"} for name in ("Conv", "ConvTranspose", "Gemm", "LayerNormalization",
       "InstanceNormalization", "GroupNormalization", "RMSNormalization", "FusedConv", "FusedGemm", "Attention",
       "SimplifiedLayerNormalization")},
    "SkipLayerNormalization": {2: "weight", 3: "bias", 4: "added"}, "BiasGelu": {1: "bias"}, "FastGelu": {1: "bias"},
    "SkipSimplifiedLayerNormalization": {2: "weight", 3: "added"}, "FusedMatMul": {0: "weight", 1: "weight"},
    "MultiHeadAttention": {3: "bias"}, "QGemm": {3: "weight", 6: "bias"},
    "DynamicQuantizeMatMul": {1: "weight", 4: "bias"}, "MatMulIntegerToFloat": {1: "weight", 6: "bias"},
    "BatchNormalization": {1: "weight", 2: "bias", 3: "running_mean", 4: "running_var"},
    "MatMul": {0: "weight", 1: "weight"}, "PRelu": {1: "weight"}, "Gather": {0: "weight"},
    "QLinearConv": {1: "x_scale", 2: "x_zero_point", 3: "weight", 4: "w_scale", 5: "w_zero_point", 6: "y_scale",
                    7: "y_zero_point", 8: "bias"},
    "DequantizeLinear": {0: "weight", 1: "scale", 2: "zero_point"}, "QuantizeLinear": {1: "scale", 2: "zero_point"},
    **{name: {1: "weight_ih", 2: "weight_hh", 3: "bias", 5: "hidden", 6: "cell"} for name in ("LSTM", "GRU", "RNN")},
}  # fmt: skip
