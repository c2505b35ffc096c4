"""Weights from elsewhere: a file that the user downloaded, put into a network, with a list of what did not fit.

Names of parameters match torchvision's (timm's for the squeeze-and-excitation networks), so its files load directly.
Nothing is unpickled: `.pth` files are read with `weights_only=True`, which refuses code.
"""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from convscope.errors import CaptureError
from convscope.report.file_kinds import HEAD, kind_by_start
from convscope.report.units import percent, plural, shape

# Under these names trainers wrap what they save.
WRAPPERS = ("state_dict", "model_state_dict", "model", "model_state", "net", "params")
# torchvision's first DenseNet files write norm.1 where its code, and ours, says norm1.
RENAMED = ((re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12])\."), r"\1\2."),)
# Two networks of one family share half of their numbers by chance of name and shape. Below this share of both the file
# and the network it is another network; a file of features alone is all used, though the network has more.
LEAST_SHARE = 0.6
LISTED = 6  # names that a message lists before it says how many more there are


PICKLED = b"\x80"  # begins every pickle since protocol 2, which torch has always written

Weights = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Misfit:
    """A parameter whose shapes differ in the file and in the network."""

    name: str
    in_file: tuple[int, ...]
    in_network: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.name} ({shape(self.in_file)} in the file, {shape(self.in_network)} in the network)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """What became of a file's weights.

    Args:
        taken: parameters and statistics now as in the file.
        summed: of `taken`, first convolutions whose input channels were added up for grey images.
        remade: classifiers left fresh, because the file's are for another number of classes.
        other: classifiers left fresh, because the file's are for as many other classes.
        misfits: other shapes that differ; left fresh.
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
        """What happened, a line for each kind that there is.

        >>> Fit(taken=("a", "b"), summed=(), remade=(), misfits=(), missing=("fc.bias",), unused=()).lines()
        ['2 tensors taken from the file', '1 not in the file, left fresh: fc.bias']
        """
        kinds: tuple[tuple[str, tuple[object, ...]], ...] = (
            ("with input channels added up for grey images", self.summed),
            ("made anew for this number of classes", self.remade),
            ("made anew for these classes", self.other),
            ("of another shape, left fresh", self.misfits),
            ("not in the file, left fresh", self.missing),
            ("in the file alone, not used", self.unused),
        )
        lines = [f"{plural(len(self.taken), 'tensor')} taken from the file"]
        lines += [f"{len(names)} {what}: {_some(names)}" for what, names in kinds if names]
        return lines


def read_weights(path: str | Path) -> Weights:
    """Tensors by name from a `.safetensors`, `.pth` or `.pt` file, or from a run directory.

    A wrapper such as {"state_dict": ...} and the prefix "module." of a parallel run are taken off.

    Raises:
        CaptureError: no such file, a damaged one, one that holds code, or one without tensors.
    """
    path = Path(path)
    if path.is_dir():
        members = sorted(path.glob("*/weights.safetensors"))
        path = path / "weights.safetensors"
        if members and not path.is_file():
            raise CaptureError(f"{path.parent} holds several networks' weights: name one, such as {members[0].parent}")
    if not path.is_file():
        raise CaptureError(f"there are no weights at {path}: name a .safetensors, .pth or .pt file, or a run directory")
    content = _safetensors(path) if path.suffix == ".safetensors" else _pickled(path)
    while isinstance(content, Mapping):
        inner = next((content[key] for key in WRAPPERS if isinstance(content.get(key), Mapping)), None)
        if inner is None:
            break
        content = inner
    if not isinstance(content, Mapping):
        raise CaptureError(f"{path} holds a {type(content).__name__}, not tensors by name: save network.state_dict()")
    tensors = {name: tensor for name, tensor in content.items() if isinstance(tensor, Tensor)}
    if not tensors or not all(isinstance(name, str) for name in tensors):
        raise CaptureError(f"{path} holds no tensors by name: save network.state_dict()")
    if strange := [name for name, tensor in tensors.items() if tensor.layout != torch.strided or tensor.is_quantized]:
        raise CaptureError(f"{path} holds sparse or quantized tensors, such as {strange[0]}: save plain ones")
    if all(name.startswith("module.") for name in tensors):
        tensors = {name.removeprefix("module."): tensor for name, tensor in tensors.items()}
    return {_renamed(name): tensor for name, tensor in tensors.items()}


def fit_weights(network: nn.Module, weights: Mapping[str, Tensor], *, where: str, fresh: Collection[str] = ()) -> Fit:
    """Put weights into a network by name, and list what did not fit; `where` names their source in errors.

    A classifier for another number of classes is left as it is, fresh, and so are those that `fresh` names. A first
    convolution for colour images is added up over its channels for a network of grey ones.

    Raises:
        CaptureError: so little fits that they are another network's.
    """
    own = dict(network.state_dict(keep_vars=True))
    classes = _classes(network)
    summed: list[str] = []
    remade: list[Misfit] = []
    misfits: list[Misfit] = []
    changes: dict[str, Tensor] = {}
    for name in own.keys() & weights.keys() - set(fresh):
        ours, theirs = own[name], weights[name]
        if ours.shape == theirs.shape:
            changes[name] = theirs
        elif ours.dim() == theirs.dim() >= 3 and ours.shape[1] == 1 and _but_channels(ours) == _but_channels(theirs):
            changes[name] = theirs.sum(1, keepdim=True)
            summed.append(name)
        else:
            remakes = ours.shape[1:] == theirs.shape[1:] and ours.shape[0] == classes
            (remade if remakes else misfits).append(Misfit(name, tuple(theirs.shape), tuple(ours.shape)))
    taken = [name for name in own if name in changes]
    other = tuple(name for name in own if name in weights and name in fresh)
    missing = tuple(name for name in own if name not in weights and not name.endswith("num_batches_tracked"))
    share = max(
        _numbers(own, taken)
        / max(1, _numbers(own, own) - _numbers(own, [*other, *(misfit.name for misfit in remade)])),
        _numbers(weights, taken) / max(1, _numbers(weights, weights) - _numbers(weights, other)),
    )
    if share < LEAST_SHARE:
        examples = (*misfits, *missing, *(name for name in weights if name not in own))
        raise CaptureError(
            f"{where} holds the weights of another network: {percent(share)} of its numbers fit; "
            f"not {_some(examples, listed=2)}"
        )
    with torch.no_grad():
        for name, tensor in changes.items():
            own[name].copy_(tensor)
    return Fit(
        taken=tuple(taken),
        summed=tuple(summed),
        remade=tuple(sorted(remade, key=lambda misfit: misfit.name)),
        misfits=tuple(sorted(misfits, key=lambda misfit: misfit.name)),
        missing=missing,
        unused=tuple(name for name in weights if name not in own),
        other=other,
    )


def load_weights_file(network: nn.Module, path: str | Path) -> Fit:
    """Read a file and put its weights into a network; see `read_weights` and `fit_weights`."""
    return fit_weights(network, read_weights(path), where=str(path))


def _safetensors(path: Path) -> object:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path, device="cpu")
    except (SafetensorError, OSError) as error:
        _refuse_other_kinds(path)
        raise CaptureError(f"{path} is not a whole safetensors file ({error}): download it again") from error


def _pickled(path: Path) -> object:
    _refuse_other_kinds(path)
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                damaged = archive.testzip()  # torch itself loads flipped bits without a word
            if damaged is not None:
                raise CaptureError(f"{path} is damaged (in {damaged}): download it again")
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CaptureError(
            f"{path} holds code or objects beside weights, and convscope runs no code from files: "
            "save network.state_dict() alone, or as safetensors"
        ) from error
    except CaptureError:
        raise
    except Exception as error:
        # Whatever an unpickler raises on bytes from strangers, its meaning is that they can't be read.
        raise CaptureError(f"{path} can't be read as weights ({_first_line(error)})") from error


def _refuse_other_kinds(path: Path) -> None:
    """Raise CaptureError for a file that begins as none of weights does."""
    try:
        with path.open("rb") as file:
            start = file.read(HEAD)
    except OSError:
        return
    if start.startswith((b"PK", PICKLED)) or start[8:9] == b"{":  # torch's archives and older files; safetensors
        return
    kind = kind_by_start(start) or "of no format that is known"
    raise CaptureError(
        f"{path} is no file of weights: it is {kind}; name a .safetensors, .pth or .pt file, or a run directory"
    ) from None


def _renamed(name: str) -> str:
    for old, new in RENAMED:
        name = old.sub(new, name)
    return name


def _but_channels(tensor: Tensor) -> tuple[int, ...]:
    return (tensor.shape[0], *tensor.shape[2:])


def _classes(network: nn.Module) -> int | None:
    """Outputs of the last layer with weights: as many as there are classes."""
    sizes = [tensor.shape[0] for tensor in network.parameters() if tensor.dim() >= 1]
    return sizes[-1] if sizes else None


def _numbers(tensors: Mapping[str, Tensor], names: Iterable[str]) -> int:
    return sum(tensors[name].numel() for name in names)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _some(names: tuple[object, ...], *, listed: int = LISTED) -> str:
    more = f" and {len(names) - listed} more" if len(names) > listed else ""
    return ", ".join(str(name) for name in names[:listed]) + more
