"""Messages between the page, the server and the compute process: questions, answers and how they are framed. No torch.

An answer is a `Packet`: JSON, or JSON and bytes after it, or a file. Its binary form is 4 bytes with the length of the
header (little-endian), the header as JSON, zeros up to a multiple of 4, then the bytes.

Between the server and the compute process an answer travels in a frame: the lengths of an envelope and of a payload (4
and 8 bytes, little-endian), the envelope as JSON, the payload. The server passes payloads on without reading them.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Literal, TypeAlias, TypeVar

from convscope.errors import ConvscopeError
from convscope.files.checked import parse_json
from convscope.files.fields import Fields
from convscope.report.json_values import in_json

StudioErrorKind = Literal["data", "range", "gone", "busy", "stopped", "deadline", "internal"]
"""What an error is about: input that can't be used, a number out of range, what is there no more, a full queue, work
that was stopped or replaced by newer work, a model that passed the deadline, a fault of ours or of the model's code."""

STATUS_CODES: dict[StudioErrorKind, int] = {
    "data": 400,
    "range": 400,
    "gone": 404,
    "busy": 503,
    "stopped": 409,
    "deadline": 504,
    "internal": 500,
}

BODY_LIMIT = 20 * 2**20  # bytes of an upload
QUESTION_LIMIT = 2**20  # bytes of any other request's body
IMAGE_PIXELS = 50_000_000

JSON_TYPE = "application/json"
BINARY_TYPE = "application/octet-stream"
PNG_TYPE = "image/png"
HTML_TYPE = "text/html; charset=utf-8"

AskLane = Literal["fast", "slow"]

OPERATIONS: dict[str, AskLane] = {
    "graph": "slow",
    "image": "fast",
    "image_png": "fast",
    "run": "slow",
    "maps": "fast",
    "values": "fast",
    "reach": "fast",
    "field": "fast",
    "cell": "fast",
    "kernel": "fast",
    "attribution": "slow",
    "export": "slow",
}
"""What the compute process can be asked, and by which of its two threads it is answered: questions of the fast lane
never wait for a forward pass, an attribution or a model that is being opened. The values of each:

    graph        {model}
    image        {title}, and the file's bytes as the body
    image_png    {image, model: KEY | null, interventions}
    run          {model, image, interventions}
    maps         {run, value, order, page, size, class: int | null, slice: int | null}
    values       {run, value, channel, box: [y0, x0, y1, x1] | null, slice: int | null}
    reach        {model, value, channel: int | null, direction: "backward" | "forward"}
    field        {run, value, c, at: [y, x], weights: str | null, of: VALUE | null}
    cell         {run, value, c, at: [y, x], page}
    kernel       {run, module, out, in}
    attribution  {run, method, class: int | null, layer: str | null, checks}; tells each part when it is ready
    export       {state, model}: the fragment of the page's link, and the model that it names
"""

SLOW_ORDERS = frozenset({"contribution", "gradient"})
"""Orders of feature maps that take forward or backward passes."""


def lane_of(operation: str, values: Mapping[str, Any]) -> AskLane:
    """Return which thread answers a question: maps in an order that needs passes of the network are slow.

    >>> lane_of("maps", {"order": "energy"}), lane_of("maps", {"order": "gradient"})
    ('fast', 'slow')
    """
    slow = operation == "maps" and values.get("order") in SLOW_ORDERS
    return "slow" if slow else OPERATIONS[operation]


NEWEST_WINS: dict[str, tuple[str, ...]] = {
    "run": ("model",),
    "field": ("run",),
    "cell": ("run", "page"),
    "attribution": ("run",),
    "export": (),
}
"""Operations of which one tab has one at a time: a newer question of the same tab stops an older one in which these
values are the same. Two networks side by side so have one each."""


SAME_WORK: dict[str, tuple[str, ...]] = {"attribution": ("method",), "maps": ("order",)}
"""Values that tell one piece of work from another of the same operation and model, where one passed the deadline."""


class StudioError(ConvscopeError):
    """An error as the page shows it: one line, and its kind."""

    def __init__(self, text: str, kind: StudioErrorKind = "data") -> None:
        super().__init__(text)
        self.kind: StudioErrorKind = kind


class StoppedWorkError(StudioError):
    """The work was stopped, or newer work of the same tab replaced it."""

    def __init__(self, text: str = "stopped: newer work of this tab replaced it") -> None:
        super().__init__(text, "stopped")


@dataclass(frozen=True)
class Packet:
    """An answer: `header` as JSON, and `body` after it where there is one.

    With a `media_type` that is neither JSON's nor binary, the answer is the body alone, as a file of that type.

    >>> Packet({"shape": [1, 2]}, b"ab").encoded()
    b'\\x0f\\x00\\x00\\x00{"shape":[1,2]}\\x00ab'
    >>> Packet({"ready": True}).encoded()
    b'{"ready":true}'
    """

    header: Mapping[str, Any]
    body: bytes | bytearray | memoryview | None = None
    media_type: str = ""

    @property
    def type(self) -> str:
        """Return the media type: as given, else JSON without a body and binary with one."""
        return self.media_type or (JSON_TYPE if self.body is None else BINARY_TYPE)

    @property
    def is_file(self) -> bool:
        """Whether the answer is the body alone; the header then says its `name`, and is not sent."""
        return self.media_type not in ("", JSON_TYPE, BINARY_TYPE)

    def encoded(self) -> bytes:
        """Return the bytes that the page gets. NaN and the infinities of the header become texts."""
        if self.is_file:
            return bytes(self.body or b"")
        text = json_bytes(self.header)
        if self.body is None:
            return text
        return b"".join((struct.pack("<I", len(text)), text, bytes(-len(text) % 4), self.body))

    @classmethod
    def decoded(cls, data: bytes, media_type: str = BINARY_TYPE) -> Packet:
        """Return the packet of a JSON or binary form, as `encoded` wrote it.

        >>> Packet.decoded(Packet({"shape": [1, 2]}, b"ab").encoded())
        Packet(header={'shape': [1, 2]}, body=b'ab', media_type='')
        """
        if media_type == JSON_TYPE:
            return cls(parse_json(data))
        (length,) = struct.unpack_from("<I", data)
        start = 4 + length
        return cls(parse_json(data[4:start]), data[start + -length % 4 :])


def error_packet(error: StudioError) -> Packet:
    """Return an error as the page shows it."""
    return Packet({"error": str(error), "kind": error.kind})


def joined(parts: Sequence[Packet], **header: Any) -> Packet:
    """Return several packets as one: `header`, and `parts`, each with its header and where its bytes are in the body.

    >>> joined([Packet({"method": "gradcam"}, b"abcd")], done=True).header
    {'done': True, 'parts': [{'method': 'gradcam', 'bytes': [0, 4]}]}
    """
    placed, pieces, start = [], [], 0
    for part in parts:
        piece = bytes(part.body or b"")
        placed.append({**part.header, "bytes": [start, len(piece)]})
        pieces += [piece, bytes(-len(piece) % 4)]
        start += len(piece) + -len(piece) % 4
    return Packet({**header, "parts": placed}, b"".join(pieces))


def _nothing() -> None: ...


def _kept_to_itself(part: Packet) -> None: ...


@dataclass(frozen=True)
class Ask:
    """A question to the compute process.

    Args:
        operation: one of OPERATIONS.
        values: its values, as OPERATIONS lists them; nothing but their JSON types is checked.
        body: an upload's bytes.
        check: raises StoppedWorkError where the work is wanted no more; long work calls it between two nodes.
        tell: hands a part of the answer on before the whole is ready.
    """

    operation: str
    values: Mapping[str, Any] = field(default_factory=dict)
    body: bytes = b""
    check: Callable[[], None] = _nothing
    tell: Callable[[Packet], None] = _kept_to_itself

    @property
    def fields(self) -> Fields:
        """Return the values by name, type and range: a value that can't be used raises UnreadableError, kind "data"."""
        return Fields(self.values)


Looking = TypeVar("Looking")
AskHandler: TypeAlias = Callable[[Looking, Ask], Packet]
"""One operation: a session of the compute process and a question become an answer. Errors: StudioError with its kind;
every other ConvscopeError and UnreadableError is of kind "data"; any other exception is "internal"."""


def json_bytes(value: Any) -> bytes:
    """Return a value as compact JSON in UTF-8."""
    return json.dumps(in_json(value), ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode(
        "utf-8", "backslashreplace"
    )


def write_frame(stream: BinaryIO, envelope: Mapping[str, Any], payload: bytes | memoryview = b"") -> None:
    """Write one frame and flush it."""
    head = json_bytes(envelope)
    stream.write(FRAME_HEAD.pack(len(head), len(payload)) + head)
    stream.write(payload)
    stream.flush()


FRAME_HEAD = struct.Struct("<IQ")
ENVELOPE_LIMIT = 2**24
PAYLOAD_LIMIT = 2**31


def frame_lengths(head: bytes) -> tuple[int, int]:
    """Return the lengths of the envelope and the payload that a frame's first 12 bytes hold.

    Raises:
        EOFError: they can't be those of a frame.
    """
    envelope, payload = FRAME_HEAD.unpack(head)
    if envelope > ENVELOPE_LIMIT or payload > PAYLOAD_LIMIT:
        raise EOFError(f"a frame of {envelope:,} and {payload:,} bytes")
    return envelope, payload


def read_frame(stream: BinaryIO) -> tuple[dict[str, Any], bytes]:
    """Read one frame: its envelope and its payload.

    Raises:
        EOFError: the stream has ended, or is no sequence of frames.

    >>> import io
    >>> pipe = io.BytesIO()
    >>> write_frame(pipe, {"id": 3}, b"payload")
    >>> _ = pipe.seek(0)
    >>> read_frame(pipe)
    ({'id': 3}, b'payload')
    """
    envelope, payload = frame_lengths(_exactly(stream, FRAME_HEAD.size))
    return parse_json(_exactly(stream, envelope)), _exactly(stream, payload)


def _exactly(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    if data is None or len(data) < size:
        raise EOFError("the stream has ended within a frame")
    return data
