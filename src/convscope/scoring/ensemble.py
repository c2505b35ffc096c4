"""Several networks that answer as one: the average of their probabilities (Krizhevsky et al. 2012, section 6)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from convscope.scoring.test_time_augmentation import to_float64


class Averaged(nn.Module):
    """Images (N, C, H, W) to scores (N, classes) whose probabilities are the mean of the members'.

    With `independent` a probability is the sigmoid of its own score (logistic and multi-label losses), else they are
    the softmax of all; the scores are those from which the same function makes the mean. So the average
    is used as any network is.
    """

    def __init__(self, members: Sequence[nn.Module], *, independent: bool) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.independent = independent

    def forward(self, x: Tensor) -> Tensor:
        """Return the averaged scores, in float64: a mean of high probabilities lies close to 1."""
        return averaged(to_float64(torch.stack([member(x) for member in self.members])), independent=self.independent)


def averaged(scores: Tensor, *, independent: bool) -> Tensor:
    """Return the scores of the mean of all members' (members, N, classes), as `Averaged` computes it."""
    if independent:
        # logit(p) = log p - log(1 - p), each of them a mean of sigmoids.
        yes = torch.logsumexp(functional.logsigmoid(scores), dim=0)
        no = torch.logsumexp(functional.logsigmoid(-scores), dim=0)
        return yes - no
    return torch.logsumexp(functional.log_softmax(scores, dim=2), dim=0) - torch.log(scores.new_tensor(len(scores)))
