"""Each line of the studio's safety rules, by name: who may ask, what, and with what headers it is answered."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

pytest.importorskip("starlette")
httpx = pytest.importorskip("httpx")

from convscope.errors import ConvscopeError  # noqa: E402
from convscope.studio.images import Uploads  # noqa: E402
from convscope.studio.protocol import BODY_LIMIT, QUESTION_LIMIT, StudioError  # noqa: E402
from convscope.studio.server.launch import listen  # noqa: E402
from convscope.studio.server.safety import allowed_hosts  # noqa: E402
from studio_server import ORIGIN, PORT, TOKEN, answer  # noqa: E402

JSON = {"content-type": "application/json"}
OTHER_HOSTS = (
    "evil.example", "evil.example:8421", "127.0.0.1", "127.0.0.1:80", "localhost:84211", "127.0.0.1.evil.example:8421",
    "0.0.0.0:8421", "evil.example@127.0.0.1:8421", "127.1:8421", "",
)  # fmt: skip


@pytest.mark.parametrize("host", OTHER_HOSTS)
def test_host_is_one_of_an_exact_list(tmp_path: Path, host: str) -> None:
    # A name of another site may point to 127.0.0.1; "it is localhost, then check" lets it in.
    for path in ("/", "/api/session", f"/?t={TOKEN}", "/static/app.js"):
        refused = answer(tmp_path, "GET", path, headers={"host": host})
        assert refused.status_code == 421
        assert "set-cookie" not in refused.headers


@pytest.mark.parametrize("host", ["127.0.0.1:8421", "localhost:8421", "[::1]:8421", "LOCALHOST:8421"])
def test_each_host_of_the_list_is_answered(tmp_path: Path, host: str) -> None:
    assert answer(tmp_path, "GET", "/api/session", headers={"host": host}).status_code == 200


def test_other_machines_name_this_one_exactly(tmp_path: Path) -> None:
    hosts = allowed_hosts(PORT, ["Desk.local", "192.168.1.7", "fe80::1"])
    assert {"desk.local:8421", "192.168.1.7:8421", "[fe80::1]:8421"} <= hosts
    assert answer(tmp_path, "GET", "/api/session", headers={"host": "192.168.1.7:8421"}).status_code == 421


def test_two_hosts_are_none(tmp_path: Path) -> None:
    assert allowed_hosts(PORT) == {"127.0.0.1:8421", "localhost:8421", "[::1]:8421"}
    assert answer(tmp_path, "GET", "/api/session", headers={"host": "127.0.0.1:8421, evil.example"}).status_code == 421


@pytest.mark.parametrize(
    "origin", [None, "null", "http://evil.example", "https://127.0.0.1:8421", "http://127.0.0.1:80"]
)
@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/api/run"), ("POST", "/api/stop"), ("DELETE", "/api/run/1/attribution/1")]
)
def test_origin_is_this_page_for_all_but_get(tmp_path: Path, origin: str | None, method: str, path: str) -> None:
    refused = answer(tmp_path, method, path, headers={"origin": origin, **JSON}, content="{}")
    assert refused.status_code == 403
    assert "own page" in refused.json()["error"]


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
@pytest.mark.parametrize(("method", "path"), [("GET", "/api/session"), ("GET", "/"), ("POST", "/api/stop")])
def test_a_request_of_another_site_is_refused(tmp_path: Path, site: str, method: str, path: str) -> None:
    refused = answer(
        tmp_path, method, path, headers={"sec-fetch-site": site, **JSON}, content="{}" if method == "POST" else None
    )
    assert refused.status_code == 403


@pytest.mark.parametrize(
    "kind",
    [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain; application/json",
        "image/png",
    ],
)
def test_a_body_is_json(tmp_path: Path, kind: str) -> None:
    # What a form or a script of another page can send without asking first: never.
    refused = answer(tmp_path, "POST", "/api/stop", headers={"content-type": kind}, content="{}")
    assert refused.status_code == 415


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "application/octet-stream", "multipart/form-data"])
def test_an_upload_is_an_image(tmp_path: Path, kind: str) -> None:
    assert answer(tmp_path, "POST", "/api/image", headers={"content-type": kind}, content=b"x").status_code == 415


@pytest.mark.parametrize("method", ["PUT", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND"])
def test_no_other_method_is_answered(tmp_path: Path, method: str) -> None:
    refused = answer(tmp_path, method, "/api/session")
    assert refused.status_code == 405
    assert not any(name.startswith("access-control") for name in refused.headers)


def test_the_token_becomes_a_cookie_and_leaves_the_address(tmp_path: Path) -> None:
    moved = answer(tmp_path, "GET", f"/?t={TOKEN}", cookies={}, headers={"sec-fetch-site": "none"})
    assert moved.status_code == 303 and moved.headers["location"] == "/"
    cookie = moved.headers["set-cookie"]
    assert "HttpOnly" in cookie and "samesite=strict" in cookie.lower() and "domain" not in cookie.lower()
    assert moved.headers["referrer-policy"] == "no-referrer"
    assert moved.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("other", ['theme={"dark": true}', "a flag", "path=/; expires=never", "=;;", '"open'])
def test_cookies_of_other_servers_do_not_hide_ours(tmp_path: Path, other: str) -> None:
    # A browser sends the cookies of every server of this machine to all of its ports.
    sent = {"cookie": f"{other}; convscope_studio={TOKEN}"}
    assert answer(tmp_path, "GET", "/api/session", headers=sent, cookies={}).status_code == 200


@pytest.mark.parametrize("host", ["a..b", "a" * 70, "no such host"])
def test_a_host_that_is_no_address_is_refused_in_words(host: str) -> None:
    with pytest.raises(ConvscopeError, match="is no address: give one of this machine"):
        listen(host, PORT)


@pytest.mark.parametrize("cookies", [{}, {"convscope_studio": ""}, {"convscope_studio": TOKEN[:-1]}, {"other": TOKEN}])
@pytest.mark.parametrize("path", ["/", "/api/session", "/api/runs/mine/events", "/static/app.js", "/?t=", "/?t=wrong"])
def test_nothing_is_answered_without_the_token(tmp_path: Path, cookies: dict[str, str], path: str) -> None:
    refused = answer(tmp_path, "GET", path, cookies=cookies)
    assert refused.status_code == 401
    assert "set-cookie" not in refused.headers
    assert TOKEN not in refused.text


def test_the_token_is_in_no_answer(tmp_path: Path) -> None:
    for path in ("/", "/api/session", "/static/app.js"):
        found = answer(tmp_path, "GET", path)
        assert TOKEN not in found.text + str(found.headers)


@pytest.mark.parametrize(
    ("path", "status"), [("/", 200), ("/api/session", 200), ("/nothing", 404), ("/api/graph/none", 404)]
)
def test_every_answer_has_the_policy(tmp_path: Path, path: str, status: int) -> None:
    found = answer(tmp_path, "GET", path)
    assert found.status_code == status
    policy = dict(part.strip().partition(" ")[::2] for part in found.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["style-src"] == policy["connect-src"] == policy["font-src"] == "'self'"
    assert policy["img-src"] == "'self' blob: data:"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    scripts = policy["script-src"].split()
    assert scripts[0] == "'self'" and len(scripts) <= 2
    assert all(script.startswith("'sha256-") for script in scripts[1:])
    assert found.headers["x-content-type-options"] == "nosniff"
    assert found.headers["cross-origin-resource-policy"] == "same-origin"


PATHS = (
    "../server/app.py",
    "..%2fserver%2fapp.py",
    "%2e%2e/%2e%2e/errors.py",
    "/etc/passwd",
    "%2fetc%2fpasswd",
    "vendor/../../models.py",
    "index.html%00.js",
)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("before", ["/static/", "/api/graph/", "/api/graph/run:", "/api/image/", "/api/image/run:"])
def test_no_path_is_taken(tmp_path: Path, before: str, path: str) -> None:
    # Ids alone, which are looked up in a table.
    assert answer(tmp_path, "GET", f"{before}{path}").status_code in (400, 404)


@pytest.mark.parametrize(
    "model",
    [
        "given",
        "net.py:make",
        "/tmp/net.py:make",
        "os:system",
        "net.onnx",
        "timm/resnet18",
        "run:../other",
        "run:.",
        "run:",
    ],
)
def test_the_page_names_no_code(tmp_path: Path, model: str) -> None:
    asked = json.dumps({"model": model, "image": "sample:0", "interventions": []})
    refused = answer(tmp_path, "POST", "/api/run", headers=JSON, content=asked)
    assert refused.status_code == 404 and refused.json()["kind"] == "gone"


def test_a_link_out_of_the_runs_folder_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "model.json").write_text("{}")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "linked").symlink_to(tmp_path / "elsewhere")
    assert answer(tmp_path, "GET", "/api/graph/run:linked").status_code == 404


@pytest.mark.parametrize(
    ("path", "kind", "limit"),
    [("/api/image", "image/png", BODY_LIMIT), ("/api/run", "application/json", QUESTION_LIMIT)],
)
@pytest.mark.parametrize("says_its_length", [True, False])
def test_a_body_has_a_limit(tmp_path: Path, path: str, kind: str, limit: int, says_its_length: bool) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(limit // 2**18 + 1):
            yield bytes(2**18)

    content = bytes(limit + 1) if says_its_length else pieces()
    refused = answer(tmp_path, "POST", path, headers={"content-type": kind}, content=content)
    assert refused.status_code in (400, 413)
    assert "the limit" in refused.json()["error"]


def test_a_length_that_is_none_is_refused(tmp_path: Path) -> None:
    for length in (b"-1", b"1e3", b"\xb2", b"9" * 30):
        refused = answer(tmp_path, "POST", "/api/stop", headers={**JSON, "content-length": length}, content="{}")
        assert refused.status_code == 413


def test_uploads_have_a_limit_of_memory() -> None:
    uploads = Uploads(limit=100, count=3)
    keys = [uploads.add(bytes([number]) * 40) for number in range(4)]
    assert uploads.content(keys[3]) and uploads.content(keys[2])
    for key in keys[:2]:
        with pytest.raises(StudioError, match="no more"):
            uploads.content(key)


def test_a_websocket_is_closed(tmp_path: Path) -> None:
    import anyio

    from convscope.studio.models import Openable
    from convscope.studio.server.app import make_app

    app, _ = make_app(Openable(runs=tmp_path), hosts=allowed_hosts(PORT))
    sent = []

    async def run() -> None:
        async def receive() -> dict[str, str]:
            return {"type": "websocket.connect"}

        async def send(message: dict[str, object]) -> None:
            sent.append(message)

        await app({"type": "websocket", "path": "/", "headers": [(b"host", b"127.0.0.1:8421")]}, receive, send)

    anyio.run(run)
    assert sent == [{"type": "websocket.close", "code": 1008}]


def test_titles_are_sent_as_text(tmp_path: Path) -> None:
    name = "<img src=x onerror=alert(1)>"
    (tmp_path / "runs" / name).mkdir(parents=True)
    (tmp_path / "runs" / name / "model.json").write_text("{}")
    found = answer(tmp_path, "GET", "/api/session")
    assert found.headers["content-type"] == "application/json"
    assert [model["title"] for model in found.json()["models"] if model["kind"] == "run"] == [name]


def test_no_path_is_told(tmp_path: Path) -> None:
    (tmp_path / "runs" / "one").mkdir(parents=True)
    (tmp_path / "runs" / "one" / "model.json").write_text("{}")
    assert str(tmp_path) not in answer(tmp_path, "GET", "/api/session", headers={"origin": ORIGIN}).text
