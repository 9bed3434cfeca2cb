"""openssl s_client and curl against an echo server with TLS. usage: openssl_client.py wss://HOST:PORT/

Both know nothing of WebSocket: the request and the frames are written by hand.
"""
import os
import re
import subprocess
import sys
import urllib.parse

from messages import GOING, expect

ca = os.environ["TLS_CA"]
url = urllib.parse.urlsplit(sys.argv[1])
KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # RFC 6455 1.3
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
REQUEST = (f"GET / HTTP/1.1\r\nHost: {url.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
           f"Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n").encode()


def client(*more):
    return subprocess.Popen(
        ["openssl", "s_client", "-connect", url.netloc, "-CAfile", ca, "-verify_return_error",
         "-verify_ip", "127.0.0.1", "-alpn", "h2,http/1.1", "-quiet", "-ign_eof", *more],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def read_head(process):
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = process.stdout.read(1)
        if not byte:
            raise AssertionError(f"the head ends after {head!r}")
        head += byte
    return head.decode()


def opened(*more):
    process = client(*more)
    process.stdin.write(REQUEST)
    process.stdin.flush()
    head = read_head(process)
    expect("101", head.split("\r\n")[0].split(" ")[1], "101")
    expect("the key is accepted", ACCEPT in head, True)
    return process


def frame(first, payload):
    return bytes([first, 0x80 | len(payload), 0, 0, 0, 0]) + payload  # a mask of zeros


def talks():
    for version in ["-tls1_2", "-tls1_3"]:
        process = opened(version)
        process.stdin.write(frame(0x81, b"Hello"))
        process.stdin.flush()
        expect(f"an echo over {version[1:]}", process.stdout.read(7), b"\x81\x05Hello")
        process.stdin.write(frame(0x88, b"\x03\xe8"))
        process.stdin.flush()
        expect("a Close, and the end of the stream", process.stdout.read(), b"\x88\x02\x03\xe8")
        process.communicate(timeout=20)


def upgrades_with_curl():
    fields = ["Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Key: {KEY}",
              "Sec-WebSocket-Version: 13"]
    headers = [part for field in fields for part in ("-H", field)]
    address = f"https://{url.netloc}/"
    curl = ["curl", "--silent", "--show-error", "--max-time", "2", "--cacert", ca, "--include"]
    plain = subprocess.run([*curl, address], capture_output=True, text=True, timeout=20)
    expect("curl asks for a page, and is told to upgrade",
           bool(re.match(r"HTTP/1.1 (426|400) ", plain.stdout)), True)
    # 101 is a response without an end for it.
    upgraded = subprocess.run([*curl, "--http1.1", *headers, address], capture_output=True, text=True,
                              timeout=20)
    expect("curl upgrades", upgraded.stdout.startswith("HTTP/1.1 101 "), True)
    stranger = subprocess.run(["curl", "--silent", address], timeout=20, capture_output=True)
    expect("curl does not believe an authority that it does not know", stranger.returncode, 60)


def main():
    talks()
    upgrades_with_curl()
    last = opened()
    print(GOING, flush=True)
    expect("the server goes away", last.stdout.read(), b"\x88\x02\x03\xe9")
    last.communicate(timeout=20)


main()
