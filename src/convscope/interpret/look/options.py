"""What a look shows, as one record of settings."""

from __future__ import annotations

import re
from dataclasses import dataclass

from convscope.interpret.features.map_choices import ChannelRanking, ScaleOf

LOOK_METHODS = ("grad-cam", "hires-cam", "integrated-gradients", "occlusion", "guided-backprop")
COMPARED_METHODS = ("grad-cam",)
MAPS = 8


@dataclass(frozen=True, kw_only=True)
class LookOptions:
    """What a look shows; the arguments of `look`, which says what each is."""

    layer: str | None = None
    target: int | str | None = None
    methods: tuple[str, ...] = LOOK_METHODS
    checks: bool = True
    maps: int = MAPS
    page: int = 1
    ranking: ChannelRanking = "energy"
    scale: ScaleOf = "layer"
    at: tuple[int, ...] | None = None
    fields: bool = False
    equivariance: bool = False
    robustness: bool = False
    visualize: str | None = None
    seed: int = 0


def layer_and_channels(text: str) -> tuple[str, tuple[int, ...]]:
    """Return the layer and the channels that "LAYER:CHANNELS" names; no channels where there are none.

    >>> layer_and_channels("layer1.0:relu#2:0,5"), layer_and_channels("layer1.0:relu#2")
    (('layer1.0:relu#2', (0, 5)), ('layer1.0:relu#2', ()))
    """
    layer, _, channels = text.rpartition(":")
    if layer and re.fullmatch(r"[0-9]{1,9}(,[0-9]{1,9})*", channels):
        return layer, tuple(dict.fromkeys(int(channel) for channel in channels.split(",")))
    return text, ()
