"""A state as one file: what it carries, that it stays below its limit, and that it asks nobody."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import struct
from typing import Any

import pytest

from clocks import StoppedClock
from convscope.errors import ConvscopeError
from convscope.studio.exporting import asked_answers
from convscope.studio.exporting import offline_page as room
from convscope.studio.exporting.asked_answers import Carried
from convscope.studio.exporting.carried import Carrying
from convscope.studio.exporting.offline_page import file_name, offline_page
from convscope.studio.exporting.page_parts import PageParts, parts_of
from convscope.studio.protocol import Ask, Packet, StoppedWorkError, StudioError
from convscope.studio.state import parse_state

LINK = "#/explore?v=1&m=net&i=sample:3&l=conv2&c=1&at=2,2&order=energy"
INDEX = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>studio</title>
<link rel="icon" href="/static/icon.svg">
<link rel="stylesheet" href="/static/base.css">
<script type="importmap">
{"imports": {"convscope/app": "/static/app.js", "convscope/api": "/static/api.js", "lib": "/static/vendor/lib.js",
 "convscope/packet": "/static/packet.js", "convscope/transport": "/static/transport.js",
 "convscope/train": "/static/train.js"}}
</script>
<script type="module" src="/static/app.js"></script></head><body><div id="app"></div></body></html>
"""
FILES = {
    "index.html": INDEX,
    "base.css": "body { color: red }",
    "app.js": 'import { ask } from "convscope/api";\nimport "lib";\nconst later = () => import("convscope/train");',
    "api.js": 'import { send } from "convscope/transport";\nexport const ask = send; // "</script>" # 50 %',
    "vendor/lib.js": "export default 1;",
    "transport.js": "export const send = fetch;",
    "offline.js": 'import { decode } from "convscope/packet";\nexport const send = decode;',
    "packet.js": "export const decode = null;",
    "train.js": "export const train = null;",
}
SHAPES = {"conv1": [8, 8, 8], "relu1": [8, 8, 8], "conv2": [4, 6, 6], "fc": [10]}


class Asked:
    """Answers as the compute process gives them, of a network that is not there; `asked` lists what was asked."""

    def __init__(
        self,
        *,
        noise: int = 0,
        missing: tuple[str, ...] = (),
        clock: StoppedClock | None = None,
        wait: float = 0.0,
        takes: tuple[int, ...] = (3, 32, 32),
    ) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.noise, self.missing, self.takes = noise, missing, takes
        self.clock, self.wait = clock or StoppedClock(), wait

    def __call__(self, ask: Ask) -> Packet:
        operation, values = ask.operation, ask.values
        ask.check()
        self.asked.append((operation, dict(values)))
        self.clock.now += self.wait
        if operation in self.missing:
            raise ConvscopeError(f"no {operation} here")
        value, shape = values.get("value", ""), SHAPES.get(values.get("value", ""), [1, 1, 1])
        match operation:
            case "graph":
                units = [{"id": name, "value": name, "shape": shape} for name, shape in SHAPES.items()]
                return Packet({"key": values["model"], "title": "A <net>", "input": list(self.takes), "units": units})
            case "image_png":
                return Packet({}, b"\x89PNG", "image/png")
            case "run":
                return Packet({"run": "r1", "prediction": {"kind": "none"}})
            case "maps":
                count = min(shape[0], values["size"])
                return Packet({"value": value, "channels": list(range(count))}, self._bytes(count * 64))
            case "attribution":
                ask.tell(Packet({"part": 1}, b"1234"))
            case "cell":
                y, x = values["at"]
                inner = {"conv2": "relu1", "relu1": "conv1"}.get(value, "input")
                terms = [{"operand": {"value": inner, "c": 0, "at": [y, x]}, "product": 1.0}]
                return Packet({"value": value, "groups": [{"terms": terms}], "noise": self._bytes(self.noise).hex()})
            case "reach" if value == "conv2":
                part = (values["channel"] or 0) // 2 * 2
                same = {"channels_agree": False, "channels": [part, part + 1]}
                return Packet({"shape": shape, **same}, self._bytes(40 + self.noise))
        return Packet({"of": operation}, self._bytes(40 + self.noise))

    def _bytes(self, count: int) -> bytes:
        found = b""
        while len(found) < count:
            found += hashlib.sha256(struct.pack("<II", len(self.asked), len(found))).digest()
        return found[:count]


def carried(asked: Asked, link: str = LINK, *, size: int = 2_000_000, seconds: float = 20.0) -> Carried:
    state, _ = parse_state(link)
    return Carrying(state, asked, export(link), room=size, seconds=seconds).all_of_it()


def export(link: str) -> Ask:
    return Ask("export", {"state": link})


def parts() -> PageParts:
    return parts_of({name: text.encode() for name, text in FILES.items()})


def inside(page: str, name: str) -> str:
    found = re.search(rf'<script type="[^"]*" id="{name}">(.*?)</script>', page)
    assert found is not None
    return found[1]


def test_a_page_carries_the_selected_cell_down_to_the_pixels_and_every_layer() -> None:
    asked = Asked()
    kept = carried(asked)
    for value in ("conv2", "relu1", "conv1"):
        assert ("cell", "r1", value, 1 if value == "conv2" else 0, 2, 2, 0) in kept.archive
    assert ("field", "r1", "conv2", 1, 2, 2) in kept.archive
    assert ("values", "r1", "conv2", 1) in kept.archive
    assert ("reach", "net", "input", "forward", None) in kept.archive
    for value in SHAPES:
        assert ("maps", "r1", value, "energy", 0) in kept.archive
        assert ("reach", "net", value, "backward", None) in kept.archive
    for channel in (1, 2):  # of a concatenation's parts each one
        assert ("reach", "net", "conv2", "backward", channel) in kept.archive
    assert ("reach", "net", "conv2", "backward", 3) not in kept.archive
    assert any("36 cells of conv2" in line for line in kept.contains)


def test_what_does_not_fit_is_left_out_and_what_is_always_there_is_not() -> None:
    kept = carried(Asked(noise=2_000), size=30_000)
    assert ("cell", "r1", "conv1", 0, 2, 2, 0) in kept.archive
    assert ("field", "r1", "conv2", 1, 5, 5) not in kept.archive
    assert any("the smallest box around it" in line for line in kept.contains)
    assert kept.archive.size < 30_000


def test_the_time_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = StoppedClock()
    monkeypatch.setattr(asked_answers, "time", clock)
    began = clock.now
    kept = carried(Asked(clock=clock, wait=0.01), seconds=0.1)
    assert 0.1 < clock.now - began < 1.0
    assert ("field", "r1", "conv2", 1, 2, 2) in kept.archive


def test_what_can_not_be_answered_is_said_and_the_rest_carried() -> None:
    kept = carried(Asked(missing=("field", "reach")))
    assert "field of conv2: no field here" in kept.missing
    assert "image of sample:3: no image_png here" in carried(Asked(missing=("image_png",))).missing
    assert ("maps", "r1", "conv1", "energy", 0) in kept.archive


@pytest.mark.parametrize(
    ("takes", "model"), [((1, 8, 8), "net"), ((4, 8, 8), None), ((3, 64), None), ((3, 4, 8, 8), None)]
)
def test_the_picture_is_the_one_that_the_page_shows(takes: tuple[int, ...], model: str | None) -> None:
    asked = Asked(takes=takes)
    assert ("image_png", "sample:3", "net") in carried(asked).archive
    assert [values["model"] for operation, values in asked.asked if operation == "image_png"] == [model]


def test_a_second_network_and_an_attribution_are_carried() -> None:
    asked = Asked()
    kept = carried(asked, f"{LINK}&m2=other&a=gradcam&class=3&x=shift:1,2")
    assert ("graph", "other") in kept.archive
    assert ("attribution", "r1", "gradcam", 3, None) in kept.archive
    runs = [values for operation, values in asked.asked if operation == "run"]
    assert [values["model"] for values in runs] == ["net", "other"]
    assert all(values["interventions"] == [{"op": "shift", "dy": 1, "dx": 2}] for values in runs)


def test_stopped_work_stops() -> None:
    def stopped() -> None:
        raise StoppedWorkError

    with pytest.raises(StoppedWorkError):
        Carrying(parse_state(LINK)[0], Asked(), Ask("export", check=stopped), room=1000, seconds=1).all_of_it()


def test_a_page_is_its_modules_by_name_with_the_answers_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "page_parts", parts)
    packet = offline_page(export(LINK), Asked())
    page = bytes(packet.body or b"").decode()
    assert packet.header["name"] == "convscope-net-conv2.html" and len(page) < room.LIMIT
    about = json.loads(inside(page, "offline-page"))
    assert about["state"] == LINK
    packed = base64.b64decode(inside(page, "offline-answers"))
    assert sum(about["blocks"]) == len(packed)
    index = json.loads(gzip.decompress(packed[-about["blocks"][-1] :]))
    kind, block, start, length = index["answers"]['["graph","net"]']
    first = sum(about["blocks"][:block])
    graph = gzip.decompress(packed[first : first + about["blocks"][block]])[start : start + length]
    assert kind == "application/json" and json.loads(graph)["title"] == "A <net>"
    assert index["session"]["models"][0]["title"] == "A <net>"


def test_a_page_asks_nobody_and_runs_only_what_its_policy_names() -> None:
    page = parts().as_one_file(title="<b>", about={"title": "</script><script>"}, answers=b"")
    policy = re.search(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', page)
    assert policy is not None and "default-src 'none'" in policy[1] and "connect-src 'none'" in policy[1]
    assert "unsafe" not in policy[1] and "http" not in policy[1]
    imports = re.search(r'<script type="importmap">(.*?)</script>', page)
    style = re.search(r"<style>(.*?)</style>", page)
    assert imports is not None and style is not None
    for text in (imports[1], style[1]):
        assert base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() in policy[1]
    names = json.loads(imports[1])["imports"]
    assert set(names) == {"convscope/app", "convscope/api", "convscope/packet", "convscope/transport", "lib"}
    assert all(address.startswith("data:text/javascript") and "#" not in address for address in names.values())
    assert not re.search(r'(?:src|href)="(?!data:)', page)
    assert "<title>&lt;b&gt;</title>" in page and page.count("<script") == 4


def test_a_module_that_imports_by_a_path_is_refused() -> None:
    files = {name: text.encode() for name, text in FILES.items()}
    with pytest.raises(StudioError, match="by a path"):
        parts_of({**files, "app.js": b'import { ask } from "./api.js";'})
    with pytest.raises(StudioError, match="missing"):
        parts_of({name: text for name, text in files.items() if name != "api.js"})
    # The page's own import map names a folder.
    whole = re.sub(
        rb'"convscope/app": .*?, "lib"', b'"convscope/": "/static/", "lib"', files["index.html"], flags=re.DOTALL
    )
    assert parts_of({**files, "index.html": whole}).modules == parts().modules
    with pytest.raises(StudioError, match="missing"):
        parts_of({name: text for name, text in files.items() if name != "api.js"} | {"index.html": whole})


@pytest.mark.parametrize("link", ["#/train?v=1&run=a", "#/explore?v=1&m=net", ""])
def test_only_an_open_state_can_be_written(link: str) -> None:
    with pytest.raises(StudioError, match="open a model and an image first"):
        offline_page(export(link), Asked())


def test_file_names_are_plain() -> None:
    assert file_name("<img onerror>", "../../etc") == "convscope-img-onerror-etc.html"
