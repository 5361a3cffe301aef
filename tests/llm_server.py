"""A server of chat completions that misbehaves by script: real HTTP on this machine, the same every time."""

import json
import re
import socket
import struct
import threading
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MODEL = "stand-in-1b-2026-01-01"


def queries_for(prompt: str) -> list[dict[str, str]]:
    """Queries as a willing model would write them: of each style asked for, about the passage's words."""
    styles = re.findall(r"^\d+\. ([\w-]+): ", prompt, re.MULTILINE)
    passage = re.search(r"<passage \w+>\n(.*)\n</passage", prompt, re.DOTALL)
    words = passage[1].split() if passage else ["nothing"]
    return [{"style": style, "query": f"who knows about {words[0]} {words[-1]} {i}?"} for i, style in enumerate(styles)]


def completion(content: object, **more: object) -> bytes:
    """A chat completion with this content."""
    message = {"role": "assistant", "content": content}
    document = {
        "id": "c",
        "object": "chat.completion",
        "model": MODEL,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 200, "completion_tokens": 50, "total_tokens": 250},
    }
    return json.dumps(document | more).encode()


class LLMServer(ThreadingHTTPServer):
    """`script` has one fault a request, in the order in which they arrive; afterwards every answer is good.

    A script entry is a name of `_Handler`'s methods, or a function from the request's document to (status, headers,
    body). `always` takes the place of a good answer. `requests` has what was asked, `headers` what came along.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, script: Sequence[object] = (), *, always: object = "good", takes: Sequence[str] = ()) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script, self.always, self.takes = list(script), always, tuple(takes)
        self.requests: list[dict] = []
        self.headers: list[dict[str, str]] = []
        self.lock, self.released = threading.Lock(), threading.Event()
        self.thread = threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *error):
        self.released.set()
        self.shutdown()
        self.thread.join()
        self.server_close()

    def handle_error(self, request, client_address):
        """A client that hangs up is what half of the tests are about."""

    def passages(self) -> list[str]:
        """The passages asked about, in the order in which requests arrived."""
        return [re.search(r"<passage (\w+)>", r["messages"][1]["content"])[1] for r in self.requests]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: LLMServer

    def log_message(self, *args):
        pass

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.requests.append(asked)
            self.server.headers.append(dict(self.headers))
            form = asked.get("response_format", {}).get("type", "none")
            refused = self.server.takes and form not in self.server.takes
            fault = "form" if refused else self.server.script.pop(0) if self.server.script else self.server.always
        if isinstance(fault, Callable):
            self.say(*fault(asked))
        else:
            getattr(self, fault)(asked)

    def say(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in ({"Content-Type": "application/json", "Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def text(self, content: object, **more: object) -> None:
        self.say(200, {}, completion(content, **more))

    def good(self, asked):
        self.text(json.dumps({"queries": queries_for(asked["messages"][1]["content"])}))

    def form(self, asked):
        self.say(400, {}, b'{"error": {"message": "response_format is not supported"}}')

    # slow
    def slow(self, asked):
        self.server.released.wait(5)
        self.close_connection = True

    def dripping_headers(self, asked):
        self.wfile.write(b"HTTP/1.1 200 OK\r\n")
        for i in range(500):
            self.wfile.write(f"X-{i}: y\r\n".encode())
            if self.server.released.wait(0.02):
                break
        self.close_connection = True

    # wrong
    def html(self, asked):
        self.say(200, {"Content-Type": "text/html"}, b"<html><body>Please log in</body></html>")

    def bad_gateway(self, asked):
        self.say(502, {"Content-Type": "text/html"}, b"<html>Bad Gateway</html>")

    def not_json(self, asked):
        self.text("Sure! Here are some queries:\n1. What?")

    def json_in_json(self, asked):
        self.text(json.dumps(json.dumps({"queries": queries_for(asked["messages"][1]["content"])})))

    def wrong_schema(self, asked):
        self.text('{"questions": ["what is it about?"]}')

    def wrong_count(self, asked):
        self.text(json.dumps({"queries": queries_for(asked["messages"][1]["content"])[:1]}))

    def nan_content(self, asked):
        self.text('{"queries": NaN}')

    def nan_body(self, asked):
        self.say(200, {}, b'{"choices": [{"message": {"content": "x"}}], "usage": {"prompt_tokens": NaN}}')

    def deep(self, asked):
        self.say(200, {}, b"[" * 100_000)

    def truncated(self, asked):
        body = completion("{}")
        self.say(200, {"Content-Length": str(len(body) + 100)}, body)
        self.close_connection = True

    def wrong_type(self, asked):
        body = completion(json.dumps({"queries": queries_for(asked["messages"][1]["content"])}))
        self.say(200, {"Content-Type": "text/plain; charset=utf-16"}, body)

    def huge(self, asked):
        self.say(200, {"Content-Length": str(10**9)}, b"x" * 5 * 2**20)
        self.close_connection = True

    def compressed(self, asked):
        self.say(200, {"Content-Encoding": "gzip"}, b"\x1f\x8b nonsense")

    # rude
    def limited(self, asked):
        self.say(429, {}, b'{"error": {"message": "slow down"}}')

    def limited_for(self, asked):
        self.say(429, {"Retry-After": "7"}, b"{}")

    def limited_for_hours(self, asked):
        self.say(429, {"Retry-After": "7200"}, b"{}")

    def error(self, asked):
        self.say(500, {}, b"")

    def reset(self, asked):
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b'{"choices": [')
        self.wfile.flush()
        # A linger of 0 seconds makes close send RST instead of FIN.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def unauthorized(self, asked):
        key = self.headers.get("Authorization", "").removeprefix("Bearer ")
        body = {"error": {"message": f"Incorrect API key provided: {key}"}}
        self.say(401, {}, json.dumps(body).encode())
