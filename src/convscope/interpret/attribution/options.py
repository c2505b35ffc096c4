"""What an attribution can be asked for."""

from __future__ import annotations

from dataclasses import dataclass, fields

from convscope.report.progress import Progress, no_progress


@dataclass(frozen=True, kw_only=True)
class AttributionOptions:
    """Settings of attributions; None where the method's own default holds.

    Args:
        layer: whose map is weighted, by name of a layer or an operation; the last with a map unless given.
        baseline: what replaces the image or its parts: blurred, mean, black or white.
        steps: between the baseline and the image; unless given 32, then 96 and 160 until the sum is complete.
        window: side of the window that is replaced, in positions of the input; see `Windows.over` unless given.
        stride: positions from one window to the next.
        precision: of occlusion fp32, bf16, or auto (unless given): the faster one on this machine whose map is the
            same within a tolerance; of integrated gradients fp32 (unless given) or bf16.
        progress: called with what is done.
    """

    layer: str | None = None
    baseline: str | None = None
    steps: int | None = None
    window: int | None = None
    stride: int | None = None
    precision: str | None = None
    progress: Progress = no_progress

    @property
    def given(self) -> list[str]:
        """The names of the settings that are not left to the method."""
        names = [item.name for item in fields(self) if item.name != "progress"]
        return [name for name in names if getattr(self, name) is not None]
