"""A state of Explore as one HTML file that needs no server: the studio's own page, and the answers that it asks for.

No torch: what the page asks is answered by a function.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from importlib.metadata import version

from convscope.studio.exporting.asked_answers import Answering
from convscope.studio.exporting.carried import Carrying
from convscope.studio.exporting.page_parts import page_parts
from convscope.studio.protocol import HTML_TYPE, Ask, Packet, StudioError
from convscope.studio.state import format_state, parse_state

LIMIT = 3_000_000  # bytes of the file
SECONDS = 12.0  # in which what is not always there is asked for
_RESERVE = 60_000  # bytes for the index and the page's own words


def offline_page(ask: Ask, answering: Answering, *, limit: int = LIMIT, seconds: float = SECONDS) -> Packet:
    """Return a state as one HTML file; its header has the file's name, and in words what it carries.

    Args:
        ask: the question `export`: its value `state` is the fragment of the page's link; the body is the image's bytes
            where that was uploaded.
        answering: answers the page's other questions, as the compute process does.
        limit: bytes that the file may have; what is always there is kept even where it takes more.
        seconds: that may be spent on what is not always there.

    Raises:
        StudioError: the link is not of Explore, or names no model or no image.
    """
    state, _ = parse_state(ask.fields.text("state"))
    if state.room != "explore" or not state.model or not state.image:
        raise StudioError("open a model and an image first: an offline page is of one state of Explore")
    parts = page_parts()
    shell = len(parts.as_one_file(title="", about={}, answers=b"").encode())
    room = (limit - shell - _RESERVE) * 3 // 4  # base64 writes three bytes as four
    carried = Carrying(state, answering, ask, room=room, seconds=seconds).all_of_it()
    blocks, answers = carried.archive.packed()
    title = " · ".join(filter(None, ("convscope", state.model, state.value)))
    about = {
        "title": title,
        "made": f"{datetime.now(UTC):%Y-%m-%d}",
        "version": version("convscope"),
        "state": format_state(state),
        "carried": carried.contains,
        "missing": carried.missing,
        "blocks": blocks,
    }
    page = parts.as_one_file(title=title, about=about, answers=answers).encode("utf-8", "backslashreplace")
    header = {"name": file_name(state.model, state.value), "carried": carried.contains, "missing": carried.missing}
    return Packet({**header, "bytes": len(page)}, page, HTML_TYPE)


def file_name(*names: str) -> str:
    """Return a file name of these names: letters, digits, dots and dashes.

    >>> file_name("run:shapes/../x", "layer1.0:relu#2")
    'convscope-run-shapes-x-layer1.0-relu-2.html'
    """
    plain = re.sub(r"[^A-Za-z0-9.]+|[.]{2,}", "-", "-".join(filter(None, names)))
    return f"convscope-{re.sub(r'-+', '-', plain).strip('-.')[:100]}.html"
