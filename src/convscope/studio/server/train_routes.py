"""The endpoints of Train."""

from __future__ import annotations

import asyncio

from starlette.routing import BaseRoute

from convscope.studio.models import Openable


def train_routes(openable: Openable, closing: asyncio.Event) -> list[BaseRoute]:
    """Return the routes; streams of events end when `closing` is set."""
    return []
