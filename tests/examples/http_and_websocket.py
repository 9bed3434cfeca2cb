"""http_and_websocket, asked by curl and by two chatting clients. usage: http_and_websocket.py CURL PROGRAM"""
import re
import subprocess
import sys

from program import Program
from raw_client import Client


def curl(*arguments):
    command = [sys.argv[1], "--silent", "--show-error", "--noproxy", "*", "--max-time", "20", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def status(url, *arguments):
    return curl("--output", "/dev/null", "--write-out", "%{http_code}", *arguments, url)


with Program(sys.argv[2], "0") as server:
    at = f"http://127.0.0.1:{server.port}"
    assert curl(at + "/healthz") == "ok\n"
    assert "new WebSocket" in curl(at + "/")
    assert curl("--http1.0", at + "/healthz") == "ok\n"
    head = curl("--head", at + "/")
    assert "Content-Type: text/html" in head and "Content-Length: " in head, head
    assert status(at + "/nothing") == "404"
    assert status(at + "/", "--data", "x" * 100_000) == "405"
    assert status(at + "/ws") == "404"  # no upgrade
    assert b" 404 " in Client(server.port, "/other").head.split(b"\r\n")[0]

    one, two = Client(server.port, "/ws"), Client(server.port, "/ws")
    one.say("hello")
    assert one.hear() == (0x81, b"hello")
    assert two.hear() == (0x81, b"hello")
    metrics = curl(at + "/metrics")
    for line in ("# TYPE chat_connections gauge", "chat_connections 2", "chat_opened_total 2",
                 "chat_handshake_failures_total 1", "chat_http_requests_total 7"):
        assert line + "\n" in metrics, metrics
    for name in ("received_messages", "received_bytes", "sent_messages", "sent_bytes"):
        assert re.search(rf"^chat_{name}_total [1-9]", metrics, re.MULTILINE), metrics

    server.terminate()
    assert one.close_as_asked() == 1001
    assert two.close_as_asked() == 1001
    server.end()
