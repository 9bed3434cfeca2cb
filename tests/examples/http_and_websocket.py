"""http_and_websocket, asked by curl and by two chatting clients. usage: http_and_websocket.py CURL PROGRAM"""
import re
import subprocess
import sys
import time

from program import Program
from raw_client import Client


def curl(*arguments):
    command = [sys.argv[1], "--silent", "--show-error", "--noproxy", "*", "--max-time", "20", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def status(url, *arguments):
    return curl("--output", "/dev/null", "--write-out", "%{http_code}", *arguments, url)


with Program(sys.argv[2], "0", "1") as server:
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

    def value(name, kind):
        """Of a metric, which has its type."""
        assert f"# TYPE {name} {kind}\n" in metrics, (name, metrics)
        return float(re.search(rf"^{re.escape(name)} (.+)$", metrics, re.MULTILINE)[1])

    def code(which):
        return int(re.search(rf'^chat_close_codes_total{{code="{which}"}} (\d+)$', metrics, re.MULTILINE)[1])

    # A Ping of theirs, and, after a second of silence, one of ours to each.
    one.frame(0x89, b"there?")
    assert one.hear() == (0x8a, b"there?")
    for client in (one, two):
        first, payload = client.hear()
        assert first == 0x89
        client.frame(0x8a, payload)
    # One that leaves with 1001, one with a code of its own, one without a word.
    for payload in (b"\x03\xe9", b"\x0f\xa1", None):
        other = Client(server.port, "/ws")
        if payload:
            other.frame(0x88, payload)
            assert other.hear() == (0x88, payload)
        other.socket.close()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        metrics = curl(at + "/metrics")
        if value("chat_closed_clean_total", "counter") + value("chat_closed_unclean_total", "counter") == 3:
            break
    assert value("chat_pings_sent_total", "counter") >= 2, metrics
    assert value("chat_pings_answered_total", "counter") == 1, metrics
    assert value("chat_pongs_received_total", "counter") >= 2, metrics
    assert "# TYPE chat_round_trip_seconds summary\n" in metrics, metrics
    rounds = int(re.search(r"^chat_round_trip_seconds_count (\d+)$", metrics, re.MULTILINE)[1])
    total = float(re.search(r"^chat_round_trip_seconds_sum (.+)$", metrics, re.MULTILINE)[1])
    longest = value("chat_round_trip_seconds_max", "gauge")
    assert rounds == 2 and 0 < longest < total < 2 * longest + 1e-9, metrics
    assert value("chat_unread_bytes_max", "gauge") >= len("hello"), metrics
    assert value("chat_unsent_bytes_max", "gauge") >= len("hello"), metrics
    assert value("chat_closed_clean_total", "counter") == 2, metrics
    assert value("chat_closed_unclean_total", "counter") == 1, metrics
    assert [code(which) for which in (1000, 1001, 1006, 1015, "other")] == [0, 1, 1, 0, 1], metrics
    for name in ("dropped_new", "dropped_old", "closed_slow"):
        assert value(f"chat_{name}_total", "counter") == 0, metrics

    server.terminate()
    assert one.close_as_asked() == 1001
    assert two.close_as_asked() == 1001
    server.end()

# Who says much and reads nothing of it misses most.
with Program(sys.argv[2], "0") as server:
    loud = Client(server.port, "/ws")
    unmasked = b"\x82\xfe\x10\x00" + bytes(4) + bytes(4096)  # the masking key is 0
    loud.socket.sendall(unmasked * 4000)
    deadline = time.monotonic() + 20
    metrics = ""
    while "chat_received_messages_total 4000\n" not in metrics and time.monotonic() < deadline:
        metrics = curl(f"http://127.0.0.1:{server.port}/metrics")
    assert re.search(r"^chat_dropped_new_total [1-9]", metrics, re.MULTILINE), metrics
    loud.socket.close()
    server.terminate()
    server.end()
