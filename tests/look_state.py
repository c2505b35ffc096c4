"""Everything of a model and of torch that a look must leave bit for bit as it was."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from torch import nn

_HOOKS = (
    "_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks", "_state_dict_hooks",
    "_forward_hooks_with_kwargs", "_forward_pre_hooks_with_kwargs",
)  # fmt: skip


def state_of(network: nn.Module) -> dict[str, Any]:
    """Return what must not change: modules, modes, hooks, numbers, gradients, generators."""
    modules = list(network.named_modules(remove_duplicate=False))
    tensors = [*network.named_parameters(remove_duplicate=False), *network.named_buffers(remove_duplicate=False)]
    return {
        "modules": [(name, id(module), type(module)) for name, module in modules],
        "modes": [module.training for _, module in modules],
        "hooks": [(name, hook, len(getattr(module, hook))) for name, module in modules for hook in _HOOKS],
        "attributes": [(name, sorted(vars(module))) for name, module in modules],
        "tensors": [(name, id(tensor), tensor.data_ptr(), tensor._version) for name, tensor in tensors],
        "numbers": [_bits(tensor) for _, tensor in tensors],
        "requires_grad": [tensor.requires_grad for _, tensor in tensors],
        "grads": [None if tensor.grad is None else _bits(tensor.grad) for _, tensor in tensors],
        "generators": (_bits(torch.get_rng_state()), str(np.random.get_state()), random.getstate()),  # noqa: NPY002
        "autograd": torch.is_grad_enabled(),
    }


def _bits(tensor: torch.Tensor) -> bytes:
    found = tensor.detach().contiguous()
    return (found.view(torch.uint8) if found.ndim else found.reshape(1).view(torch.uint8)).numpy().tobytes()
