"""Element types that inputs given by shape may have, from the weights that read them."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from convscope.capture.failures import WHOLE_NUMBERS

# What these look up is read by other layers; what they take are indices.
_TABLES = (nn.Embedding, nn.EmbeddingBag)
# The weights of these multiply what the layer takes.
_LAYERS = (nn.Linear, nn.Bilinear, nn.modules.conv._ConvNd)


def first_dtype(model: nn.Module) -> torch.dtype:
    """Return the type that inputs given by shape most likely have.

    Complex weights of a layer multiply complex numbers; bare ones usually a Fourier transform of real numbers:

    >>> spectral = nn.ParameterList([torch.ones(3, 8, 5, dtype=torch.complex64)])
    >>> first_dtype(nn.Conv2d(3, 4, 3, dtype=torch.complex64)), first_dtype(spectral)
    (torch.complex64, torch.float32)
    """
    # In most models the first parameter decides, and no other is looked up.
    others: list[tuple[nn.Module, Tensor]] = []
    for module in model.modules():
        for weight in module._parameters.values():
            if weight is not None:
                if weight.is_floating_point() and not isinstance(module, _TABLES):
                    return weight.dtype
                others.append((module, weight))
    for module, other in others:
        if other.is_complex():
            return other.dtype if isinstance(module, _LAYERS) else other.dtype.to_real()
    return next((other.dtype for _, other in others if other.is_floating_point()), torch.get_default_dtype())


def other_dtypes(model: nn.Module, first: torch.dtype, error: str) -> Iterator[torch.dtype]:
    """Yield the other types that inputs may have, after a run on the first ended with this error."""
    elements: dict[torch.dtype, int] = {}
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.is_floating_point() or tensor.is_complex():
            elements[tensor.dtype] = elements.get(tensor.dtype, 0) + tensor.numel()
    yield from sorted(elements.keys() - {first}, key=lambda dtype: -elements[dtype])
    if WHOLE_NUMBERS in error:
        yield torch.int64
