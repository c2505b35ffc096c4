"""Why a forward pass stopped, in one line: the module, the operation, the shapes, and what does not fit."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from convscope.capture.recording.module_calls import ModuleCalls
from convscope.capture.recording.recorder import Failure
from convscope.errors import GeometryError
from convscope.geometry.convolution import per_axis
from convscope.geometry.window import Window
from convscope.report.units import plural
from convscope.report.usage import are_options, setting_name

# The axes of a sample, by how many its batch has.
AXES = {3: "channels and length", 4: "channels, rows and columns", 5: "channels, depth, rows and columns"}


# What torch says of batch normalisation on one value per channel, and what we say.
NEEDS_TWO = "Expected more than 1 value per channel when training"
TWO_SAMPLES = "one value per channel: it needs two samples"

# What torch says of indices that are no whole numbers, and what we say.
NEEDS_INDICES = ("scalar types: Long, Int", "expected indices to be long or int")
WHOLE_NUMBERS = "its indices must be whole numbers"

QUANTIZED = "its weights are packed, as quantization leaves them, and can't be read: give the network before that"


def explain(problem: BaseException, failure: Failure | None, calls: ModuleCalls) -> str:
    """Return one line for what stopped a forward pass.

    Args:
        problem: the exception that left the model.
        failure: the last operation that failed, if any did.
        calls: the modules; the innermost that the exception left is named.
    """
    left = calls.failed
    path, kind, given = (left.path, left.kind, left.shapes) if left is not None else ("", "the model", ())
    where = f"{path} ({kind})" if path else kind
    if NEEDS_TWO in str(problem) and given:
        return f"{where} normalises over the batch in training mode, and {written(given)} has {TWO_SAMPLES}"
    if failure is None or not _is_cause(failure.problem, problem):
        shapes = f" on {written(given)}" if given else ""
        return f"{where} failed{shapes}: {_too_many_axes(problem, given) or first_line(problem)}"
    if failure.operator.base.startswith("quantized::"):
        return f"{where} is quantized: {QUANTIZED}"
    operation = failure.operator.base.lstrip("_").removesuffix("_with_indices")
    reason = _missing_axis(failure, given) or _reason(failure) or first_line(failure.problem)
    if any(words in reason for words in NEEDS_INDICES):
        example = "40:int64" if are_options() else 'TensorSpec((1, 40), "int64")'
        reason = f"{WHOLE_NUMBERS}: give {setting_name('input_shape')} a type, such as {example}"
    return f"{where}: {operation} of {written(failure.shapes)} failed: {reason}"


def is_misfit(problem: BaseException, failure: Failure | None) -> bool:
    """Return whether the forward pass stopped because of shapes that do not fit."""
    return failure is not None and _is_cause(failure.problem, problem) and _reason(failure) is not None


def first_line(problem: BaseException) -> str:
    """Return the first line of an exception's message; its class too where the message is bare without it.

    >>> first_line(KeyError("logits"))
    "KeyError: 'logits'"
    """
    if isinstance(problem, SystemExit):
        return f"it ends the program (exit {problem.code})"
    lines = str(problem).strip().splitlines()
    if not lines:
        return type(problem).__name__
    return f"{type(problem).__name__}: {lines[0]}" if isinstance(problem, LookupError | AssertionError) else lines[0]


def written(shapes: tuple[tuple[int, ...], ...]) -> str:
    """Return the shapes in words: "1x3x8x8, 8x3x3x3"."""
    return " and ".join("x".join(map(str, shape)) if shape else "one number" for shape in shapes)


def _is_cause(cause: BaseException, problem: BaseException | None) -> bool:
    while problem is not None:
        if problem is cause:
            return True
        problem = problem.__cause__ or problem.__context__
    return False


def _reason(failure: Failure) -> str | None:
    base = failure.operator.base
    for prefix, reason in _REASONS.items():
        if base.startswith(prefix):
            return reason(failure.arguments)
    return None


def _too_many_axes(problem: BaseException, given: tuple[tuple[int, ...], ...]) -> str | None:
    """Return the error for an input of a convolution with more axes than a batch of maps."""
    found = re.match(r"Expected \dD \(unbatched\) or (\d)D \(batched\) input to conv", first_line(problem))
    if found is None or len(given) != 1 or int(found[1]) not in AXES:
        return None
    return f"each sample needs {AXES[int(found[1])]}; it gets {written((given[0][1:],))}"


def _missing_axis(failure: Failure, given: tuple[tuple[int, ...], ...]) -> str | None:
    """Return the error for an input without the batch or channel axis."""
    if failure.operator.base != "convolution" or not given:
        return None
    x, weight = failure.arguments["input"], failure.arguments["weight"]
    if len(given[0]) != len(x) - 1 or given[0][0] != 1 or len(x) not in AXES:
        return None
    if len(weight) != len(x):
        return f"its weight has {plural(len(weight), 'axis', 'axes')}, and needs {len(x)}"
    channels = weight[0] if failure.arguments["transposed"] else weight[1] * failure.arguments["groups"]
    return f"each sample needs {AXES[len(x)]}, {plural(channels, 'channel')} first; it gets {written((given[0][1:],))}"


def _convolution(settings: Mapping[str, Any]) -> str | None:
    x, weight = settings["input"], settings["weight"]
    groups = settings["groups"]
    if len(weight) != len(x) or len(x) < 3:
        return f"its weight has {plural(len(weight), 'axis', 'axes')}, and its input {len(x)}"
    channels = weight[0] if settings["transposed"] else weight[1] * groups
    if x[1] != channels:
        return f"it takes {plural(channels, 'channel')}, and gets {x[1]}"
    if settings["transposed"]:
        return None
    return _misfit(x[2:], weight[2:], settings["stride"], settings["padding"], settings["dilation"])


def _pooling(settings: Mapping[str, Any]) -> str | None:
    kernel = settings["kernel_size"]
    axes = len(kernel)
    sizes = settings["self"][-axes:]
    dilation, ceil_mode = settings.get("dilation", 1), bool(settings["ceil_mode"])
    return _misfit(sizes, kernel, settings["stride"] or kernel, settings["padding"], dilation, ceil_mode=ceil_mode)


def _misfit(
    sizes: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, *, ceil_mode: bool = False
) -> str | None:
    axes = len(sizes)
    settings = zip(
        sizes, *(per_axis(n, v, axes) for n, v in zip("kspd", (kernel, stride, padding, dilation), strict=True)),
        strict=True,
    )  # fmt: skip
    for size, k, s, p, d in settings:
        try:
            Window(
                kernel_size=k, stride=s, padding_before=p, padding_after=p, dilation=d, ceil_mode=ceil_mode
            ).output_size(size)
        except GeometryError as misfit:
            return str(misfit)
    return None


def _linear(settings: Mapping[str, Any]) -> str | None:
    x, weight = settings["mat1"], settings["mat2"]
    return f"it takes {weight[0]} features, and gets {x[1]}" if x[1] != weight[0] else None


def _resized(settings: Mapping[str, Any]) -> str | None:
    return (
        "it needs at least one channel and one position, and gets none"
        if 0 in (settings.get("self") or settings["input"])[1:]
        else None
    )


# Beginning of an operator's name -> what does not fit, where the message can be more precise than torch's.
_REASONS: Mapping[str, Callable[[Mapping[str, Any]], str | None]] = {
    "convolution": _convolution,
    "max_pool": _pooling,
    "avg_pool": _pooling,
    "addmm": _linear,
    "upsample": _resized,
}
