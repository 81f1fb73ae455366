"""A proxy in front of an S3 server that breaks on demand."""

from __future__ import annotations

import http.client
import threading
from collections import Counter, defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

RESET = -1
"""A fault: the connection is dropped without an answer."""

SHORT = -2
"""A fault: the answer is whole by its own account, but half of the object is missing."""

_CODES = {403: "AccessDenied", 500: "InternalError", 503: "SlowDown"}


class FaultyS3:
    """Forwards to `upstream`; `faults` maps a path (`/bucket/key`) to what its next GETs meet.

    A fault is an HTTP status, RESET or SHORT; each is used up by one GET, then the store is well
    again. `gets` counts the GETs by path, `sent` the bytes of their answers, `heads` the HEADs;
    `peak` is the most GETs of objects that were ever answered at the same time. `slow` is how many
    seconds each GET takes.
    """

    def __init__(self, upstream: str) -> None:
        self.upstream = urlsplit(upstream).netloc
        self.faults: dict[str, list[int]] = defaultdict(list)
        self.gets: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()
        self.heads: Counter[str] = Counter()
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
        self._server.shutdown()
        self._server.server_close()

    def _enter(self, path: str) -> int | None:
        with self._lock:
            self.gets[path] += 1
            self._now += 1
            self.peak = max(self.peak, self._now)
            return self.faults[path].pop(0) if self.faults[path] else None

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
                self._forward(None)

            do_POST = do_DELETE = do_PUT

            def do_GET(self) -> None:
                fault = proxy._enter(unquote(urlsplit(self.path).path))
                try:
                    if proxy.slow:
                        threading.Event().wait(proxy.slow)
                    self._forward(fault)
                finally:
                    proxy._leave()

            def _forward(self, fault: int | None) -> None:
                if fault == RESET:
                    self.close_connection = True
                    return
                if fault is not None and fault > 0:
                    body = f"<Error><Code>{_CODES[fault]}</Code></Error>".encode()
                    self._answer(fault, {"Content-Type": "application/xml"}, body)
                    return
                upstream = http.client.HTTPConnection(proxy.upstream, timeout=30)
                try:
                    sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                    asked = {k: v for k, v in self.headers.items() if k.lower() != "expect"}
                    upstream.request(self.command, self.path, sent, asked)
                    reply = upstream.getresponse()
                    body = reply.read()
                    headers = dict(reply.getheaders())
                finally:
                    upstream.close()
                if fault == SHORT:
                    body = body[: len(body) // 2]
                self._answer(reply.status, headers, body)

            def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
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
                if self.command != "HEAD":
                    self.wfile.write(body)

        return Handler
