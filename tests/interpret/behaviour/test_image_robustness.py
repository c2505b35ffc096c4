"""The smallest distortions of one image: those of the search over a data set, and what can't be distorted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from convscope.errors import DataError
from convscope.interpret.behaviour.image_robustness import image_robustness
from convscope.interpret.look.options import LookOptions
from convscope.interpret.look.parts import require_parts
from convscope.interpret.subject import Subject, subject


class Left(nn.Module):
    """Class 1 where the left half of an image is brighter than the right one."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, images: Tensor) -> Tensor:
        half = images.shape[3] // 2
        difference = (images[..., :half].mean((1, 2, 3)) - images[..., half:].mean((1, 2, 3))) * self.gain
        return torch.stack([-difference, difference], dim=1)


def column(at: int) -> Subject:
    """Return a black image of 16x16 with one bright column."""
    pixels = np.zeros((16, 16), np.uint8)
    pixels[:, at] = 255
    return subject(Left(), pixels, input_shape=(1, 16, 16))


def test_the_smallest_shift_over_the_middle_is_found() -> None:
    found = image_robustness(column(5))
    shift = found.smallest[0]
    assert (shift.distortion.name, shift.strength, shift.becomes) == ("shift", 3, "class 0")
    assert shift.text == "3 pixels right" and found.predicted == "class 1"
    assert shift.picture is not None and shift.picture[0, 8, 0] == 255
    assert found.weakest is found.ranked[0] and found.weakest.relative <= min(one.relative for one in found.smallest)
    changed = {one.distortion.name for one in found.smallest if one.strength is not None}
    assert "brightness" not in changed and found.to_dict()["weakest"] in changed
    assert "brightness" in found.figure().document() and "3 pixels right" in str(found)


def test_an_image_that_nothing_changes_is_said_so() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(72, 2))
    nn.init.zeros_(network[2].weight)
    nn.init.constant_(network[2].bias[:1].detach(), 1.0)
    found = image_robustness(subject(network, np.zeros((8, 8), np.uint8)))
    assert found.weakest is None and all(one.text == "none" and one.relative == 1 for one in found.smallest)
    assert "no distortion that was tried changes class 0" in found.headline()


def test_a_network_of_fewer_bits_is_distorted_in_its_own_type() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(72, 2)).bfloat16()
    assert len(image_robustness(subject(network, np.zeros((8, 8), np.uint8))).smallest) == 5


def test_an_interrupt_keeps_the_distortions_that_were_tried() -> None:
    def interrupt_after(tried: int) -> Callable[[int, int, str], None]:
        def progress(done: int, total: int, what: str) -> None:
            if done == tried:
                raise KeyboardInterrupt

        return progress

    found = image_robustness(column(5), progress=interrupt_after(2))
    assert [one.distortion.name for one in found.smallest] == ["shift", "rotation"]
    assert found.notes[-1] == "interrupted before these were tried: blur, brightness, crop"


@pytest.mark.parametrize("shape", [(1, 8, 8), (2, 8, 8)])
def test_numbers_that_are_no_picture_are_not_distorted(shape: tuple[int, ...]) -> None:
    network = nn.Sequential(nn.Conv2d(shape[0], 2, 3), nn.Flatten(), nn.Linear(72, 2))
    given = subject(network, np.random.default_rng(0).normal(size=shape).astype(np.float32))
    assert given.normalization is None
    with pytest.raises(DataError, match="no 8-bit image"):
        image_robustness(given)
    with pytest.raises(DataError, match="no 8-bit image"):
        image_robustness(replace(given, pixels=None))
    for asked in (LookOptions(robustness=True), LookOptions(visualize="0")):
        with pytest.raises(DataError, match="give an image file"):
            require_parts(given, asked)
