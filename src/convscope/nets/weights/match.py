"""Match a file's tensors to a network's by the ends of their names, under the prefix that fits best.

Trainers save a network under a prefix ("module.", "model.", "backbone."), in a table ("state_dict", "model_ema"), or
both. So every prefix of the full names is tried, and the one that matches most numbers is used.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from convscope.errors import CaptureError
from convscope.nets.weights.read import WeightsFile, as_tensor
from convscope.nets.weights.stored import Stored

# Wrappers' own attribute names, which may also stand inside a name: torch.compile, DataParallel, FSDP, checkpointing.
TRANSPARENT = frozenset({"_orig_mod", "module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"})
# torchvision's first DenseNet files write norm.1 where its code, and ours, says norm1.
RENAMED = ((re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12])\."), r"\1\2."),)
# Where two places of a file fit as well, averaged weights are taken: as timm does, and DINO for its teacher.
AVERAGED = re.compile(r"(^|[._])(ema|teacher|averaged?|swa|best)([._]|$)")

MOST_COLOURS = 4  # channels of a picture: red, green, blue and opacity

Prefixes = dict[str, dict[str, str]]  # by prefix: the network's names, and the file's full ones


@dataclass(frozen=True)
class Matched:
    """A file's weights under a network's names.

    Args:
        weights: what the network has by its names, then what else is in the same table of the file by its own.
        line: where they were found, for the user; empty where the file's names are the network's.
    """

    weights: dict[str, Tensor]
    line: str = ""


def match_weights(file: WeightsFile, own: Mapping[str, Tensor]) -> Matched:
    """Return the file's weights under the names of a network's own state.

    Raises:
        CaptureError: one that the network needs is sparse, nested, quantized or without numbers.

    >>> import torch
    >>> network = torch.nn.Linear(2, 1)
    >>> saved = {f"module.{name}": tensor for name, tensor in network.state_dict().items()}
    >>> found = match_weights(WeightsFile(where="x.pth", tensors=saved), network.state_dict())
    >>> list(found.weights), found.line
    (['weight', 'bias'], 'weight is module.weight in the file, and so on')
    """
    places = _places(file.tensors, own)
    if not places:
        _require_plain(file, own, "", {})
        return Matched(weights={name: _on_meta(tensor) for name, tensor in file.tensors.items()})
    ranks = {prefix: _rank(prefix, names, file, own) for prefix, names in places.items()}
    best = max(ranks, key=ranks.__getitem__)
    chosen = {**_beside(places, best, file, own), **places[best]}
    chosen |= _renamed_head(chosen, best, file, own)
    _require_plain(file, own, best, chosen)
    weights = {name: as_tensor(file.tensors[chosen[name]]) for name in own if name in chosen}
    used = set(chosen.values())
    tables = {file.tables.get(full, "") for full in used}
    for full, tensor in file.tensors.items():
        if full not in used and file.tables.get(full, "") in tables:
            weights.setdefault(full, _on_meta(tensor))
    alike = [prefix for prefix in ranks if ranks[prefix][:2] == ranks[best][:2] and prefix != best]
    return Matched(weights=weights, line=_line(chosen, alike))


def _rank(
    prefix: str, names: Mapping[str, str], file: WeightsFile, own: Mapping[str, Tensor]
) -> tuple[int, int, bool, int]:
    """Return how well a prefix fits, for sorting: numbers matched, names matched, an average or not, a short prefix."""
    numbers = sum(own[name].numel() for name, full in names.items() if fits(own[name], file.tensors[full]))
    return numbers, len(names), bool(AVERAGED.search(prefix)), -len(prefix.split("."))


def fits(ours: Tensor, theirs: Stored | Tensor) -> bool:
    """Return whether a tensor of a file can be a network's: the same shape and kind of number, or a colour filter.

    A first convolution for colour images fits one for grey images: it is added up over its channels, of which there are
    few. One that reads more is of another kind than a depthwise one, which has the same shape as one for grey images.
    """
    if ours.dtype.is_floating_point != theirs.dtype.is_floating_point:
        return False
    mine, other = tuple(ours.shape), tuple(theirs.shape)
    of_colours = len(mine) == len(other) >= 3 and mine[1] == 1 and other[1] <= MOST_COLOURS
    return mine == other or (of_colours and _grey(other) == mine)


def _grey(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (shape[0], 1, *shape[2:])


def _require_plain(file: WeightsFile, own: Mapping[str, Tensor], best: str, chosen: Mapping[str, str]) -> None:
    """Raise CaptureError if a tensor that is not read lies in the best place, or beside it, under a missing name."""
    for prefix, names in _places(file.not_plain, own).items():
        needed = names.keys() - chosen.keys()
        if needed and (prefix == best or not chosen or _above(prefix) in (best, _above(best))):
            full = names[min(needed)]
            raise CaptureError(
                f"{file.where} holds {full} as a {file.not_plain[full]} tensor, which is not read: save a plain one"
            )


def _places(names: Iterable[str], own: Mapping[str, Tensor]) -> Prefixes:
    """Return the network's names found in the file, by their prefix in it."""
    kept = {part for name in own for part in name.split(".")}
    passed = TRANSPARENT - kept
    places: Prefixes = {}
    for full in names:
        parts = [part for part in _plain(full).split(".") if part not in passed]
        for begin in range(len(parts)):
            if (suffix := ".".join(parts[begin:])) in own:
                places.setdefault(".".join(parts[:begin]), {}).setdefault(suffix, full)
    return places


def _beside(places: Prefixes, best: str, file: WeightsFile, own: Mapping[str, Tensor]) -> dict[str, str]:
    """Return the names beside the best prefix, such as a head beside its backbone: "head.fc" beside "backbone"."""
    above = _above(best)
    found: dict[str, str] = {}
    for prefix, names in places.items():
        near = best and prefix != best and (prefix == above or (_above(prefix) == above and prefix != ""))
        if near and not names.keys() & places[best].keys():
            for name, full in names.items():
                if name not in found and _may_be(own[name], file.tensors[full]):
                    found[name] = full
    return found


def _renamed_head(chosen: Mapping[str, str], best: str, file: WeightsFile, own: Mapping[str, Tensor]) -> dict[str, str]:
    """Return the names of the classifier where the file has all other weights, and one more layer of its shapes.

    Implementations of one paper often differ in this name alone: fc, linear, classifier, head.
    """
    under = f"{best}." if best else ""
    used = set(chosen.values())
    ours = [name for name in own if name not in chosen]
    theirs = [full for full in file.tensors if full not in used and full.startswith(under)]
    our_layers, their_layers = {_above(name) for name in ours}, {_above(full) for full in theirs}
    if not chosen or len(ours) != len(theirs) or len(our_layers) != 1 or len(their_layers) != 1:
        return {}
    (layer,) = their_layers
    pairs = {name: f"{layer}.{name.rpartition('.')[2]}" for name in ours}
    same = all(full in file.tensors and fits(own[name], file.tensors[full]) for name, full in pairs.items())
    return pairs if same and any(own[name].ndim == 2 for name in pairs) else {}


def _may_be(ours: Tensor, theirs: Stored | Tensor) -> bool:
    """Return whether a tensor is of the same layer, for as many classes or for others."""
    return tuple(ours.shape[1:]) == tuple(theirs.shape[1:]) and len(ours.shape) == len(theirs.shape)


def _above(prefix: str) -> str:
    return prefix.rpartition(".")[0]


def _line(chosen: Mapping[str, str], alike: list[str]) -> str:
    """Return a line on where the weights were found, and which other prefixes fit as well."""
    example = next(((name, full) for name, full in chosen.items() if _plain(full) != name), None)
    if example is None:
        return ""
    others = ", ".join(repr(prefix) if prefix else "no prefix" for prefix in alike)
    return f"{example[0]} is {example[1]} in the file, and so on" + (f"; {others} fits too" if alike else "")


def _plain(full: str) -> str:
    """Return a file's tensor name in our spelling, with our separators."""
    name = full.replace("/", ".")
    for old, new in RENAMED:
        name = old.sub(new, name)
    return name


def _on_meta(tensor: Stored | Tensor) -> Tensor:
    """Return a tensor of the same shape on the meta device, for a tensor that is not loaded."""
    return torch.empty(tensor.shape, dtype=tensor.dtype, device="meta")
