"""Receivers on this machine: one takes POSTs, one takes mails; each keeps what it got."""

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_string
from email.message import Message
from http.server import BaseHTTPRequestHandler
from typing import Any


@contextmanager
def serving(handler: type[socketserver.BaseRequestHandler]) -> Iterator[int]:
    """Serve on a free port; gives the port."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()


@contextmanager
def web_receiver() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Take POSTs of JSON; gives the address and what came."""
    came: list[dict[str, Any]] = []

    class Page(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.headers["Content-Type"] == "application/json"
            came.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Stay quiet."""

    with serving(Page) as port:
        yield f"http://127.0.0.1:{port}/knowflow", came


@contextmanager
def mail_receiver() -> Iterator[tuple[str, list[Message]]]:
    """Take mails as RFC 5321 has it; gives the address for --smtp and what came."""
    came: list[Message] = []

    class Mailbox(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.say("220 a test")
            for line in self.rfile:
                word = line.decode().split()[0].upper() if line.split() else ""
                if word == "DATA":
                    self.say("354 go on")
                    came.append(message_from_string(self.content()))
                self.say("221 bye" if word == "QUIT" else "250 ok")
                if word == "QUIT":
                    return

        def content(self) -> str:
            lines = []
            while (line := self.rfile.readline().decode().rstrip("\r\n")) != ".":
                lines.append(line.removeprefix("."))
            return "\n".join(lines)

        def say(self, text: str) -> None:
            self.wfile.write(f"{text}\r\n".encode())

    with serving(Mailbox) as port:
        yield f"smtp://127.0.0.1:{port}", came
