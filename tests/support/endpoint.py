"""A local server that speaks the protocol of a language model's endpoint."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

GOOD = ["a cocked tail", "brown barred wings", "a thin bill", "a pale eyebrow"]


@dataclass(frozen=True)
class Reply:
    """What the server answers: `body` is what JSON makes of it, or these bytes."""

    body: Any
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0


def completion(content: Any, finish: str = "stop", **message: Any) -> dict[str, Any]:
    return {
        "id": "c1",
        "object": "chat.completion",
        "created": 0,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "finish_reason": finish,
                "message": {"role": "assistant", "content": content, **message},
            }
        ],
        "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110},
    }


def saying(attributes: Any, finish: str = "stop") -> Reply:
    return Reply(completion(json.dumps({"attributes": attributes}), finish))


def refusing(status: int, message: str, **headers: str) -> Reply:
    error = {"error": {"message": message, "type": "x", "param": None, "code": None}}
    return Reply(error, status, {name.replace("_", "-"): value for name, value in headers.items()})


@dataclass
class Request:
    """What the server was asked, and when."""

    label: str
    body: dict[str, Any]
    headers: dict[str, str]
    at: float


class Server:
    """An endpoint on a free port; `answer` says what it replies to the nth question of a class."""

    def __init__(self) -> None:
        self.answer: Callable[[Request, int], Reply] = lambda request, nth: saying(GOOD)
        self.requests: list[Request] = []
        self.running = self.most = 0
        lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                assert self.path == "/v1/chat/completions"
                label = json.loads(body["messages"][-1]["content"])["class"]
                request = Request(
                    label, body, {n.lower(): v for n, v in self.headers.items()}, time.monotonic()
                )
                with lock:
                    outer.running += 1
                    outer.most = max(outer.most, outer.running)
                    nth = sum(request.label == label for request in outer.requests)
                    outer.requests.append(request)
                reply = outer.answer(request, nth)
                time.sleep(reply.delay)
                data = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body)
                data = data if isinstance(data, bytes) else data.encode()
                with lock:
                    outer.running -= 1
                try:
                    self.send_response(reply.status)
                    sent = {"Content-Type": "application/json", **reply.headers}
                    for name, value in {**sent, "Content-Length": str(len(data))}.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(data)
                except OSError:  # the client was tired of waiting
                    self.close_connection = True

            def log_message(self, *args: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()

    def asked(self) -> list[str]:
        return [request.label for request in self.requests]
