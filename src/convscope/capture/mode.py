"""How a model is run while it is captured."""

from __future__ import annotations

from typing import Literal

# "eval": every module in evaluation; "train": every module in training; "as is": as the user left them.
CaptureMode = Literal["eval", "train", "as is"]
