"""Start the server on a free port, print its link, open a browser, and end with Ctrl-C."""

from __future__ import annotations

import asyncio
import errno
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import uvicorn

from convscope.errors import ConvscopeError
from convscope.studio.models import Openable
from convscope.studio.server.app import make_app
from convscope.studio.server.safety import allowed_hosts

DEFAULT_PORT = 8421
TRIED_PORTS = 100
IDLE_SECONDS = 75  # after which a connection that is kept open is closed; a browser may be about to use it
END_SECONDS = 2  # that open connections have when the server ends
_LOOPBACK_NAMES = {"127.0.0.1", "localhost", "::1"}
_EVERY_ADDRESS = {"0.0.0.0", "::", ""}


def serve(
    openable: Openable,
    *,
    host: str,
    port: int,
    open_browser: bool,
    say: Callable[[str], None],
    fragment: str = "",
) -> None:
    """Serve the page until Ctrl-C or SIGTERM; the link is said before anything heavy is imported.

    Args:
        openable: what the page may open.
        host: the address to listen to.
        port: the first port to try; where it is taken, the next free one is used, and that is said.
        open_browser: whether to open the link in a browser.
        say: prints a line.
        fragment: of the link: the state that the page opens.

    Raises:
        ConvscopeError: the address can't be used, or no port is free.
    """
    listening = listen(host, port)
    got = listening.getsockname()[1]
    if port not in (0, got):
        say(f"port {port} is taken: using {got}")
    others = [] if host in _LOOPBACK_NAMES else _names_of_this_machine(host)
    closing = asyncio.Event()
    app, rules = make_app(openable, hosts=allowed_hosts(got, others), cookie=f"convscope_studio_{got}", closing=closing)
    shown = others[0] if others else host
    link = f"http://{f'[{shown}]' if ':' in shown else shown}:{got}/?t={rules.token}{fragment}"

    def started() -> None:
        say(f"convscope studio: {link}")
        if others:
            say("this link is a password: it runs models and trainings on this machine, over an unencrypted connection")
        say("Ctrl-C ends it")
        if open_browser:
            threading.Thread(target=_open_browser, args=(link,), daemon=True).start()

    config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False, ws="none")
    config.timeout_graceful_shutdown = END_SECONDS
    config.timeout_keep_alive = IDLE_SECONDS
    with listening:
        asyncio.run(_Server(config, closing, started).serve(sockets=[listening]))


class _Server(uvicorn.Server):
    """A server that prints when it has started, and ends streams of events when it is stopped."""

    def __init__(self, config: uvicorn.Config, closing: asyncio.Event, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._closing, self._say_started = closing, started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._say_started()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:
                loop.add_signal_handler(number, self._end)
        yield

    def _end(self) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True
        self._closing.set()


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens to the first free port from this one on; port 0 is any free one.

    Raises:
        ConvscopeError: the address is not this machine's, a port needs rights, or none of a hundred is free.
    """
    last = min(port + TRIED_PORTS, 65_536) if port else 1
    for number in range(port, last):
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(
                host or None, number, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
        except (socket.gaierror, UnicodeError):
            raise ConvscopeError(f"{host!r} is no address: give one of this machine, as 127.0.0.1") from None
        if number and _is_answered(host, number):
            continue
        listening = socket.socket(family, kind, protocol)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen(128)
        except OSError as error:
            listening.close()
            if error.errno == errno.EADDRINUSE:
                continue
            raise ConvscopeError(f"{host}:{number} can't be listened to: {error.strerror}") from None
        listening.set_inheritable(False)
        return listening
    raise ConvscopeError(f"no port from {port} to {last - 1} is free: give another")


def _is_answered(host: str, port: int) -> bool:
    """Return whether a server listens there: some systems let a second one listen on the same port."""
    with suppress(OSError), socket.create_connection((host if host not in _EVERY_ADDRESS else "127.0.0.1", port), 0.2):
        return True
    return False


def _names_of_this_machine(host: str) -> list[str]:
    """Return the names under which a browser elsewhere may address this server; the first is the one to show."""
    if host not in _EVERY_ADDRESS:
        return [host]
    name = socket.gethostname()
    found = [name, socket.getfqdn()]
    with suppress(OSError):
        found += [str(address[0]) for *_, address in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)]
    return list(dict.fromkeys(found))


def _open_browser(link: str) -> None:
    import webbrowser

    with suppress(Exception):  # the link is printed
        webbrowser.open(link)
