"""What the compute process can be asked, by name: each reads its question's values and returns a packet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from convscope.api.torch_state import known_state
from convscope.errors import GeometryError
from convscope.files.regular import UnreadableError
from convscope.hardware.memory_errors import is_out_of_memory, memory_asked
from convscope.studio.compute.attribution import attribution_packet
from convscope.studio.compute.cell import cell_packet
from convscope.studio.compute.field import field_packet
from convscope.studio.compute.image_run import ImageRun
from convscope.studio.compute.interventions import kernel_record
from convscope.studio.compute.maps import maps_packet, values_packet
from convscope.studio.compute.session import ExploreSession, interventions_of
from convscope.studio.models import Openable
from convscope.studio.protocol import Ask, AskHandler, Packet, StudioError

PAGE = 64


def open_session(openable: Openable) -> ExploreSession:
    """Return what answers questions about models that may be opened.

    What a first question of either lane imports of other packages is imported here, in one thread: modules that import
    each other, as those of `numpy.ma` and of PIL do, are found half made where two threads import them at once. So an
    image is drawn, a digit is enlarged, and an image file is decoded.
    """
    session = ExploreSession(openable)
    drawn = session.image_png("sample:0", None)
    session.image_png("sample:8", None)
    session.images.check(bytes(drawn.body or b""), "")
    return session


def _graph(session: ExploreSession, ask: Ask) -> Packet:
    return session.graph(ask.fields.text("model"), ask.check)


def _image(session: ExploreSession, ask: Ask) -> Packet:
    known = session.images.check(ask.body, ask.fields.text("title", default=""))
    return Packet({"key": ask.fields.text("image"), **known.header})


def _image_png(session: ExploreSession, ask: Ask) -> Packet:
    model = ask.values.get("model")
    return session.image_png(ask.fields.text("image"), model, interventions_of(ask.values), ask.body, ask.check)


def _run(session: ExploreSession, ask: Ask) -> Packet:
    fields = ask.fields
    run = session.run(
        fields.text("model"), fields.text("image"), interventions_of(ask.values), body=ask.body, check=ask.check
    )
    return session.run_packet(run)


def _maps(session: ExploreSession, ask: Ask) -> Packet:
    run, fields = _run_of(session, ask), ask.fields
    name, order = fields.text("value"), fields.text("order", default="index")
    page, size = _whole(ask, "page", 0), _whole(ask, "size", PAGE)
    target, at = _maybe(ask, "class"), _maybe(ask, "slice")

    def progress(done: int, total: int, what: str) -> None:
        ask.check()

    key = ("maps", run.number, name, order, page, size, target, at)
    packet = session.packets.get(key)
    if packet is None:
        packet = maps_packet(run, name, order=order, page=page, size=size, target=target, at=at, progress=progress)
        session.packets.put(key, packet)
    return packet


def _values(session: ExploreSession, ask: Ask) -> Packet:
    box = ask.values.get("box")
    found = None if box is None else _numbers(box, "box", 4)
    return values_packet(
        _run_of(session, ask), ask.fields.text("value"), _whole(ask, "channel", 0), found, _maybe(ask, "slice")
    )


def _reach(session: ExploreSession, ask: Ask) -> Packet:
    fields = ask.fields
    direction = ask.values.get("direction") or "backward"
    return session.reach(
        fields.text("model"),
        fields.text("value"),
        channel=_maybe(ask, "channel"),
        direction=str(direction),
        check=ask.check,
    )


def _field(session: ExploreSession, ask: Ask) -> Packet:
    return field_packet(
        _run_of(session, ask),
        ask.fields.text("value"),
        _whole(ask, "c", 0),
        _numbers(ask.values.get("at") or (), "at", None),
        weights=str(ask.values.get("weights") or "share"),
        of=str(ask.values.get("of") or "input"),
    )


def _cell(session: ExploreSession, ask: Ask) -> Packet:
    at = _numbers(ask.values.get("at") or (), "at", None)
    return cell_packet(
        _run_of(session, ask), ask.fields.text("value"), _whole(ask, "c", 0), at, page=_whole(ask, "page", 0)
    )


def _kernel(session: ExploreSession, ask: Ask) -> Packet:
    run, module = _run_of(session, ask), ask.fields.text("module")
    return Packet(kernel_record(run.opened, run.interventions, module, _whole(ask, "out", 0), _whole(ask, "in", 0)))


def _attribution(session: ExploreSession, ask: Ask) -> Packet:
    layer = ask.values.get("layer")
    return attribution_packet(
        _run_of(session, ask),
        ask.fields.text("method"),
        target=_maybe(ask, "class"),
        layer=None if layer is None else ask.fields.text("layer"),
        checks=bool(ask.values.get("checks", True)),
        check=ask.check,
        tell=ask.tell,
    )


def _run_of(session: ExploreSession, ask: Ask) -> ImageRun:
    return session.run_of(ask.fields.text("run"))


def _whole(ask: Ask, name: str, default: int) -> int:
    """Return a whole number of 0 or more; a negative one is out of range."""
    return default if ask.values.get(name) is None else ask.fields.integer(name, at_least=0)


def _maybe(ask: Ask, name: str) -> int | None:
    return None if ask.values.get(name) is None else ask.fields.integer(name, at_least=0)


def _numbers(found: Any, name: str, count: int | None) -> Sequence[int]:
    whole = isinstance(found, list | tuple) and all(type(number) is int for number in found)
    if not whole or (count is not None and len(found) != count):
        raise UnreadableError(f"{name} must be {count or 'a few'} whole numbers with commas between them")
    return tuple(found)


def _ranged(handler: AskHandler[ExploreSession]) -> AskHandler[ExploreSession]:
    """Return the same handler in torch's known state; a number out of range is an error of that kind."""

    def ranged(session: ExploreSession, ask: Ask) -> Packet:
        try:
            with known_state():
                return handler(session, ask)
        except StudioError:
            raise
        except GeometryError as error:
            raise StudioError(str(error), "range") from error
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise StudioError(f"this takes {memory_asked(error)}: choose a smaller network or image") from error

    return ranged


def _export(session: ExploreSession, ask: Ask) -> Packet:
    from convscope.studio.exporting.offline_page import offline_page

    return offline_page(ask, lambda asked: HANDLERS[asked.operation](session, asked))


HANDLERS: Mapping[str, AskHandler[ExploreSession]] = {
    name: _ranged(handler)
    for name, handler in {
        "graph": _graph, "image": _image, "image_png": _image_png, "run": _run, "maps": _maps, "values": _values,
        "reach": _reach, "field": _field, "cell": _cell, "kernel": _kernel, "attribution": _attribution,
        "export": _export,
    }.items()
}  # fmt: skip
"""One function for each name in `protocol.OPERATIONS`."""
