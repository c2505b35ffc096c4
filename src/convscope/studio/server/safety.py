"""What every request must be before it is answered, and the headers of every answer.

A page of another site can send requests to this server too, and a name of its own may point to this machine. So the
Host is one of an exact list, and whatever changes something comes from a page of this server, in a form that no other
page can send by itself. The token of the printed link becomes a cookie that scripts can't read.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from convscope.studio.protocol import BODY_LIMIT, JSON_TYPE, QUESTION_LIMIT, StudioError, StudioErrorKind, json_bytes

UPLOAD_PATH = "/api/image"
READ_AWAY = 8 * BODY_LIMIT  # bytes of a body that is too large
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
SAFE_METHODS = frozenset({"GET", "HEAD"})
_POLICY = (
    "default-src 'none'",
    "style-src 'self'",
    "connect-src 'self'",
    "img-src 'self' blob: data:",
    "font-src 'self'",
    "frame-src 'self'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
    "form-action 'none'",
)
METHODS = SAFE_METHODS | {"POST", "DELETE"}


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What requests are held to.

    Args:
        hosts: exactly what the header Host may be, as "127.0.0.1:8421".
        token: what the printed link holds.
        cookie: the name of the cookie; a browser sends one server's cookies to other ports too.
        script_hashes: of the scripts in the page itself, as "sha256-...".
    """

    hosts: frozenset[str]
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    cookie: str = "convscope_studio"
    script_hashes: tuple[str, ...] = ()

    @property
    def origins(self) -> frozenset[str]:
        """What the header Origin may be."""
        return frozenset(f"http://{host}" for host in self.hosts)

    @property
    def content_security_policy(self) -> str:
        """The policy of every page: nothing from elsewhere, no script but the server's own files."""
        scripts = " ".join(("'self'", *(f"'{digest}'" for digest in self.script_hashes)))
        return "; ".join((*_POLICY, f"script-src {scripts}"))


def allowed_hosts(port: int, others: Iterable[str] = ()) -> frozenset[str]:
    """Return the values that Host may have.

    >>> sorted(allowed_hosts(8421))
    ['127.0.0.1:8421', '[::1]:8421', 'localhost:8421']
    """
    bracketed = (f"[{name}]" if ":" in name and not name.startswith("[") else name.lower() for name in others)
    return frozenset(f"{name}:{port}" for name in (*LOOPBACK, *bracketed))


class Safety:
    """ASGI middleware that holds each request to the rules; what does not keep them is answered here."""

    def __init__(self, app: ASGIApp, rules: Rules) -> None:
        self._app, self._rules = app, rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request that does not keep the rules, and pass any other on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # no WebSocket is served
            await send({"type": "websocket.close", "code": 1008})
            return
        guarded_send = self._with_headers(send)
        refusal = self._refusal(scope)
        if refusal is not None:
            if refusal.status_code == 413:
                await _read_away(receive, READ_AWAY)
            await refusal(scope, receive, guarded_send)
            return
        limit = BODY_LIMIT if scope["path"] == UPLOAD_PATH else QUESTION_LIMIT
        await self._app(scope, _limited(receive, limit), guarded_send)

    def _refusal(self, scope: Scope) -> Response | None:
        """Return what a request that does not keep the rules is answered; None for one that does."""
        headers = Headers(scope=scope)
        method, path = scope["method"], scope["path"]
        hosts = headers.getlist("host")
        if len(hosts) != 1 or hosts[0].lower() not in self._rules.hosts:
            return _refused(421, "this server answers to its own address alone: open the link that it printed")
        if method not in METHODS:
            return _refused(405, f"{method[:20]} is not answered")
        if (site := headers.get("sec-fetch-site", "same-origin")) not in ("same-origin", "none"):
            if headers.get("sec-fetch-mode") == "navigate":
                return _in_words(403, "paste the link into the address bar: it can't be followed from another site")
            return _refused(403, f"a {site[:20]} request: only this server's own page may ask")
        if method not in SAFE_METHODS:
            if headers.get("origin", "").lower() not in self._rules.origins:
                return _refused(403, "a request that changes something must come from this server's own page")
            if method == "POST" and not _has_fitting_type(path, headers.get("content-type", "")):
                needed = "an image's type" if path == UPLOAD_PATH else JSON_TYPE
                return _refused(415, f"the type of the body must be {needed}")
            length = headers.get("content-length", "0")
            limit = BODY_LIMIT if path == UPLOAD_PATH else QUESTION_LIMIT
            if not (length.isascii() and length.isdigit()) or len(length) > 15 or int(length) > limit:
                return _refused(413, _too_large(limit))
        return self._admitted(scope, headers)

    def _admitted(self, scope: Scope, headers: Headers) -> Response | None:
        """Return None for a request with the cookie, a redirection with it for the link's token, else a refusal."""
        token = self._rules.token
        if scope["path"] == "/" and scope["method"] in SAFE_METHODS and scope["query_string"].startswith(b"t="):
            given = parse_qs(scope["query_string"].decode("latin-1")).get("t", [""])[0]
            if _same(given, token):
                response = RedirectResponse("/", status_code=303)
                response.set_cookie(self._rules.cookie, token, httponly=True, samesite="strict", path="/")
                return response
        # Other servers of this machine set cookies of any form, which a browser sends here too.
        if _same(cookie_parser(headers.get("cookie", "")).get(self._rules.cookie, ""), token):
            return None
        why = "open the link that convscope studio printed in the terminal: it holds the token that this page needs"
        if scope["path"].startswith("/api/"):
            return _refused(401, why, kind="gone")
        return _in_words(401, why)

    def _with_headers(self, send: Send) -> Send:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("content-security-policy", self._rules.content_security_policy)
                headers.setdefault("cache-control", "no-store")
                headers["x-content-type-options"] = "nosniff"
                if "frame-ancestors 'none'" in headers["content-security-policy"]:
                    headers["x-frame-options"] = "DENY"
                headers["referrer-policy"] = "no-referrer"
                headers["cross-origin-opener-policy"] = "same-origin"
                headers["cross-origin-resource-policy"] = "same-origin"
            await send(message)

        return guarded


def _limited(receive: Receive, limit: int) -> Receive:
    """Return the body's messages, and raise StudioError where they are longer than the limit."""
    got = 0

    async def counted() -> Message:
        nonlocal got
        message = await receive()
        got += len(message.get("body", b""))
        if got > limit:
            raise StudioError(_too_large(limit))
        return message

    return counted


def _has_fitting_type(path: str, content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return kind.startswith("image/") if path == UPLOAD_PATH else kind == JSON_TYPE


def _same(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), token.encode())


def _refused(status: int, why: str, *, kind: StudioErrorKind = "data") -> Response:
    return Response(json_bytes({"error": why, "kind": kind}), status_code=status, media_type=JSON_TYPE)


def _in_words(status: int, why: str) -> Response:
    """Return a refusal that a browser shows by itself."""
    return PlainTextResponse(f"convscope studio: {why}\n", status_code=status)


async def _read_away(receive: Receive, most: int) -> None:
    """Read a body that is refused: a browser that is still sending shows a broken connection, and not the answer."""
    while (message := await receive())["type"] == "http.request" and message.get("more_body") and most > 0:
        most -= len(message.get("body", b""))


def _too_large(limit: int) -> str:
    return f"the body is larger than {limit / 2**20:.0f} MB, the limit"
