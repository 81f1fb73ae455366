"""A proxy in front of an S3 server that breaks on demand."""

from __future__ import annotations

import http.client
import socket
import struct
import threading
from collections import Counter, defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

RESET = -1
"""A fault: the connection is dropped without an answer."""

SHORT = -2
"""A fault: the answer is whole by its own account, but half of the object is missing."""

TORN = -3
"""A fault: the connection is reset in the middle of the body."""

SILENT = -4
"""A fault: no answer for longer than anybody waits."""

_CODES = {403: "AccessDenied", 500: "InternalError", 503: "SlowDown"}


class FaultyS3:
    """Forwards to `upstream`; `faults` maps a path (`/bucket/key`) to what its next GETs meet.

    A fault is an HTTP status or one of those above; each is used up by one GET, then the store is
    well again. `every_first` are faults that come by themselves: in turn, each path meets the next
    of them at its first GET, and a status or RESET at its first PUT; `met` counts these.

    `gets` counts the GETs by path, `sent` the bytes of their answers, `heads` the HEADs, `asked`
    all requests by what they ask for (LIST, GET, HEAD, PUT, POST, DELETE), `payers` by who says to
    pay for them; `peak` is the most GETs of objects that were ever answered at the same time.
    `slow` is how many seconds each GET takes.
    """

    def __init__(self, upstream: str) -> None:
        self.upstream = urlsplit(upstream).netloc
        self.faults: dict[str, list[int]] = defaultdict(list)
        self.every_first: list[int] = []
        self.met: Counter[int] = Counter()
        self._seen: set[tuple[str, str]] = set()
        self._stopped = threading.Event()
        self.gets: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()
        self.heads: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()
        self.payers: Counter[str | None] = Counter()
        self.slow = 0.0
        self.peak = 0
        self._now = 0
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Closes the proxy."""
        self._stopped.set()
        self._server.shutdown()
        self._server.server_close()

    def _enter(self, path: str) -> int | None:
        with self._lock:
            self.gets[path] += 1
            self._now += 1
            self.peak = max(self.peak, self._now)
            if self.faults[path]:
                return self.faults[path].pop(0)
        return self._first("GET", path, self.every_first)

    def _first(self, method: str, path: str, kinds: list[int]) -> int | None:
        """The fault that the first request of this kind for a path meets."""
        with self._lock:
            if not kinds or (method, path) in self._seen:
                return None
            fault = kinds[len(self._seen) % len(kinds)]
            self._seen.add((method, path))
            self.met[fault] += 1
            return fault

    def _leave(self) -> None:
        with self._lock:
            self._now -= 1

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args: object) -> None:
                pass

            def do_HEAD(self) -> None:
                proxy.heads[unquote(urlsplit(self.path).path)] += 1
                self._forward(None)

            def do_PUT(self) -> None:
                kinds = [fault for fault in proxy.every_first if fault > 0 or fault == RESET]
                self._forward(proxy._first("PUT", unquote(urlsplit(self.path).path), kinds))

            def do_POST(self) -> None:
                self._forward(None)

            do_DELETE = do_POST

            def do_GET(self) -> None:
                fault = proxy._enter(unquote(urlsplit(self.path).path))
                try:
                    if proxy.slow:
                        threading.Event().wait(proxy.slow)
                    self._forward(fault)
                finally:
                    proxy._leave()

            def _forward(self, fault: int | None) -> None:
                lists = self.command == "GET" and "list-type=" in urlsplit(self.path).query
                with proxy._lock:
                    proxy.asked["LIST" if lists else self.command] += 1
                    proxy.payers[self.headers.get("x-amz-request-payer")] += 1
                if fault == SILENT:
                    proxy._stopped.wait(60)
                if fault in (RESET, SILENT):
                    self.close_connection = True
                    return
                if fault is not None and fault > 0:
                    self.rfile.read(int(self.headers.get("Content-Length", 0)))
                    body = f"<Error><Code>{_CODES[fault]}</Code></Error>".encode()
                    self._answer(fault, {"Content-Type": "application/xml"}, body)
                    return
                upstream = http.client.HTTPConnection(proxy.upstream, timeout=30)
                try:
                    sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                    request_headers = {
                        k: v for k, v in self.headers.items() if k.lower() != "expect"
                    }
                    upstream.request(self.command, self.path, sent, request_headers)
                    reply = upstream.getresponse()
                    body = reply.read()
                    headers = dict(reply.getheaders())
                finally:
                    upstream.close()
                if fault == SHORT:
                    body = body[: len(body) // 2]
                self._answer(reply.status, headers, body, fault)

            def _answer(
                self, status: int, headers: dict[str, str], body: bytes, fault: int | None = None
            ) -> None:
                self.send_response(status)
                dropped = {"content-length", "transfer-encoding", "connection", "date", "server"}
                for name, value in headers.items():
                    if name.lower() not in dropped:
                        self.send_header(name, value)
                length = len(body)
                if self.command == "HEAD":
                    length = int({k.lower(): v for k, v in headers.items()}["content-length"])
                self.send_header("Content-Length", str(length))
                self.end_headers()
                if self.command == "GET":
                    proxy.sent[unquote(urlsplit(self.path).path)] += length
                if fault == TORN:
                    self.wfile.write(body[: length // 2])
                    self.wfile.flush()
                    self._reset()
                elif self.command != "HEAD":
                    self.wfile.write(body)

            def _reset(self) -> None:
                """Drop the connection as a machine that is gone does: RST, nothing in order."""
                linger = struct.pack("ii", 1, 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                self.close_connection = True

        return Handler
