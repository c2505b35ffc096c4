"""Families of operations, by the names in `Node.op`, for several analyses."""

from __future__ import annotations

# They move elements and compute nothing.
MOVES = frozenset(
    {
        *("reshape", "squeeze", "unsqueeze", "flatten", "unflatten", "permute", "transpose", "expand", "repeat"),
        *("concat", "stack", "split", "unbind", "slice", "select", "slice_scatter", "select_scatter"),
        *("roll", "flip", "rot90", "pad", "reflect_pad", "replicate_pad", "circular_pad"),
        *("pixel_shuffle", "pixel_unshuffle", "channel_shuffle", "unfold", "im2col", "col2im"),
        *("diagonal", "as_strided", "clone", "cast", "copy", "contiguous", "lift_fresh_copy"),
        "new_empty",  # memory that a circular padding is then written into
    }
)

# They change neither shape nor positions nor values: not worth a row in a table.
COPIES = frozenset({"clone", "cast", "copy", "contiguous", "lift_fresh_copy"})

CONVOLUTIONS = frozenset({"convolution", "transposed_convolution"})

POOLINGS = frozenset(
    {"max_pool", "avg_pool", "adaptive_avg_pool", "adaptive_max_pool", "fractional_max_pool", "mean", "amax"}
)

# Functions of each number alone that networks have between their layers.
ACTIVATIONS = frozenset(
    {
        *("relu", "relu6", "hardtanh", "clamp_min", "threshold", "leaky_relu", "prelu", "elu", "selu", "celu", "gelu"),
        *("silu", "mish", "softplus", "hardswish", "hardsigmoid", "sigmoid", "tanh", "softsign"),
    }
)

# Activations whose slope goes to 0 on both sides, with the largest slope that they have.
SATURATING = {"sigmoid": 0.25, "tanh": 1.0, "softsign": 1.0, "hardsigmoid": 1 / 6}

# They divide by statistics, which they may take over positions.
NORMALIZATIONS = frozenset({"batch_norm", "group_norm", "layer_norm", "rms_norm"})

# Normalisations that subtract a mean per channel, so that a constant added to the channel before has no effect.
CENTRING = frozenset({"batch_norm", "instance_norm"})

# Modules of torch whose operation goes by another name inside: class -> the layer's name.
RENAMED = {
    "AdaptiveAvgPool1d": "adaptive_avg_pool",
    "AdaptiveAvgPool2d": "adaptive_avg_pool",
    "AdaptiveAvgPool3d": "adaptive_avg_pool",
    "Flatten": "flatten",
    "ReLU6": "relu6",
}

# Modules of torch that are one layer to everybody, though they run as several operations: class -> the layer's name.
COMPOSITES = {
    "LocalResponseNorm": "local_response_norm",
    "CrossMapLRN2d": "local_response_norm",
    "LPPool1d": "power_average_pool",
    "LPPool2d": "power_average_pool",
    "LPPool3d": "power_average_pool",
    "InstanceNorm1d": "instance_norm",
    "InstanceNorm2d": "instance_norm",
    "InstanceNorm3d": "instance_norm",
    "RMSNorm": "rms_norm",
    "Softmin": "softmin",
    "Softsign": "softsign",
    "Tanhshrink": "tanhshrink",
    "GLU": "glu",
    "Bilinear": "bilinear",
    "CosineSimilarity": "cosine_similarity",
    "MultiheadAttention": "multihead_attention",
    "RNN": "rnn",
    "LSTM": "lstm",
    "GRU": "gru",
    "EmbeddingBag": "embedding_bag",
}
