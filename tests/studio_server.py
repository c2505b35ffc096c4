"""The studio's application in this process, with a compute process of which no operation needs torch."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx

from convscope.studio.compute.client import ComputeClient
from convscope.studio.models import Openable
from convscope.studio.server.app import make_app
from convscope.studio.server.safety import allowed_hosts

TOKEN = "a-token-of-the-tests"
PORT = 8421
ORIGIN = f"http://127.0.0.1:{PORT}"
STUB = Path(__file__).with_name("studio_compute_stub.py")
COOKIE = {"convscope_studio": TOKEN}
OWN = {"origin": ORIGIN, "sec-fetch-site": "same-origin", "x-convscope-tab": "tab"}


@asynccontextmanager
async def served(folder: Path, **openable: Any) -> AsyncIterator[tuple[httpx.AsyncClient, ComputeClient]]:
    """Serve the application, with a client that is this server's own page."""
    what = Openable(runs=folder / "runs", **{"deadline": 60.0, **openable})
    compute = ComputeClient(what, command=[sys.executable, "-P", str(STUB)])
    app, _ = make_app(what, hosts=allowed_hosts(PORT), token=TOKEN, compute=compute)
    compute.start()
    try:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url=ORIGIN, headers=OWN, cookies=COOKIE) as client:
            yield client, compute
    finally:
        await compute.close()


def answer(folder: Path, method: str, path: str, *, headers: dict[str, str | None] | None = None, **given: Any) -> Any:
    """The answer to one request of the page, without a compute process; a header that is None is left out."""
    what = Openable(runs=folder / "runs")
    app, _ = make_app(what, hosts=allowed_hosts(PORT), token=TOKEN)
    merged = {**OWN, **(headers or {})}

    async def run() -> httpx.Response:
        client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app), base_url=ORIGIN, cookies=given.pop("cookies", COOKIE)
        )
        async with client:
            kept = {name: value for name, value in merged.items() if value is not None}
            return await client.request(method, path, headers=kept, **given)

    return anyio.run(run)


def story(folder: Path, tell: Callable[[httpx.AsyncClient, ComputeClient], Awaitable[None]], **openable: Any) -> None:
    """Run a test's coroutine with the application served."""

    async def run() -> None:
        with anyio.fail_after(300):
            async with served(folder, **openable) as (client, compute):
                await tell(client, compute)

    anyio.run(run)


async def until(page: httpx.AsyncClient, stage: str) -> dict[str, Any]:
    """Ask for the session, as the page does, until the compute process is at a stage; return the session."""
    while (found := (await page.get("/api/session")).json())["stage"] != stage:
        assert found["stage"] not in ("ready", "failed"), found["text"]
        await anyio.sleep(0.02)
    return found  # type: ignore[no-any-return]
