"""The features of a set of images: one pass of a network for each view, and none for what is in the cache."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from convscope import __version__
from convscope.data.batches import to_floats
from convscope.data.records import ImageSet, Pixels
from convscope.data.streamed import Streamed
from convscope.hardware.mode import ForwardPass
from convscope.nets.modules import evaluation_mode
from convscope.report.progress import Progress, no_progress
from convscope.runs.model_spec import ModelSpec
from convscope.scoring.answer import evaluation_batch
from convscope.scoring.test_time_augmentation import VIEWS, view_count
from convscope.training.probe.feature_store import FeatureStore, digests_of
from convscope.training.probe.linear_head import LinearHead

# What a process that is killed has to compute again.
WRITE_SECONDS = 30.0


class StoppedError(Exception):
    """The pass was to stop before its end; what it had computed is in the cache."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Backbone:
    """A network up to its head, as it computes features.

    Args:
        network: the network; it is left as it was.
        head: its last layer.
        forward: the network's forward pass in the arithmetic of the features.
        spec: how images are prepared.
        device: where the network is.
        arithmetic: what `forward` computes in, for the key of the cache.
        cache: the cache folder; None keeps nothing.
    """

    network: nn.Module
    head: LinearHead
    forward: ForwardPass
    spec: ModelSpec
    device: str
    arithmetic: str
    cache: Path | None

    def store(self, view: int, views: str, *, width: int) -> FeatureStore | None:
        """Return the store of the features of a view, or None where nothing is kept; view 0 is the image itself."""
        if self.cache is None:
            return None
        return FeatureStore(self.cache, {**self._depends_on, "view": [views, view] if view else []}, width=width)

    @property
    def _depends_on(self) -> dict[str, Any]:
        return {
            "network": [self.spec.name, self.spec.options, self.head.name],
            "code": None if self.spec.source is None else self.spec.source.sha256,
            "weights": weights_digest(self.network, self.head),
            "normalization": asdict(self.spec.normalization),
            "size": list(self.spec.decoding.size),
            "arithmetic": [self.arithmetic, self.device, torch.__version__, __version__],
        }


@dataclass(frozen=True, kw_only=True, eq=False)
class FeatureSet:
    """Features of images.

    Args:
        views: float32 (N, features) of each view, the image itself first.
        rows: the row of the image set that each is of (N,); of a stream those that could be read, each once.
        computed: images that were not in the cache, over all views.
        problem: why features could not be kept; empty where they were.
    """

    views: tuple[Tensor, ...]
    rows: npt.NDArray[np.int64]
    computed: int
    problem: str

    def answers(self, images: ImageSet) -> Tensor:
        """Return the targets of the images: int64 (N,), or of several labels float32 (N, classes)."""
        found = images.answers[self.rows]
        return torch.from_numpy(found if images.targets is None else found.astype(np.float32))


def weights_digest(network: nn.Module, head: LinearHead) -> str:
    """Return a digest of every weight and running statistic outside the head, with their names and types."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        if name not in head.own_weights:
            values = tensor.detach().cpu().contiguous()
            digest.update(f"{name} {values.dtype} {tuple(values.shape)};".encode())
            digest.update(values.reshape(-1).view(torch.uint8).numpy().data if values.numel() else b"")
    return digest.hexdigest()


def compute_features(
    backbone: Backbone,
    images: ImageSet,
    *,
    views: str = "one",
    progress: Progress = no_progress,
    what: str = "computing features",
    stop: Callable[[], bool] = lambda: False,
) -> FeatureSet:
    """Return the features of images over their views, each computed once: read from the cache, or computed and kept.

    The network is in evaluation mode, without gradients, so running statistics and dropout change nothing. Of a stream,
    images are decoded once in the order of their files; an image that can't be read is left out.

    Raises:
        StoppedError: `stop()` between two batches.
        DataError: none of several images of a stream in a row can be read.
    """
    count = view_count(views)
    stores: list[FeatureStore | None] | None = None
    found: list[list[Tensor]] = [[] for _ in range(count)]
    rows: list[npt.NDArray[np.int64]] = []
    done = computed = 0
    written = time.monotonic()
    with evaluation_mode(backbone.network), torch.inference_mode():
        for pixels, shown in _in_order(images):
            if stop():
                _flush(stores)
                raise StoppedError
            if stores is None:
                width = _width(backbone.head)
                stores = [backbone.store(view, views, width=width) for view in range(count)]
            parts, new = _of_batch(backbone, pixels, views, stores)
            for features, part in zip(found, parts, strict=True):
                features.append(part)
            rows.append(shown)
            done, computed = done + len(shown), computed + new
            progress(done, len(images), what)
            if time.monotonic() - written > WRITE_SECONDS:
                _flush(stores)
                written = time.monotonic()
    _flush(stores)
    problem = next((store.problem for store in stores or () if store is not None and store.problem), "")
    return FeatureSet(
        views=tuple(torch.cat(features) for features in found),
        rows=np.concatenate(rows),
        computed=computed,
        problem=problem,
    )


def _width(head: LinearHead) -> int:
    return head.layer.weight.shape[1]


def _in_order(images: ImageSet) -> Iterator[tuple[Pixels, npt.NDArray[np.int64]]]:
    """Yield pixels (n, H, W, C) and their rows, batch by batch; an unreadable image of a stream is left out."""
    order = np.arange(len(images))
    size = evaluation_batch(images.images.shape[1:])
    parts = [order[start : start + size] for start in range(0, len(order), size)]
    if not isinstance(images.images, Streamed):
        yield from ((images.images[part], part) for part in parts)
        return
    for number, (pixels, shown) in enumerate(images.images.read(parts, order)):
        own = shown == parts[number]
        if own.any():
            yield pixels[own], shown[own]


def _of_batch(
    backbone: Backbone, pixels: Pixels, views: str, stores: list[FeatureStore | None]
) -> tuple[list[Tensor], int]:
    """Return the features (n, features) of each view of a batch, on the CPU, and how many had to be computed."""
    digests = digests_of(pixels) if any(store is not None for store in stores) else None
    kept = [[None] * len(pixels) if store is None or digests is None else store.find(digests) for store in stores]
    missing = [np.array([row is None for row in of_view]) for of_view in kept]
    wanted = np.logical_or.reduce(missing)
    found = [torch.zeros(len(pixels), _width(backbone.head)) for _ in kept]
    for features, of_view in zip(found, kept, strict=True):
        for place, row in enumerate(of_view):
            if row is not None:
                features[place] = torch.from_numpy(row)
    if not wanted.any():
        return found, 0
    # Of an image that lacks one view all are computed: views are made of the image, and it is rare.
    floats = to_floats(pixels[wanted], backbone.spec.normalization, device=backbone.device)
    for number, (view, _) in enumerate(VIEWS[views](floats)):
        computed = backbone.head.features(backbone.network, backbone.forward, view).cpu()
        found[number][torch.from_numpy(wanted)] = computed
        store = stores[number]
        if store is not None and digests is not None:
            lacking = missing[number][wanted]
            store.add(digests[wanted][lacking], computed.numpy()[lacking])
    return found, int(sum(of_view.sum() for of_view in missing))


def _flush(stores: list[FeatureStore | None] | None) -> None:
    for store in stores or ():
        if store is not None:
            store.flush()
