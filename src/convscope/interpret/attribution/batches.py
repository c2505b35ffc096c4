"""How many images one pass takes: as many as fit into a fixed memory, so that a map does not depend on the machine."""

from __future__ import annotations

import torch

from convscope.graph.records import Graph
from convscope.hardware.device import has_bf16

MOST = 16
"""Images in a batch at most: larger ones are no faster per image on a CPU."""

MOST_WITH_GRADIENTS = 8
"""Images in a batch whose gradients are taken at most: what they need is held until they are there."""

_GRADIENT_BYTES = 3 << 29  # of the values that gradients need
_FORWARD_BYTES = 1 << 29
_LARGE_MACS = 200_000_000  # of an image, from which on casts cost less than they save


def gradient_batch(graph: Graph, wanted: int) -> int:
    """Return the images of a batch whose gradients are taken: a power of two, at most what is wanted.

    Args:
        graph: captured on one image.
        wanted: images in all.
    """
    # About half of the values are kept for the gradient: the inputs of convolutions and normalizations.
    held = sum(value.spec.bytes for value in graph.values if value.kind == "activation") // 2
    return _power_of_two(min(MOST_WITH_GRADIENTS, wanted, _GRADIENT_BYTES // max(1, held)))


def forward_batch(graph: Graph, wanted: int) -> int:
    """Return the images of a batch without gradients: a power of two, at most what is wanted.

    Args:
        graph: captured on one image.
        wanted: images in all.
    """
    largest = max((value.spec.bytes for value in graph.values if value.kind == "activation"), default=1)
    return _power_of_two(min(MOST, wanted, _FORWARD_BYTES // max(1, 4 * largest)))


def is_large(graph: Graph, tensor: torch.Tensor) -> bool:
    """Return whether there is so much to multiply in float32 that another memory format or type pays for its casts.

    Args:
        graph: captured on one image.
        tensor: that image as the network takes it.
    """
    return graph.macs >= _LARGE_MACS and tensor.dtype == torch.float32 and tensor.ndim == 4


def is_faster_in_bf16(graph: Graph, tensor: torch.Tensor) -> bool:
    """Return whether passes over images are faster in bf16: the processor multiplies it, and there is enough to do.

    Args:
        graph: captured on one image.
        tensor: that image as the network takes it.
    """
    return is_large(graph, tensor) and has_bf16(tensor.device.type)


def _power_of_two(most: int) -> int:
    return 1 << (max(1, most).bit_length() - 1)
