"""The studio's numbers in a script, without a page: what "copy as Python" writes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from convscope.arrays import Array
from convscope.errors import DataError
from convscope.files.regular import read_bytes, refused_as
from convscope.studio.images import Uploads
from convscope.studio.models import Openable
from convscope.studio.protocol import Ask, Packet

if TYPE_CHECKING:
    from convscope.studio.compute.session import ExploreSession


class Studio:
    """What `convscope studio` computes, for scripts: models and images go by the keys that the page's links have.

    Args:
        model: a model as on the command line; its key is "given".
        image: an image as on the command line; its key is "given".
        runs: the folder of the runs, whose keys are "run:NAME".
        code: where the code of the given model's network is, as file.py:factory.
        input_text: the shape of the given model's input, such as "3x224x224".
        trust_code: whether the copy of that code which a run holds may be run.
    """

    def __init__(
        self,
        model: str = "",
        *,
        image: str = "",
        runs: str | os.PathLike[str] = "runs",
        code: str = "",
        input_text: str = "",
        trust_code: bool = False,
    ) -> None:
        from convscope.studio.compute.handlers import HANDLERS, open_session

        openable = Openable(
            runs=Path(runs).absolute(),
            given=model,
            image=image,
            code=code,
            input_text=input_text,
            trust_code=trust_code,
        )
        self._handlers = HANDLERS
        self._session: ExploreSession = open_session(openable)
        self._uploads = Uploads()

    def add_image(self, path: str | os.PathLike[str]) -> str:
        """Read an image file and return its key, that of the same file uploaded to a page."""
        with refused_as(DataError, path):
            data = read_bytes(path)
        key = self._uploads.add(data)
        self.answer("image", {"image": key, "title": os.path.basename(path)}, data)  # noqa: PTH119  any path
        return key

    def run(self, model: str, image: str, changes: Sequence[Mapping[str, Any]] = ()) -> StudioRun:
        """Run a model on an image, both changed as the page's interventions say."""
        values = {"model": model, "image": image, "interventions": [dict(change) for change in changes]}
        return StudioRun(self, self.answer("run", values, self._uploads.content(image)).header)

    def answer(self, operation: str, values: Mapping[str, Any], body: bytes = b"") -> Packet:
        """Return the answer to one of the protocol's operations."""
        return self._handlers[operation](self._session, Ask(operation, values, body))


class StudioRun:
    """A model that has been run on an image: its prediction, and any number in it."""

    def __init__(self, studio: Studio, header: Mapping[str, Any]) -> None:
        self._studio, self._header = studio, header

    @property
    def prediction(self) -> Mapping[str, Any]:
        """Return the prediction as the page shows it: its kind, and the classes with the highest probabilities."""
        found: Mapping[str, Any] = self._header["prediction"]
        return found

    def map(self, value: str, channel: int = 0) -> Array:
        """Return one channel of a value: float32, (rows, columns)."""
        asked = {"run": self._header["run"], "value": value, "channel": channel, "box": None}
        packet = self._studio.answer("values", asked)
        numbers = np.frombuffer(packet.body or b"", np.float32)
        return numbers.reshape([1, 1, *packet.header["shape"]][-2:])

    def number(self, value: str, channel: int = 0, at: Sequence[int] = (0, 0)) -> float:
        """Return one number of a value, at (row, column)."""
        return float(self.map(value, channel)[tuple(at)])

    def worked(self, value: str, channel: int = 0, at: Sequence[int] = (0, 0)) -> Mapping[str, Any]:
        """Return the worked arithmetic of one number, as the page shows it."""
        asked = {"run": self._header["run"], "value": value, "c": channel, "at": list(at), "page": 0}
        return self._studio.answer("cell", asked).header
