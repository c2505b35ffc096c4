"""What the compute process keeps between questions: models that were opened, images, runs and tables, each in a budget.

Two threads ask: the slow one opens models and runs networks, the fast one reads what is there. What both need is behind
a lock that is held for look-ups alone; a model is opened outside of it.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch

from convscope.api.torch_state import known_state
from convscope.capture.load import ModelLike
from convscope.data.image_item import image_item
from convscope.data.pixels.structure import read_header
from convscope.data.records import Decoding, Pixels
from convscope.errors import ConvscopeError, DataError
from convscope.files.regular import UnreadableError, refused_as
from convscope.interpret.explanation.given import Given, NetworkInput
from convscope.report.png import png_bytes
from convscope.report.units import shape as shape_text
from convscope.runs.run_directory import Run
from convscope.runs.run_images import own_images
from convscope.studio.compute.channel_parts import ChannelParts
from convscope.studio.compute.graph_record import graph_record
from convscope.studio.compute.image_run import ImageRun, StillWanted, freed
from convscope.studio.compute.interventions import (
    changed_network,
    changed_picture,
    changes_image,
    require_known,
)
from convscope.studio.compute.opened_model import OpenedModel, open_model
from convscope.studio.compute.reach_tables import reach_packet
from convscope.studio.compute.samples import as_input, drawn_sample
from convscope.studio.images import SAMPLE_PREFIX, SAMPLE_SIDE, UPLOAD_PREFIX, ImageSource, image_source
from convscope.studio.models import GIVEN, Openable, model_source
from convscope.studio.protocol import PNG_TYPE, Packet, StudioError
from convscope.studio.state import Intervention

VALUES_BUDGET = 2**30  # bytes of the values of all runs
PACKETS_BUDGET = 2**27  # bytes of answers that are kept
MODELS_KEPT = 4
RUNS_KEPT = 16  # of which the newest have their values
RUNS_WITH_VALUES = 2
MEGAPIXELS = 50
PREVIEW_SIDE = 224  # of an image without a model

CacheItem = TypeVar("CacheItem")


def _no_check() -> None: ...


class Cache(Generic[CacheItem]):
    """Things by key, the least recently used dropped first, by number or by size.

    >>> cache = Cache[str](limit=2)
    >>> for word in ("one", "two", "six"):
    ...     cache.put(word, word)
    >>> cache.get("one"), cache.get("six")
    (None, 'six')
    """

    def __init__(self, limit: int, size_of: Callable[[CacheItem], int] = lambda _: 1) -> None:
        self._limit, self._size_of, self._size = limit, size_of, 0
        self._kept: OrderedDict[object, CacheItem] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: object) -> CacheItem | None:
        """Return what is kept under a key, or None."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: object, thing: CacheItem) -> None:
        """Keep a thing; the one just put is never dropped."""
        with self._lock:
            if key in self._kept:
                self._size -= self._size_of(self._kept.pop(key))
            self._kept[key] = thing
            self._size += self._size_of(thing)
            while self._size > self._limit and len(self._kept) > 1:
                self._size -= self._size_of(self._kept.popitem(last=False)[1])

    def all(self) -> list[CacheItem]:
        """Return what is kept, the least recently used first."""
        with self._lock:
            return list(self._kept.values())


@dataclass(frozen=True)
class RunKey:
    """What a run was asked for."""

    model: str
    image: str
    changes: str


class ExploreSession:
    """Models, images and runs by their keys.

    Args:
        openable: what may be opened.
    """

    def __init__(self, openable: Openable) -> None:
        self.openable = openable
        self._models: Cache[tuple[object, OpenedModel]] = Cache(MODELS_KEPT)
        self._opening: dict[str, threading.Lock] = {}
        self._runs: Cache[ImageRun] = Cache(RUNS_KEPT)
        self._of: dict[RunKey, str] = {}
        self.packets: Cache[Packet] = Cache(PACKETS_BUDGET, lambda packet: len(packet.body or b"") + 4096)
        self._images: Cache[Pixels] = Cache(2**26, lambda pixels: int(pixels.nbytes))
        self._lock = threading.RLock()
        self._count = 0

    # --- models ---

    def opened(self, key: str, check: StillWanted = _no_check) -> OpenedModel:
        """Return a model by its key, opened once; a run whose weights have changed since is opened again.

        Raises:
            StudioError: there is no such model.
            CaptureError: it can't be built.
        """
        source = model_source(key, self.openable)
        with self._lock:
            opening = self._opening.setdefault(key, threading.Lock())
        with opening:
            age = _age_of(source.load)
            known = self._models.get(key)
            if known is not None and known[0] == age:
                return known[1]
            text = self.openable.input_text if key == GIVEN else ""
            model: ModelLike = source.load
            if key == GIVEN and (self.openable.code or self.openable.trust_code):
                model = Run(Path(source.load), model=self.openable.code, trust_code=self.openable.trust_code)
            made = open_model(model, key=key, title=source.title, input_text=text, check=check)
            self._models.put(key, (age, made))
            return made

    def graph(self, key: str, check: StillWanted = _no_check) -> Packet:
        """Return a network's record."""
        opened = self.opened(key, check)
        ChannelParts.of(opened)  # which the first tables would wait for
        return self._kept(("graph", key, id(opened)), lambda: Packet(graph_record(opened)))

    def reach(self, key: str, value: str, *, channel: int | None = None, direction: str = "backward") -> Packet:
        """Return the tables of a value; see `reach_packet`."""
        opened = self.opened(key)
        place = ("reach", key, id(opened), value, channel, direction)
        return self._kept(place, lambda: reach_packet(opened, value, channel=channel, direction=direction))

    def _kept(self, key: object, make: Callable[[], Packet]) -> Packet:
        packet = self.packets.get(key)
        if packet is None:
            packet = make()
            self.packets.put(key, packet)
        return packet

    # --- images ---

    def check_image(self, data: bytes, title: str) -> Packet:
        """Return what is known of an uploaded image; its key is the server's.

        Raises:
            DataError: it is none, or too large.
        """
        decoding = Decoding(size=(PREVIEW_SIDE, PREVIEW_SIDE)).limited(MEGAPIXELS)
        with refused_as(DataError, title or "the image"):
            image_item(data, title or "the image").decode(decoding)
            header = read_header(data)
        return Packet({"title": title, "width": header.width, "height": header.height, "notes": []})

    def image(self, key: str, body: bytes = b"") -> tuple[ImageSource, Given]:
        """Return an image by its key, in a form that `network_input` takes.

        Raises:
            StudioError: there is no such image, or it is gone.
        """
        source = image_source(key, self.openable)
        if key.startswith(UPLOAD_PREFIX):
            if not body:
                raise StudioError("that image is here no more: send it again, or choose a sample", "gone")
            return source, body
        if source.run:
            return source, self._of_run(source)
        if key.startswith(SAMPLE_PREFIX) and source.load.startswith("drawn/"):
            name = source.load.removeprefix("drawn/")
            pixels = self._images.get(name)
            if pixels is None:
                pixels = drawn_sample(name)
                self._images.put(name, pixels)
            return source, pixels
        return source, source.load

    def _of_run(self, source: ImageSource) -> Pixels:
        run = Run(self.openable.runs / source.run)
        try:
            _, images = own_images(run)
        except ConvscopeError as reason:
            raise StudioError(f"the images of {source.run} can't be read: {reason}", "gone") from None
        number = int(source.load)
        if number >= len(images):
            raise StudioError(f"{source.run} has images 0 to {len(images) - 1}: {number} is none of them", "gone")
        return np.asarray(images.images[number])

    def image_png(
        self, key: str, model: str | None, interventions: Sequence[Intervention], body: bytes = b""
    ) -> Packet:
        """Return an image as a PNG: as the network is given it after the changes, or without a network as it is."""
        require_known(interventions)
        if model is None:
            source, given = self.image(key, body)
            decoding = Decoding(size=(PREVIEW_SIDE, PREVIEW_SIDE)).limited(MEGAPIXELS)
            pixels = np.asarray(image_item(given, source.title).decode(decoding))
        else:
            found = self.given(self.opened(model), key, interventions, body)[1].pixels
            if found is None:
                raise StudioError("what this network is given is no picture", "data")
            pixels = found
        height, width = pixels.shape[:2]
        return Packet({"key": key, "width": width, "height": height}, png_bytes(np.ascontiguousarray(pixels)), PNG_TYPE)

    def given(
        self, opened: OpenedModel, key: str, interventions: Sequence[Intervention], body: bytes = b""
    ) -> tuple[str, NetworkInput]:
        """Return an image's title, and the image as a network is given it, after the changes of images.

        Raises:
            DataError: the image is no input of this network, or is changed and no picture.
        """
        source, image = self.image(key, body)
        stands_in = key.startswith(SAMPLE_PREFIX) and not opened.takes_pictures
        found = self._stand_in(opened, source, image) if stands_in else opened.input_of(image)
        if not changes_image(interventions):
            return source.title, found
        normalization = opened.subject(found, source.title).normalization
        if found.pixels is None or normalization is None:
            raise DataError(
                "only an 8-bit picture can be shifted, turned, blurred, cut or occluded: this input is none"
            )
        pixels = changed_picture(found.pixels, interventions)
        return source.title, replace(found, tensor=opened.normalised(pixels, normalization), pixels=pixels)

    def _stand_in(self, opened: OpenedModel, source: ImageSource, image: Given) -> NetworkInput:
        """Return a sample as the input of a network that takes no pictures."""
        decoding = Decoding(size=(SAMPLE_SIDE, SAMPLE_SIDE))
        pixels = np.asarray(image_item(image, source.title).decode(decoding))
        shape = opened.network.input_shape or ()
        found = opened.input_of(torch.from_numpy(as_input(pixels, shape)))
        text = (
            f"{opened.network.name} takes {shape_text(shape)}, which is no picture: grey levels stand for its numbers"
        )
        return replace(found, pixels=None, notes=(text,))

    # --- runs ---

    def run(
        self,
        model: str,
        image: str,
        interventions: Sequence[Intervention] = (),
        *,
        body: bytes = b"",
        check: StillWanted = _no_check,
    ) -> ImageRun:
        """Run a network on an image, all of its values; a run that is there already is returned.

        Args:
            model: its key.
            image: its key.
            interventions: changes of the image and of the network.
            body: an uploaded image's bytes.
            check: is called between two operations, and raises where the work is wanted no more.

        Raises:
            StudioError: no such model or image.
            ConvscopeError: the image is no input of the network, the network does not run, or a change can't be made.
        """
        require_known(interventions)
        opened = self.opened(model, check)
        key = RunKey(f"{model}\n{id(opened)}", image, json.dumps(list(interventions), sort_keys=True, default=str))
        with self._lock:
            known = self._runs.get(self._of.get(key, ""))
        if known is not None:
            return known
        title, given = self.given(opened, image, interventions, body)
        replays = changed_network(opened, interventions)
        with self._lock:
            self._count += 1
            number = f"r{self._count}-{hashlib.sha256(repr(key).encode()).hexdigest()[:8]}"
        made = ImageRun(
            number, opened, image, title, given, replays, tuple(dict(one) for one in interventions), given.notes
        )
        with known_state():
            self._make_room(made)
            made.compute(budget=VALUES_BUDGET, check=check)
        with self._lock:
            self._runs.put(number, made)
            self._of[key] = number
            self._of = {key: number for key, number in self._of.items() if number in self._numbers()}
        return made

    def _numbers(self) -> set[str]:
        return {run.number for run in self._runs.all()}

    def _make_room(self, newest: ImageRun) -> None:
        """Free the values of all but the newest runs, as many as fit beside one that is to be computed."""
        total = newest.bytes
        for kept, run in enumerate(reversed(self._runs.all()), 2):
            total += run.bytes
            if kept > RUNS_WITH_VALUES or total > VALUES_BUDGET:
                freed([run])

    def run_of(self, number: str) -> ImageRun:
        """Return a run by its number.

        Raises:
            StudioError: of kind "gone": it was dropped for newer ones.
        """
        run = self._runs.get(number)
        if run is None:
            raise StudioError("that run is here no more: choose the image again", "gone")
        return run

    def run_packet(self, run: ImageRun) -> Packet:
        """Return a run's number and prediction."""
        return Packet({
            "run": run.number,
            "prediction": run.prediction(),
            "input": {"shape": list(run.given.tensor.shape[1:]), "picture": run.given.pixels is not None},
            "changed": {"from": self._unchanged(run)},
            "notes": list(dict.fromkeys((*run.opened.notes, *run.notes))),
        })  # fmt: skip

    def _unchanged(self, run: ImageRun) -> str | None:
        """Return the number of the run without interventions, if it is there."""
        if not run.interventions:
            return None
        for other in reversed(self._runs.all()):
            if other.opened is run.opened and other.image == run.image and not other.interventions:
                return other.number
        return None


def _age_of(path: str) -> Any:
    """Return what changes with a run's weights; nothing for any other model."""
    try:
        folder = Path(path)
        if not folder.is_dir():
            return None
        return tuple(sorted((one.name, one.stat().st_mtime_ns) for one in folder.glob("*.safetensors")))
    except OSError:
        return None


def interventions_of(values: Mapping[str, Any]) -> tuple[Intervention, ...]:
    """Return the interventions of a question.

    Raises:
        UnreadableError: they are no list of objects.
    """
    found = values.get("interventions") or ()
    if not isinstance(found, list | tuple):
        raise UnreadableError("interventions must be a list of objects")
    return tuple(found)
