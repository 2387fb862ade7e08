"""A real HTTP server that speaks the OpenAI protocol and judges as a test says."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

Reply = Callable[[list[dict[str, str]]], "str | int | tuple[int, str] | None"]


class JudgeServer:
    """`reply` maps the messages of a request to a text, an HTTP status (with what is said), None: no JSON."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.requests.append(body)
                outer.keys.append(self.headers.get("Authorization"))
                said = outer.reply(body["messages"])
                refused = (said, "no") if isinstance(said, int) else said
                status, text = refused if isinstance(refused, tuple) else (200, said)
                choice = {
                    "index": 0,
                    "message": {"role": "assistant", "content": text},
                    "finish_reason": "stop",
                }
                content = {
                    "id": "x",
                    "object": "chat.completion",
                    "created": 0,
                    "model": "m",
                    "choices": [choice],
                }
                if status != 200:
                    content = {"error": {"message": text, "type": "invalid_request_error"}}
                raw = b"<html>" if said is None else json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *given: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def serve() -> Iterator[Callable[[Reply], JudgeServer]]:
    """A function: how to reply -> a running server."""
    servers: list[JudgeServer] = []

    def start(reply: Reply) -> JudgeServer:
        servers.append(JudgeServer(reply))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def answers_shown(messages: list[dict[str, str]]) -> tuple[str, str]:
    """What the request shows as answer A and as answer B; empty texts where it shows none."""
    found = re.findall(
        r"----- \w{16} ANSWER [AB] -----\n(.*?)\n----- \w{16} END", messages[-1]["content"], re.S
    )
    return (found[0], found[1]) if len(found) == 2 else ("", "")
