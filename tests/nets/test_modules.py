"""Modes and random generators are as they were after, however the block ends."""

from __future__ import annotations

import pytest
from torch import nn

from convscope.nets.modules import evaluation_mode, modes_restored


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
