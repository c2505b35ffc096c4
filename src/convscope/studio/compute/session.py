"""What the compute process keeps between questions: models that were opened, images, runs and tables, each in a budget.

Two threads ask: the slow one opens models and runs networks, the fast one reads what is there. What both need is behind
a lock that is held for look-ups alone; a model is opened outside of it.
"""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convscope.api.torch_state import known_state
from convscope.capture.load import ModelLike
from convscope.files.regular import UnreadableError
from convscope.runs.run_directory import Run
from convscope.studio.compute.cache import Cache
from convscope.studio.compute.channel_parts import ChannelParts
from convscope.studio.compute.given_images import GivenImages
from convscope.studio.compute.graph_record import graph_record
from convscope.studio.compute.image_run import ImageRun, StillWanted, freed
from convscope.studio.compute.interventions import (
    changed_network,
    require_known,
)
from convscope.studio.compute.opened_model import OpenedModel, open_model
from convscope.studio.compute.reach_tables import reach_packet
from convscope.studio.intervention_text import Intervention
from convscope.studio.models import GIVEN, Openable, model_source
from convscope.studio.protocol import Packet, StudioError

VALUES_BUDGET = 2**30  # bytes of the values of all runs
PACKETS_BUDGET = 2**27  # bytes of answers that are kept
MODELS_BUDGET = 2**31  # bytes of the weights of all models
MODEL_BYTES = 2**26  # of a model beside its weights, about
RUNS_KEPT = 16  # of which the newest have their values
RUNS_WITH_VALUES = 2
LOCK_SECONDS = 0.5  # between two signs of life of a question that waits for a model


def _no_check() -> None: ...


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
        self._models: Cache[tuple[object, OpenedModel]] = Cache(
            MODELS_BUDGET, lambda kept: kept[1].weight_bytes + MODEL_BYTES
        )
        self._opening: dict[str, threading.Lock] = {}
        self._runs: Cache[ImageRun] = Cache(RUNS_KEPT)
        self._of: dict[RunKey, str] = {}
        self.packets: Cache[Packet] = Cache(PACKETS_BUDGET, lambda packet: len(packet.body or b"") + 4096)
        self.images = GivenImages(openable)
        self._lock = threading.RLock()
        self._count = 0
        # So that a run of the process before this one is an unknown run, not another one of this process.
        self._process_name = secrets.token_hex(4)

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
        while not opening.acquire(timeout=LOCK_SECONDS):  # another thread opens it
            check()
        try:
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
            kept = {opened.serial for _, opened in self._models.all()}
            self._runs.drop(lambda run: run.opened.serial not in kept)
            return made
        finally:
            opening.release()

    def graph(self, key: str, check: StillWanted = _no_check) -> Packet:
        """Return a network's record."""
        opened = self.opened(key, check)
        ChannelParts.of(opened)  # which the first tables would wait for
        return self._kept(("graph", key, opened.serial), lambda: Packet(graph_record(opened)))

    def reach(
        self,
        key: str,
        value: str,
        *,
        channel: int | None = None,
        direction: str = "backward",
        check: StillWanted = _no_check,
    ) -> Packet:
        """Return the tables of a value; see `reach_packet`."""
        opened = self.opened(key, check)
        place = ("reach", key, opened.serial, value, channel, direction)
        return self._kept(place, lambda: reach_packet(opened, value, channel=channel, direction=direction))

    def _kept(self, key: object, make: Callable[[], Packet]) -> Packet:
        packet = self.packets.get(key)
        if packet is None:
            packet = make()
            self.packets.put(key, packet)
        return packet

    def image_png(
        self,
        key: str,
        model: str | None,
        interventions: Sequence[Intervention] = (),
        body: bytes = b"",
        check: StillWanted = _no_check,
    ) -> Packet:
        """Return an image as a PNG: as a network is given it after the changes, or without one as it is."""
        return self.images.png(key, None if model is None else self.opened(model, check), interventions, body)

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
        key = RunKey(f"{model}\n{opened.serial}", image, json.dumps(list(interventions), sort_keys=True, default=str))
        with self._lock:
            known = self._runs.get(self._of.get(key, ""))
        if known is not None:
            return known
        title, given = self.images.given(opened, image, interventions, body)
        replays = changed_network(opened, interventions)
        with self._lock:
            self._count += 1
            number = f"r{self._count}-{self._process_name}"
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
