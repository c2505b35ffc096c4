"""The backbone of a training whose head is solved, and how many of its features are in the cache already."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from torch import nn

from convscope.data.batches import to_floats
from convscope.data.records import ImageSet
from convscope.data.streamed import Streamed
from convscope.hardware.mode import ComputeMode
from convscope.runs.model_spec import ModelSpec
from convscope.scoring.test_time_augmentation import view_count
from convscope.training.probe.feature_store import digests_of
from convscope.training.probe.features import Backbone
from convscope.training.probe.linear_head import TRIED_IMAGES, find_head

# So many images are looked up to tell which share of the features is in the cache.
LOOKED_UP = 64


def backbone_of(
    network: nn.Module, spec: ModelSpec, images: ImageSet, *, mode: ComputeMode, device: str, cache: Path
) -> Backbone:
    """Return the backbone of a network on a device, with features in the arithmetic of `mode`, kept in `cache`.

    Raises:
        RunError: the network has no linear head.
    """
    pixels = to_floats(images.images[:TRIED_IMAGES], spec.normalization, device=device)
    head = find_head(network, pixels, classes=len(spec.classes))
    return Backbone(
        network=network,
        head=head,
        forward=mode.forward_of(network),
        spec=spec,
        device=device,
        arithmetic=str(replace(mode, threads=1)),
        cache=cache,
    )


def cached_share(backbone: Backbone, images: ImageSet, *, views: str) -> float:
    """Return which share (0 to 1) of the features of images, over their views, is in the cache, by a sample of them.

    Of a stream it is 0: its images would have to be decoded to be looked up.
    """
    if isinstance(images.images, Streamed) or not len(images):
        return 0.0
    rows = np.unique(np.linspace(0, len(images) - 1, min(LOOKED_UP, len(images))).round().astype(np.int64))
    digests, count = digests_of(images.images[rows]), view_count(views)
    found = 0
    for view in range(count):
        store = backbone.store(view, views, width=backbone.head.layer.weight.shape[1])
        found += 0 if store is None else sum(each is not None for each in store.find(digests))
    return found / (count * len(rows))
