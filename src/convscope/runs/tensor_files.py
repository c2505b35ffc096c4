"""Tensors on the disk, and a network with those that were trained for it: the one loader of a run's weights.

A start from other weights, of which some may not fit, is `nets.weights.fit`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor, nn

from convscope.api.generators import exclusive
from convscope.errors import CaptureError, ConvscopeError, RunError
from convscope.files.regular import UnreadableError, open_regular
from convscope.nets.weights.digest import sealed
from convscope.nets.weights.fit import Weights
from convscope.nets.weights.read import as_tensor, read_weights
from convscope.nets.weights.safetensors_file import parse_safetensors, read_metadata
from convscope.runs.model_spec import ModelSpec
from convscope.scoring.ensemble import Averaged

NOTE = "convscope"


def tensor_bytes(tensors: Mapping[str, Tensor]) -> bytes:
    """Return tensors as a safetensors file; tied weights and strided ones are written out in full."""
    from safetensors.torch import save

    # safetensors refuses two names for one memory, and forgets channels-last strides: copies have neither trouble.
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    content: bytes = save(plain)
    return content


def sealed_bytes(tensors: Mapping[str, Tensor], *, note: str) -> bytes:
    """Return tensors as a safetensors file with a note, and a digest over every byte in its metadata.

    >>> import torch
    >>> len(sealed_bytes({"bias": torch.zeros(2)}, note="epoch 3")) > 200
    True
    """
    return sealed(tensor_bytes(tensors), {NOTE: note})


def read_tensors(content: bytes, *, where: str) -> Weights:
    """Return the tensors of a safetensors file. Raises RunError where it is not one."""
    try:
        tensors = parse_safetensors(memoryview(content)).tensors
    except CaptureError as error:
        raise RunError(f"{where} is damaged: {error}") from error
    return {name: tensor.tensor() for name, tensor in tensors.items()}


def read_note(path: Path) -> str:
    """Return the note of a safetensors file; empty where the file has none, or can't be read."""
    try:
        with open_regular(path, limit=None) as file:
            return read_metadata(file).get(NOTE, "")
    except (OSError, CaptureError, UnreadableError):
        return ""


def load_weights(network: nn.Module, weights: Mapping[str, Tensor], *, where: str) -> None:
    """Put weights into a network whose names and shapes they must match exactly. Raises RunError where they don't."""
    require_fit(network, weights, where=where)
    network.load_state_dict(dict(weights))


def require_fit(network: nn.Module, weights: Mapping[str, Tensor], *, where: str, called: str = "the network") -> None:
    """Raise RunError where the names or shapes of weights are not those of a network, which `called` names."""
    wanted = network.state_dict()
    missing, extra = sorted(wanted.keys() - weights.keys()), sorted(weights.keys() - wanted.keys())
    if missing or extra:
        raise RunError(
            f"{where} does not fit {called}: it lacks {', '.join(missing[:3]) or 'nothing'} "
            f"and has {', '.join(extra[:3]) or 'nothing'} too much"
        )
    for name, tensor in wanted.items():
        if tensor.shape != weights[name].shape:
            raise RunError(
                f"{where} does not fit {called}: {name} is {tuple(weights[name].shape)}, not {tuple(tensor.shape)}"
            )


def read_sealed(path: Path) -> Weights:
    """Return a run's weights, checked against their digest; raises RunError where they are missing or damaged."""
    try:
        tensors = read_weights(path, sealed=True).tensors
    except CaptureError as error:
        raise RunError(str(error)) from error
    return {name: as_tensor(tensor) for name, tensor in tensors.items()}


def trained_network(spec: ModelSpec, weights: Mapping[str, Tensor], *, spec_path: Path, where: str) -> nn.Module:
    """Return the network of a spec with its weights, in evaluation mode; torch's generator is left as it was.

    Raises:
        RunError: the network can't be built, or the weights are not its own.
    """
    with exclusive():
        try:
            network = spec.build(check=False)
        except ConvscopeError as error:
            if spec.code:  # the fault is the code's, and its error names it
                raise RunError(str(error)) from None
            raise RunError(f"{spec_path} can't be used: {error}") from None
    load_weights(network, weights, where=where)
    return network.eval()


def averaged(networks: Sequence[nn.Module], spec: ModelSpec) -> nn.Module:
    """Return the networks of an ensemble as one, in evaluation mode."""
    return Averaged(networks, independent=spec.objective.independent).eval()
