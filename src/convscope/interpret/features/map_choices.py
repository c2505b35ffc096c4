"""How feature maps are ranked, and what has one colour scale, by name."""

from __future__ import annotations

from typing import Literal

ChannelRanking = Literal["energy", "contribution", "gradient", "order"]
ScaleOf = Literal["map", "layer", "network"]
