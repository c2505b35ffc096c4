"""A team's arithmetic: parts of a batch without overlap, and a team of one that changes nothing."""

from __future__ import annotations

import copy
import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from convscope.data.batches import Batches
from convscope.data.records import ImageSet, Rows
from convscope.errors import RunError
from convscope.hardware.rank import Rank, threads_for
from convscope.nets.build import build
from convscope.training.distributed import launch
from convscope.training.distributed.process_group import PeersLostError, ProcessGroup
from convscope.training.distributed.shared_batch_norm import SharedBatchNorm, normalizes_alone, share_batch_norm

PIXELS = np.random.default_rng(0).integers(0, 256, (53, 4, 4, 3), dtype=np.uint8)
SET = ImageSet(PIXELS, np.arange(53) % 7, [str(row) for row in range(53)])
TORCHRUN = {"RANK": "1", "WORLD_SIZE": "4", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}


def _teams(size: int) -> list[ProcessGroup]:
    return [ProcessGroup(Rank(rank=rank, size=size, local_rank=rank, local_size=size)) for rank in range(size)]


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("batch_size", [10, 13])
def test_the_parts_of_every_batch_are_the_batch_in_order(size: int, batch_size: int) -> None:
    """Each image exactly once, whatever the number of processes, a last batch of 3 or of 1 included."""
    whole = Batches(SET, batch_size=batch_size, shuffle=True, seed=4, epoch=2)
    parts = [replace(whole, share=group.rows) for group in _teams(size)]
    for number, (one, *others) in enumerate(zip(whole, *parts, strict=True)):
        assert [row for _, _, rows in others for row in rows.tolist()] == one[2].tolist()
        for group, (pixels, labels, rows) in zip(_teams(size), others, strict=True):
            part = group.rows(whole.size_of(number))
            assert len(pixels) == len(labels) == len(rows)
            assert one[2][part.start : part.start + len(rows)].tolist() == rows.tolist()


@pytest.mark.parametrize("least", [1, 2])
def test_the_parts_of_any_batch_are_the_batch_and_none_is_too_small(least: int) -> None:
    for size, total in itertools.product(range(1, 7), range(1, 40)):
        parts = [group.rows(total, least=least) for group in _teams(size)]
        assert [row for part in parts for row in range(total)[part]] == list(range(total))
        counts = [part.stop - part.start for part in parts]
        assert counts[0] and all(count == 0 or count >= min(least, total) for count in counts)
        # Two rows are a pair, which is not parted where there are enough.
        assert total < max(least, size if least == 1 else 2) or max(counts) - min(filter(None, counts)) <= 3
        assert least == 1 or all(part.start % 2 == 0 or part.start == total for part in parts)


@pytest.mark.parametrize("name", ["cifarnet", "resnet18"])
def test_shared_batch_normalization_of_one_process_is_its_own(name: str) -> None:
    """Also where the scale is a buffer, and not trained."""
    torch.manual_seed(0)
    own = build(name, num_classes=3, in_channels=3, image_size=(32, 32)).train()
    shared = copy.deepcopy(own)
    assert share_batch_norm(shared, ProcessGroup()) > 3 and shared.state_dict().keys() == own.state_dict().keys()
    assert normalizes_alone(own) and not normalizes_alone(shared)
    pixels = torch.randn(4, 3, 32, 32)
    for network in (own, shared):
        network(pixels).square().sum().backward()
    for (key, one), (_, other) in zip(own.state_dict().items(), shared.state_dict().items(), strict=True):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-4), key
    for (key, one), other in zip(own.named_parameters(), shared.parameters(), strict=True):
        assert one.grad is None or torch.allclose(one.grad, other.grad, rtol=1e-2, atol=1e-2 * one.grad.abs().max()), (
            key
        )


def test_a_batch_normalization_under_two_names_stays_one() -> None:
    """In one parent and in two: every name leads to the same shared module, and none keeps its own statistics."""
    norm = nn.BatchNorm2d(3)
    network = nn.Sequential(norm, nn.ReLU(), norm, nn.Sequential(norm))
    assert share_batch_norm(network, ProcessGroup()) == 3
    assert type(network[0]) is SharedBatchNorm and network[0] is network[2] is network[3][0]
    assert share_batch_norm(network, ProcessGroup()) == 0
    network(torch.randn(4, 3, 2, 2))
    assert norm.num_batches_tracked is not None and int(norm.num_batches_tracked) == 3


def test_a_batch_normalization_that_computes_more_is_refused() -> None:
    class WithActivation(nn.BatchNorm2d):
        def forward(self, input: torch.Tensor) -> torch.Tensor:
            return super().forward(input).relu()

    with pytest.raises(RunError, match="WithActivation computes more"):
        share_batch_norm(nn.Sequential(WithActivation(3)), ProcessGroup())


def test_a_part_of_a_set_is_a_view_of_its_rows() -> None:
    view = ImageSet(Rows(PIXELS, np.arange(52, -1, -1)), SET.labels[::-1], SET.names[::-1])
    part = view.part(slice(3, 9))
    assert isinstance(part.images, Rows) and part.images.base is PIXELS
    assert list(part.names) == [str(row) for row in range(49, 43, -1)]
    assert np.array_equal(part.images[0], PIXELS[49]) and part.labels[0] == 49 % 7
    assert np.shares_memory(SET.part(slice(3, 9)).images, PIXELS)


def test_the_place_is_what_torchrun_says() -> None:
    assert Rank.of({}) == Rank()
    place = Rank.of({**TORCHRUN, "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2", "TORCHELASTIC_RESTART_COUNT": "3"})
    assert (place.rank, place.size, place.local_size, place.attempt, place.first) == (1, 4, 2, 3, False)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"MASTER_PORT": None}, "RANK and WORLD_SIZE are set, but not MASTER_PORT: start the processes with torchrun"),
        ({"RANK": "4"}, "process 4 of 4 can't be"),
        ({"RANK": "one"}, "torchrun's variables can't be read"),
    ],
)
def test_variables_that_do_not_go_together_are_refused(changes: dict[str, str | None], message: str) -> None:
    variables = {name: value for name, value in {**TORCHRUN, **changes}.items() if value is not None}
    with pytest.raises(RunError, match=message):
        Rank.of(variables)


def test_each_process_has_its_share_of_the_cores_unless_somebody_chose() -> None:
    several = Rank(rank=0, size=2, local_rank=0, local_size=2)
    assert threads_for(several, 1, cores=8) == 4
    assert threads_for(several, 3, cores=8) == 3
    assert threads_for(several, 1, cores=1) == 1
    assert threads_for(Rank(), 8, cores=8) == 8


class _Store:
    """A store of this process alone; a wait for what is not there ends at once."""

    def __init__(self) -> None:
        self.kept: dict[str, int] = {}

    def check(self, names: list[str]) -> bool:
        return all(name in self.kept for name in names)

    def wait(self, names: list[str], seconds: object) -> None:
        if not self.check(names):
            raise RuntimeError("wait timeout")

    def add(self, name: str, value: int) -> int:
        self.kept[name] = self.kept.get(name, 0) + value
        return self.kept[name]


def test_a_failure_is_reported_by_one_process() -> None:
    places = [Rank(rank=rank, size=3, local_rank=rank, local_size=3) for rank in range(3)]
    failed, lost = RunError("no such folder"), PeersLostError("lost the others")
    # Two of three can't read their data: the first of them says so, and a process that lost them does not.
    store: Any = _Store()
    assert not launch._is_reported_elsewhere(places[1], store, failed)
    assert launch._is_reported_elsewhere(places[2], store, failed)
    assert launch._is_reported_elsewhere(places[0], store, lost)
    # A process that was killed reports nothing: the first says that it is lost.
    store = _Store()
    assert launch._is_reported_elsewhere(places[1], store, lost)
    assert not launch._is_reported_elsewhere(places[0], store, lost)
    # The first one's own failure is its own to report.
    store.kept[launch.REPORTED] = 1
    assert not launch._is_reported_elsewhere(places[0], store, failed)
    assert launch._is_reported_elsewhere(places[1], store, failed)
