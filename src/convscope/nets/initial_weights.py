"""Initial weights drawn anew, in place: by each module's own `reset_parameters`, the batch statistics included."""

from __future__ import annotations

from torch import nn

from convscope.api.generators import OwnGenerators, exclusive


def draw_initial_weights(network: nn.Module, seed: int) -> tuple[str, ...]:
    """Draw the weights of a network anew from a seed, in place, and return the modules whose weights stay.

    Each module with a method `reset_parameters` is reset by it, a batch normalization with its running statistics. A
    module that has parameters of its own and no such method keeps them. Torch's generators are left as they were.

    >>> network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    >>> _ = network[1].running_mean.fill_(7)
    >>> draw_initial_weights(network, seed=0), network[1].running_mean.tolist()
    ((), [0.0, 0.0])
    """
    kept = []
    with exclusive(), OwnGenerators(seed):
        for name, module in network.named_modules():
            reset = getattr(module, "reset_parameters", None)
            if callable(reset):
                reset()
            elif any(True for _ in module.parameters(recurse=False)):
                kept.append(name)
    return tuple(kept)
