"""A network that is right as often as it says is calibrated; one that is too sure is put right by its temperature."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from convscope.data.preprocessing import Normalization
from convscope.data.records import ImageSet
from convscope.errors import DataError
from convscope.interpret.behaviour.reliability import reliability
from convscope.interpret.replay.replays import Replays

PLAIN = Normalization((0.0,), (1.0,))


class Sure(nn.Module):
    """Says class 1 with the log odds of the pixel's level, times a factor."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        level = x.mean((1, 2, 3)).clamp(0.02, 0.98)
        return torch.stack([torch.zeros_like(level), self.factor * torch.log(level / (1 - level))], dim=1)


def images(count: int = 4000) -> ImageSet:
    draw = np.random.default_rng(0)
    levels = draw.integers(8, 248, count)
    pixels = np.broadcast_to(levels[:, None, None, None].astype(np.uint8), (count, 1, 1, 1)).copy()
    return ImageSet(pixels, (draw.random(count) < levels / 255).astype(np.int64), [""] * count)


def test_temperature_puts_an_overconfident_network_right() -> None:
    found = reliability(Replays(Sure(3.0), name="net"), images(), PLAIN)
    assert found.temperature == pytest.approx(3, rel=0.1) and found.fitted_on == found.images == 2000
    assert found.error_before > 0.1 and found.error_after < 0.04
    honest = reliability(Replays(Sure(1.0)), images(), PLAIN, temperature=1.0)
    assert honest.images == 4000 and honest.error_before == honest.error_after < 0.03
    assert sum(bin_.images for bin_ in found.after) == 2000
    json.dumps(found.to_dict(), allow_nan=False)
    assert "<svg" in found.svg and "other images" in str(found) and set(found.arrays()) >= {"after/accuracy"}


def test_bad_input_is_one_line() -> None:
    replays = Replays(Sure(1.0))
    with pytest.raises(DataError, match="above 0"):
        reliability(replays, images(8), PLAIN, temperature=0)
    with pytest.raises(DataError, match="too few"):
        reliability(replays, images(1), PLAIN)
    with pytest.raises(DataError, match="net gives NaN or infinite scores for 8 images of the images"):
        reliability(Replays(Sure(float("nan")), name="net"), images(8), PLAIN, temperature=1.0)
