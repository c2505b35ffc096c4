"""Load a file's weights into a network, and list those that did not fit.

Names of parameters match torchvision's (timm's for the squeeze-and-excitation networks), so its files load directly.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from convscope.errors import CaptureError
from convscope.nets.weights.match import fits
from convscope.report.units import percent, plural, shape

# Two networks of one family share half of their numbers by chance of name and shape. Below this share of both the file
# and the network it is another network; a file of features alone is all used, though the network has more. The same
# share of layers must fit: nine in ten numbers of a VGG are those of its first fully connected layers, at any depth. Of
# few layers the share says little: one of three is changed by another width between them.
LEAST_SHARE = 0.6
LEAST_LAYERS = 6
LISTED = 6  # names that a message lists before it says how many more there are

Weights = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Misfit:
    """A parameter whose shape, or type where it is given, differs in the file and in the network."""

    name: str
    in_file: tuple[int, ...]
    in_network: tuple[int, ...]
    types: tuple[torch.dtype, torch.dtype] | None = None

    def __str__(self) -> str:
        if self.types is not None:
            file, network = (str(kind).removeprefix("torch.") for kind in self.types)
            return f"{self.name} ({file} in the file, {network} in the network)"
        return f"{self.name} ({shape(self.in_file)} in the file, {shape(self.in_network)} in the network)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """The result of loading a file's weights.

    Args:
        taken: parameters and statistics now as in the file.
        summed: of `taken`, first convolutions whose input channels were added up for grey images.
        remade: classifiers left fresh, because the file's are for another number of classes.
        other: classifiers left fresh, because the file's are for as many other classes.
        misfits: other shapes, or types, that differ; left fresh.
        missing: in the network alone; left fresh.
        unused: in the file alone.
    """

    taken: tuple[str, ...]
    summed: tuple[str, ...]
    remade: tuple[Misfit, ...]
    misfits: tuple[Misfit, ...]
    missing: tuple[str, ...]
    unused: tuple[str, ...]
    other: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """Return the result as lines, one for each kind of outcome that occurred.

        >>> Fit(taken=("a", "b"), summed=(), remade=(), misfits=(), missing=("fc.bias",), unused=()).lines()
        ['2 tensors taken from the file', '1 not in the file, left fresh: fc.bias']
        """
        kinds: tuple[tuple[str, tuple[object, ...]], ...] = (
            ("with input channels added up for grey images", self.summed),
            ("made anew for this number of classes", self.remade),
            ("made anew for these classes", self.other),
            ("of another shape, left fresh", tuple(misfit for misfit in self.misfits if misfit.types is None)),
            ("of another type, left fresh", tuple(misfit for misfit in self.misfits if misfit.types is not None)),
            ("not in the file, left fresh", self.missing),
            ("in the file alone, not used", self.unused),
        )
        lines = [f"{plural(len(self.taken), 'tensor')} taken from the file"]
        lines += [f"{len(names)} {what}: {_some(names)}" for what, names in kinds if names]
        return lines


def fit_weights(network: nn.Module, weights: Mapping[str, Tensor], *, where: str, fresh: Collection[str] = ()) -> Fit:
    """Load weights into a network by name, and list those that did not fit; `where` names their source in errors.

    A classifier for another number of classes is left as it is, fresh, and so are those that `fresh` names. A first
    convolution for colour images is added up over its channels for a network of grey ones.

    Raises:
        CaptureError: too few numbers or layers fit, so that they are another network's, or numbers are not finite.
    """
    own = dict(network.state_dict(keep_vars=True))
    classes = _classes(network)
    summed: list[str] = []
    remade: list[Misfit] = []
    misfits: list[Misfit] = []
    changes: dict[str, Tensor] = {}
    for name in own.keys() & weights.keys() - set(fresh):
        ours, theirs = own[name], weights[name]
        if not fits(ours, theirs):
            same = ours.shape == theirs.shape
            types = (theirs.dtype, ours.dtype) if same else None
            remakes = not same and ours.shape[1:] == theirs.shape[1:] and ours.shape[:1] == (classes,)
            (remade if remakes else misfits).append(Misfit(name, tuple(theirs.shape), tuple(ours.shape), types))
        elif ours.shape == theirs.shape:
            changes[name] = theirs
        else:
            changes[name] = theirs.sum(1, keepdim=True)
            summed.append(name)
    fit = Fit(
        taken=tuple(name for name in own if name in changes),
        summed=tuple(summed),
        remade=tuple(sorted(remade, key=lambda misfit: misfit.name)),
        misfits=tuple(sorted(misfits, key=lambda misfit: misfit.name)),
        missing=tuple(name for name in own if name not in weights and not name.endswith("num_batches_tracked")),
        unused=tuple(name for name in weights if name not in own),
        other=tuple(name for name in own if name in weights and name in fresh),
    )
    _require_enough(fit, own, weights, where)
    unusable = tuple(name for name in fit.taken if not _is_finite(changes[name], own[name].dtype))
    if unusable:
        raise CaptureError(f"{where} holds numbers that are not finite in {_some(unusable, listed=2)}")
    with torch.no_grad():
        for name, tensor in changes.items():
            own[name].copy_(tensor)
    return fit


def _require_enough(fit: Fit, own: Mapping[str, Tensor], weights: Mapping[str, Tensor], where: str) -> None:
    """Raise CaptureError where too few numbers, or too few layers, of both the file and the network fit."""
    heads = {*fit.other, *(misfit.name for misfit in fit.remade)}
    numbers = max(_share(_numbers(own), fit.taken, heads), _share(_numbers(weights), fit.taken, fit.other))
    of_own, of_file = _layers(own), _layers(weights)
    layers = max(_share(of_own, fit.taken, heads), _share(of_file, fit.taken, fit.other))
    if min(len(of_own), len(of_file)) < LEAST_LAYERS:
        layers = 1.0
    if min(numbers, layers) >= LEAST_SHARE:
        return
    mistyped = tuple(misfit for misfit in fit.misfits if misfit.types is not None)
    if mistyped and len(mistyped) == len(fit.misfits) and not fit.missing:
        raise CaptureError(f"{where} holds numbers of another type: {_some(mistyped, listed=2)}")
    share = f"{percent(numbers)} of its numbers" if numbers < LEAST_SHARE else f"{percent(layers)} of its layers"
    raise CaptureError(
        f"{where} holds the weights of another network: {share} fit; "
        f"not {_some((*fit.misfits, *fit.missing, *fit.unused), listed=2)}"
    )


def _classes(network: nn.Module) -> int | None:
    """Return the outputs of the last layer with weights, which is the number of classes."""
    sizes = [tensor.shape[0] for tensor in network.parameters() if tensor.dim() >= 1]
    return sizes[-1] if sizes else None


def _is_finite(tensor: Tensor, dtype: torch.dtype) -> bool:
    """Return whether all numbers are finite, in the network's own type too."""
    return tensor.is_meta or not dtype.is_floating_point or bool(torch.isfinite(tensor.to(dtype)).all())


def _share(sizes: Mapping[str, int], taken: Iterable[str], left_out: Collection[str]) -> float:
    """Return the share of a network or a file that was taken, apart from what is left out; 0 of nothing."""
    whole = sum(size for name, size in sizes.items() if name not in left_out)
    return sum(sizes.get(name, 0) for name in taken) / whole if whole else 0.0


def _numbers(tensors: Mapping[str, Tensor]) -> dict[str, int]:
    return {name: tensor.numel() for name, tensor in tensors.items()}


def _layers(tensors: Mapping[str, Tensor]) -> dict[str, int]:
    """Return 1 for each layer, by the name of its weights; biases and normalizations are none."""
    return {name: 1 for name, tensor in tensors.items() if tensor.dim() > 1}


def _some(names: tuple[object, ...], *, listed: int = LISTED) -> str:
    more = f" and {len(names) - listed} more" if len(names) > listed else ""
    return ", ".join(str(name) for name in names[:listed]) + more
