"""A compute process without torch, for tests of the server: it waits, raises, hangs or ends as each question says."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from convscope.errors import CaptureError
from convscope.studio.compute.process import main
from convscope.studio.models import Openable
from convscope.studio.protocol import PNG_TYPE, Ask, AskHandler, Packet, StudioError

PNG = bytes.fromhex("89504e470d0a1a0a")


def told(session: None, ask: Ask) -> Packet:
    """Answer with what was asked, or do what the model's name says."""
    what = ask.values.get("model")
    if what == "resnet18":
        raise CaptureError("this model\ncan't be opened")
    if what == "resnet34":
        raise StudioError("channel 9 is out of range: there are 0 to 8", "range")
    if what == "resnet50":
        print("a print of the model")
        raise SystemExit(3)
    if what == "vgg11":
        os._exit(7)
    if what == "vgg13":
        time.sleep(3600)
    if what == "vgg16":
        while True:
            ask.check()
            time.sleep(0.01)
    run = {"run": f"a run of {what}"} if ask.operation == "run" else {}
    return Packet({"asked": ask.values, "operation": ask.operation, "body": len(ask.body), **run})


def image(session: None, ask: Ask) -> Packet:
    if not ask.body.startswith(PNG):
        raise StudioError("it is no image")
    return Packet({"key": ask.values["image"], "title": ask.values["title"], "width": 1, "height": 1, "notes": []})


def picture(session: None, ask: Ask) -> Packet:
    return Packet({}, PNG, PNG_TYPE)


def maps(session: None, ask: Ask) -> Packet:
    return Packet({"shape": [1, 1, 2], "asked": ask.values}, b"\x01\x02")


def attribution(session: None, ask: Ask) -> Packet:
    if ask.values["method"] == "gradient":
        time.sleep(3600)
    if ask.values["method"] == "integrated-gradients":
        while True:
            ask.check()
            time.sleep(0.01)
    for number in range(3):
        ask.tell(Packet({"part": number}, bytes(4)))
        time.sleep(0.02)
    if ask.values["method"] == "occlusion":
        raise StudioError("there is no such method")
    return Packet({"verdict": "it passes"})


HANDLERS: dict[str, AskHandler[Any]] = {
    **dict.fromkeys(("graph", "run", "values", "reach", "field", "cell", "export"), told),
    "image": image,
    "image_png": picture,
    "maps": maps,
    "attribution": attribution,
}


def load(openable: Openable) -> tuple[dict[str, AskHandler[Any]], None]:
    if openable.given == "fails.py:make":
        raise CaptureError("torch can't be imported")
    if openable.given == "ends.py:make":
        os._exit(9)
    return HANDLERS, None


if __name__ == "__main__":
    main(sys.argv[1:], load)
