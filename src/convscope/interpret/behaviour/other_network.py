"""The network that another one is compared with: its layers, and the norms of its training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from convscope.capture.load import ModelLike, load
from convscope.data.preprocessing import Normalization, Preprocessing
from convscope.data.records import ImageSet
from convscope.errors import DataError
from convscope.interpret.explanation.explain import given_network
from convscope.interpret.replay.on_images import on_pixels
from convscope.interpret.replay.replays import Replays
from convscope.runs.run_directory import Run


@dataclass(frozen=True, kw_only=True)
class OtherNetwork:
    """A network that is compared with another one on that one's images.

    Args:
        replays: the network.
        preprocessing: how an image becomes its input; None where it takes what the other one takes.
        run: its run directory; None where it has none.
    """

    replays: Replays
    preprocessing: Preprocessing | None = None
    run: Run | None = None

    @property
    def normalization(self) -> Normalization | None:
        """Of its input; None where it takes what the other network takes."""
        return None if self.preprocessing is None else self.preprocessing.normalization

    def require_size(self, images: ImageSet, *, data: str) -> None:
        """Raise DataError where it takes images of another size."""
        if self.preprocessing is not None:
            require_image_size(self.replays.name, self.preprocessing.input_shape, images, data=data)


def require_image_size(name: str, input_shape: Sequence[int], images: ImageSet, *, data: str) -> None:
    """Raise DataError where images are of another size than a network's input, (C, H, W)."""
    height, width, channels = images.images.shape[1:]
    if tuple(input_shape) != (channels, height, width):
        takes = "×".join(map(str, input_shape))
        raise DataError(
            f"{name} takes images of {takes} (C×H×W), and those of {data} are {height}×{width}×{channels} (H×W×C)"
        )


def other_network(model: ModelLike, seed: int = 0) -> OtherNetwork:
    """Return the network that another one is compared with, in any form that `explain` takes.

    Raises:
        CaptureError: there is no such model.
        RunError: a run that can't be used.
    """
    loaded = load(model)
    network = given_network(loaded, None, seed)
    replays = on_pixels(Replays(network.module, name=network.name))
    return OtherNetwork(replays=replays, preprocessing=network.preprocessing, run=loaded.run)
