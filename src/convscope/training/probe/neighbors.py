"""k-nearest-neighbour classification by features, as a measure beside the solved head.

Neighbours are those of the highest cosine similarity, weighted by exp(similarity / 0.07) (Wu et al., "Unsupervised
Feature Learning via Non-Parametric Instance Discrimination", CVPR 2018, section 3.4).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

TEMPERATURE = 0.07
# Images compared with all others at once.
CHUNK = 512


def neighbor_scores(features: Tensor, targets: Tensor, asked: Tensor, *, k: int, classes: int) -> Tensor:
    """Return the share (n, classes) of the votes that each class has among the k nearest neighbours.

    Args:
        features: of the images with known targets (N, features).
        targets: int64 (N,), or (N, classes) of 0 and 1.
        asked: the features (n, features) of the others.
        k: how many neighbours vote; at most N.
        classes: how many.

    >>> known = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
    >>> neighbor_scores(known, torch.tensor([0, 0, 1]), torch.tensor([[0.1, 1.0]]), k=1, classes=2)
    tensor([[0., 1.]])
    """
    known = functional.normalize(features, dim=1)
    votes = targets.float() if targets.ndim == 2 else functional.one_hot(targets, classes).float()
    found = []
    for some in torch.split(functional.normalize(asked, dim=1), CHUNK):
        similarity, nearest = (some @ known.T).topk(min(k, len(known)), dim=1)
        # Less the largest, so that exp does not overflow; shares stay as they are.
        weight = ((similarity - similarity[:, :1]) / TEMPERATURE).exp()
        found.append((votes[nearest] * weight[:, :, None]).sum(1) / weight.sum(1, keepdim=True))
    return torch.cat(found)
