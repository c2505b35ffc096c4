"""Modes and random generators are as they were after, however the block ends."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._pytree import tree_map

from convscope.errors import CaptureError
from convscope.nets.modules import evaluation_mode, modes_restored, on_cpu


@pytest.mark.parametrize("fails", [False, True])
def test_each_module_has_its_own_mode_again(fails: bool) -> None:
    network = nn.Sequential(nn.Dropout(), nn.Sequential(nn.BatchNorm1d(2), nn.Dropout()))
    network[1][0].eval()
    before = [module.training for module in network.modules()]
    for context in (evaluation_mode, modes_restored):
        try:
            with context(network):
                assert [module.training for module in network.modules()] == (
                    before if context is modes_restored else [False] * 5
                )
                network.eval()
                if fails:
                    raise ValueError
        except ValueError:
            assert fails
        assert [module.training for module in network.modules()] == before


class OnGpu(torch.Tensor):
    """Numbers on the CPU that say that they are on a GPU."""

    numbers: torch.Tensor

    @staticmethod
    def __new__(cls, numbers: torch.Tensor) -> OnGpu:
        made = torch.Tensor._make_wrapper_subclass(cls, numbers.shape, dtype=numbers.dtype, device="cuda:0")
        made.numbers = numbers
        return made

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        plain = tree_map(lambda one: one.numbers if isinstance(one, OnGpu) else one, args)
        found = function(*plain, **(kwargs or {}))
        return found if function is torch.ops.aten._to_copy.default else OnGpu(found)


def test_a_network_on_a_gpu_is_copied_to_the_cpu() -> None:
    plain = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU())
    plain.add_module("again", plain[0])
    assert on_cpu(plain, name="net") is plain
    expected = {name: tensor.clone() for name, tensor in plain.state_dict().items()}
    for module in set(plain.modules()):
        for name, parameter in module._parameters.items():
            module._parameters[name] = nn.Parameter(OnGpu(parameter.detach()), requires_grad=name == "weight")
        for name, buffer in module._buffers.items():
            module._buffers[name] = OnGpu(buffer)
    found = on_cpu(plain, name="net")
    state = found.state_dict()
    assert state.keys() == expected.keys() and found.again is found[0]
    assert all(tensor.device.type == "cpu" and torch.equal(tensor, expected[name]) for name, tensor in state.items())
    assert [each.requires_grad for each in found[0].parameters()] == [True, False]
    assert plain[0].weight.device.type == "cuda"

    # `.cpu()` does not move plain attributes.
    plain[2].offsets = {"far": [OnGpu(torch.arange(3.0))]}
    plain[2].place = torch.device("cuda")
    kept = on_cpu(plain, name="net")[2]
    assert type(kept.offsets["far"][0]) is torch.Tensor and kept.offsets["far"][0].tolist() == [0, 1, 2]
    assert kept.place == torch.device("cpu") and plain[2].place == torch.device("cuda")

    class Uncopied(nn.Module):
        def __deepcopy__(self, memo: object) -> Uncopied:
            raise TypeError

    with pytest.raises(CaptureError, match="net is on cuda:0 and can't be copied to the CPU"):
        on_cpu(nn.Sequential(plain, Uncopied()), name="net")
