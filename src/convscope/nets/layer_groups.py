"""Parts of a network for an optimizer: freezing, layer-wise learning-rate decay, and rates that a network declares."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import nn

from convscope.errors import CaptureError, did_you_mean
from convscope.nets.modules import NORMALIZATIONS


@dataclass(frozen=True, kw_only=True)
class ParamGroup:
    """The settings of a parameter that is trained apart from the filters, by SGD on the mean loss of a step.

    Args:
        rate: its peak learning rate per image of the batch: a batch of 1,000 images has 1,000 times this rate.
        decay: its weight decay per image of the batch, at the peak rate: the share subtracted in a step.
        until: the share of the run in which it is trained; its rate decays to 0 there, then it is frozen.
    """

    rate: float
    decay: float = 0.0
    until: float = 1.0


@runtime_checkable
class HasParamGroups(Protocol):
    """A network that declares parameter groups."""

    def param_groups(self) -> Mapping[str, ParamGroup]:
        """Return the settings of parameters with a learning rate of their own, by name."""

    def scale_free(self) -> frozenset[str]:
        """Return the names of filters whose scale does not change the output, as a batch normalization follows."""


@runtime_checkable
class Whitened(Protocol):
    """A network whose first layer is fitted to the images before it is trained."""

    def fit_whitening(self, images: torch.Tensor) -> None:
        """Fit the first layer to normalised images (N, C, H, W)."""


def param_groups_of(network: object) -> Mapping[str, ParamGroup]:
    """Return the parameter groups that a network declares, by parameter name; empty for most networks."""
    return network.param_groups() if isinstance(network, HasParamGroups) else {}


def scale_free_of(network: object) -> frozenset[str]:
    """Return the names of the filters that a network declares to be scale-free."""
    return network.scale_free() if isinstance(network, HasParamGroups) else frozenset()


# Containers that only hold the parts.
CONTAINERS = ("features", "classifier")

ALL_BUT_LAST = "backbone"


def parts(network: nn.Module) -> dict[str, nn.Module]:
    """Return the parts that have weights, by name, in order of definition, which is that of depth.

    Of a network that only wraps another they are the other's.

    >>> from convscope.nets.build import build
    >>> list(parts(build("resnet18", num_classes=2)))
    ['conv1', 'bn1', 'layer1', 'layer2', 'layer3', 'layer4', 'fc']
    """
    found: dict[str, nn.Module] = {}
    with_weights = {name: child for name, child in network.named_children() if _has_weights(child)}
    if len(with_weights) == 1 and not any(True for _ in network.parameters(recurse=False)):
        ((name, child),) = with_weights.items()
        if any(map(_has_weights, child.children())):
            return {f"{name}.{below}": part for below, part in parts(child).items()}
    for name, child in network.named_children():
        holds = name in CONTAINERS and isinstance(child, nn.Sequential)
        inner = child.named_children() if holds else [("", child)]
        for below, module in inner:
            if _has_weights(module):
                found[f"{name}.{below}".rstrip(".")] = module
    return found


def freeze(network: nn.Module, what: str) -> tuple[str, ...]:
    """Freeze parts of a network, and return their names.

    With all parts but the last, embeddings that are in none are frozen too: a class token, positions.

    Args:
        network: the network, changed in place.
        what: "" for nothing, "backbone" for everything but the last part with weights (the classifier), or part names
            with commas between: "conv1,bn1,layer1".

    Raises:
        CaptureError: no part has such a name, or nothing would be left to train.

    >>> from convscope.nets.build import build
    >>> freeze(build("lenet5"), "backbone")
    ('c1', 'c3', 'c5', 'f6')
    """
    names, found = part_names(network, what), parts(network)
    for name in names:
        found[name].requires_grad_(False)
    if _is_backbone(names, found):
        for parameter in _embeddings(network, found).values():
            parameter.requires_grad_(False)
    return names


def part_names(network: nn.Module, what: str) -> tuple[str, ...]:
    """Return the names of the parts that `freeze` would freeze; the network is not changed.

    Raises:
        CaptureError: no part has such a name, or nothing would be left to train.

    >>> from convscope.nets.build import build
    >>> part_names(build("lenet5"), "backbone")
    ('c1', 'c3', 'c5', 'f6')
    """
    found = parts(network)
    if what == ALL_BUT_LAST:
        names = list(found)[:-1]
    else:
        names = [name.strip() for name in what.split(",") if name.strip()]
        if what and not names:
            raise CaptureError(f"freeze: {what!r} names no part: it has {', '.join(found)}; or say {ALL_BUT_LAST}")
        if ALL_BUT_LAST in names and ALL_BUT_LAST not in found:
            raise CaptureError(f"freeze: {ALL_BUT_LAST} means all parts but the last: give it alone, not {what!r}")
    for name in names:
        if name not in found:
            raise CaptureError(
                f"freeze: the network has no part {name!r}.{did_you_mean(name, found)} It has {', '.join(found)}; "
                f"or say {ALL_BUT_LAST}"
            )
    if found and len(names) == len(found):
        raise CaptureError("freeze: nothing would be left to train: leave at least the last part out")
    return tuple(names)


def above(network: nn.Module, count: int) -> tuple[str, ...]:
    """Return the names of the last parts of a network; a normalization counts with the part that it follows.

    >>> from convscope.nets.build import build
    >>> above(build("densenet121", num_classes=2), 2)
    ('features.denseblock4', 'features.norm5', 'classifier')
    """
    names: list[str] = []
    for name, part in reversed(parts(network).items()):
        names.insert(0, name)
        count -= not isinstance(part, NORMALIZATIONS)
        if not count:
            break
    return tuple(names)


def parts_with(network: nn.Module, names: Iterable[str], have: Collection[str]) -> tuple[str, ...]:
    """Return those of some parts whose every weight and statistic is among `have`.

    A normalization after a part without them is left out too: its statistics are those of other outputs. Of all parts
    but the last, the first is left out without the embeddings in no part, which `freeze` would freeze.

    >>> from convscope.nets.build import build
    >>> network = build("resnet18", num_classes=2)
    >>> parts_with(network, ("conv1", "bn1", "layer1"), network.state_dict().keys() - {"conv1.weight"})
    ('layer1',)
    """
    wanted, found = tuple(names), parts(network)
    embeddings: Collection[str] = _embeddings(network, found) if _is_backbone(wanted, found) else ()
    whole: dict[str, bool] = {}
    for name, part in found.items():
        own = [f"{name}.{key}" for key in part.state_dict() if not key.endswith("num_batches_tracked")]
        follows = not whole or not isinstance(part, NORMALIZATIONS) or whole[next(reversed(whole))]
        whole[name] = follows and all(key in have for key in (own if whole else [*embeddings, *own]))
    return tuple(name for name in wanted if whole[name])


def train_mode(network: nn.Module) -> None:
    """Set training mode, except for frozen modules: their batch statistics are kept, their dropout is off."""
    network.train()
    for module in network.modules():
        if _has_weights(module) and not _learns(module):
            module.eval()


def rate_factors(network: nn.Module, decay: float) -> dict[str, float]:
    """Return each parameter's learning-rate factor by name: 1 in the last part, times `decay` for each part before it.

    A normalization has the factor of the part that it follows, an embedding in no part that of the first part; frozen
    parts are not counted.

    The first layers of a trained network detect edges and colours that every task needs, so they should change least
    (Howard and Ruder, "Universal Language Model Fine-tuning", ACL 2018, section 3.2, calls it discriminative).

    >>> from convscope.nets.build import build
    >>> factors = rate_factors(build("resnet18", num_classes=2), 0.5)
    >>> factors["fc.weight"], factors["layer4.0.conv1.weight"], factors["layer3.0.conv1.weight"]
    (1.0, 0.5, 0.25)
    """
    every = parts(network)
    found = {name: part for name, part in every.items() if _learns(part)}
    groups: list[list[str]] = []
    for name, part in found.items():
        if groups and isinstance(part, NORMALIZATIONS):
            groups[-1].append(name)
        else:
            groups.append([name])
    factors = {name: 1.0 for name, _ in network.named_parameters()}
    for steps, group in enumerate(reversed(groups)):
        # A float64 ends at 1e308, which a factor of up to 100 passes after 154 groups.
        factor = decay ** (min(steps, 150) if decay > 1 else steps)
        names = [f"{member}.{name}" for member in group for name, _ in found[member].named_parameters()]
        factors |= dict.fromkeys(names, factor)
        if group is groups[0]:
            factors |= dict.fromkeys(_embeddings(network, every), factor)
    return factors


def _is_backbone(names: Collection[str], found: Mapping[str, nn.Module]) -> bool:
    """Return whether these are all parts but the last."""
    return bool(names) and set(names) == set(list(found)[:-1])


def _embeddings(network: nn.Module, found: Mapping[str, nn.Module]) -> dict[str, nn.Parameter]:
    """Return the class tokens and positions in none of the parts, by name.

    They are parameters of the network itself, (1, tokens, width), whose first axis is that of the samples.
    """
    inside = {id(parameter) for part in found.values() for parameter in part.parameters()}
    return {
        name: parameter
        for name, parameter in network.named_parameters()
        if id(parameter) not in inside and parameter.ndim > 2 and parameter.shape[0] == 1
    }


def _has_weights(module: nn.Module) -> bool:
    return any(True for _ in module.parameters())


def _learns(module: nn.Module) -> bool:
    return any(weight.requires_grad for weight in module.parameters())
