"""Features that are not numbers: no head is solved on them, and the error says of how many images."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from convscope.errors import RunError
from convscope.training.probe.features import FeatureSet
from convscope.training.solved_head import _require_finite


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_an_image_counts_once_whatever_its_views(value: float) -> None:
    plain, mirrored = torch.ones(3, 2), torch.ones(3, 2)
    found = FeatureSet(views=(plain, mirrored), rows=np.arange(3), computed=6, problem="")
    _require_finite(found, "train")
    plain[0, 1] = mirrored[0, 0] = mirrored[2, 0] = value
    with pytest.raises(RunError, match="head solve: the features of 2 images of train are not finite"):
        _require_finite(found, "train")
