"""The compute process: it imports torch, and answers questions in two threads, one for each lane.

`python -m convscope.studio.compute.process FROM TO` reads frames from one descriptor and writes them to another. First
comes what may be opened (`Openable`); then questions {id, operation, values} with an upload as the payload, and {stop:
[id, ...]}. What is sent back: {stage}, {id, part: true | false, type} with an encoded packet as the payload, and {id,
error, kind}.

The operations are in `convscope.studio.compute.handlers`:

    HANDLERS: dict[str, Handler[Session]]   one function (session, ask) -> Packet for each name in protocol.OPERATIONS
    open_session(openable: Openable) -> Session

A question about an uploaded image ("image", "image_png", "run", "export") has the upload's bytes as its body.
"""

from __future__ import annotations
