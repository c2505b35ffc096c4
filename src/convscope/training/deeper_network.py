"""Which deeper network of the same family weights are of: a file of ResNet-34 has all layers of ResNet-18."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from convscope.errors import ConvscopeError
from convscope.nets import catalogue
from convscope.nets.build import Architecture
from convscope.nets.entry import TIMM
from convscope.nets.own_code import is_own
from convscope.nets.weights.fit import Fit, Weights
from convscope.nets.weights.match import fits


def deeper_network(architecture: Architecture, weights: Weights, fit: Fit) -> str:
    """Return the network of the same family all of whose layers are in a file, more than `fit` takes, or "" without.

    The last layer may be for other classes.

    Args:
        architecture: the network that takes the file.
        weights: of the file, under that network's names, and what else it has under its own.
        fit: the result of loading them.
    """
    unused = {name: weights[name] for name in fit.unused if weights[name].dim() > 1}
    if not unused or is_own(architecture.name) or architecture.name.startswith(TIMM):
        return ""
    named = {name: weights[name] for name in fit.taken}
    for name, tensor in unused.items():  # the file's own names, which a prefix may precede
        words = name.split(".")
        for begin in range(len(words)):
            named.setdefault(".".join(words[begin:]), tensor)
    module, best, most = catalogue.find(architecture.name).module, "", _layers_in(named, architecture)[0]
    for entry in catalogue.ENTRIES:
        if entry.module == module and entry.name != architecture.name:
            with suppress(ConvscopeError):
                found, layers = _layers_in(named, replace(architecture, name=entry.name, freeze=""))
                if found > most and found >= layers - 1:
                    best, most = entry.name, found
    return best


def _layers_in(weights: Weights, architecture: Architecture) -> tuple[int, int]:
    """Return how many layers with weights of a network are among some weights, and how many it has."""
    own = {name: tensor for name, tensor in architecture.on_meta().state_dict().items() if tensor.dim() > 1}
    return sum(name in weights and fits(tensor, weights[name]) for name, tensor in own.items()), len(own)
