"""How torch computes with float32: the setting of torch 2.8 and before, and the newer ones, read and written together.

Torch has both, and refuses to report the older one where a newer one contradicts it, as it does in a program that has
set `torch.backends.fp32_precision` alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TypeAlias

Arithmetic: TypeAlias = tuple[str, ...]
ArithmeticPlace: TypeAlias = tuple[str, str]

# The newer settings by backend and operation. One at "none" has the value of a wider one, which is before it.
_GENERIC: ArithmeticPlace = ("generic", "all")
_NEWER: tuple[ArithmeticPlace, ...] = (
    _GENERIC,
    ("cuda", "all"),
    ("cuda", "matmul"),
    ("mkldnn", "all"),
    ("mkldnn", "matmul"),
    ("mkldnn", "conv"),
    ("mkldnn", "rnn"),
)
# These two are tf32 until they, or wider ones, are set.
_OF_CUDNN: tuple[ArithmeticPlace, ...] = (("cuda", "conv"), ("cuda", "rnn"))
_NONE, _TF32, _IEEE = "none", "tf32", "ieee"

# Full float32 precision, but for cuDNN's convolutions, which torch computes in tf32 by default.
FULL: Arithmetic = ("highest", *[_NONE] * len(_NEWER))


def read_arithmetic() -> Arithmetic:
    """Return the older setting (`torch.get_float32_matmul_precision`), then the newer ones.

    >>> len(read_arithmetic()) == len(FULL)
    True
    """
    import torch

    newer = []
    # The wider ones first, so that each is seen as it is set itself. At "none" they contradict nothing.
    for place in _NEWER:
        newer.append(_get(place))
        if newer[-1] != _NONE:
            _set(place, _NONE)
    older = torch.get_float32_matmul_precision()
    for place, value in zip(_NEWER, newer, strict=True):
        if value != _NONE:
            _set(place, value)
    return older, *newer


def write_arithmetic(values: Arithmetic) -> None:
    """Set what `read_arithmetic` returned."""
    import torch

    older, *newer = values
    torch.set_float32_matmul_precision(older)  # which changes newer ones too
    for place, value in zip(_NEWER, newer, strict=True):
        _set(place, value)


@contextmanager
def tf32_of_cuda(*, allowed: bool) -> Iterator[None]:
    """Let CUDA compute products and convolutions in tf32 inside, or not; restore the caller's settings after.

    >>> import torch
    >>> with tf32_of_cuda(allowed=True):
    ...     torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    (True, True)
    """
    import torch

    seen, callers = [_get(place) for place in _OF_CUDNN], read_arithmetic()
    try:
        write_arithmetic(FULL)
        older, newer = _read_cudnn()
        try:
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed
            yield
        finally:
            torch.backends.cudnn.allow_tf32 = older
            for place, value in zip(_OF_CUDNN, newer, strict=True):
                _set(place, value)
    finally:
        write_arithmetic(callers)
        for place, value in zip(_OF_CUDNN, seen, strict=True):
            if _get(place) != value:  # tf32, as it is until it is first set, which can't be undone
                _set(place, value)


def _read_cudnn() -> tuple[bool, list[str]]:
    """Return the older setting of cuDNN's convolutions, and the newer ones; all wider ones are at "none"."""
    import torch

    seen = []
    for wider in (_IEEE, _TF32):
        _set(_GENERIC, wider)
        seen.append([_get(place) for place in _OF_CUDNN])
    _set(_GENERIC, _NONE)
    # What follows the wider one has no value of its own.
    newer = [_NONE if pair == (_IEEE, _TF32) else pair[0] for pair in zip(*seen, strict=True)]
    with suppress(RuntimeError):
        return bool(torch.backends.cudnn.allow_tf32), newer
    for place in _OF_CUDNN:
        _set(place, _TF32)
    with suppress(RuntimeError):
        return bool(torch.backends.cudnn.allow_tf32), newer
    return False, newer  # the one that contradicts tf32


def _get(place: ArithmeticPlace) -> str:
    """Return a newer setting; "none" where torch has none."""
    import torch

    read = getattr(torch._C, "_get_fp32_precision_getter", None)
    return _NONE if read is None else str(read(*place))


def _set(place: ArithmeticPlace, value: str) -> None:
    """Set a newer setting, where torch has them."""
    import torch

    if (write := getattr(torch._C, "_set_fp32_precision_setter", None)) is not None:
        write(*place, value)
