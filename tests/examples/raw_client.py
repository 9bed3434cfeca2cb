"""A WebSocket client of a few lines: enough to say a short text and to hear one."""
import base64
import os
import socket
import struct


class Client:
    def __init__(self, port, target="/", timeout=20):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall((f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
                             f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
                             "Sec-WebSocket-Version: 13\r\n\r\n").encode())
        self.head = b""
        while not self.head.endswith(b"\r\n\r\n"):
            self.head += self.take(1)

    def take(self, n):
        out = b""
        while len(out) < n:
            part = self.socket.recv(n - len(out))
            if not part:
                raise EOFError(out)
            out += part
        return out

    @staticmethod
    def masked(first, payload):
        mask = os.urandom(4)
        masked = bytes(b ^ mask[i % 4] for i, b in enumerate(payload))
        return bytes([first, 0x80 | len(payload)]) + mask + masked

    def frame(self, first, payload):
        self.socket.sendall(self.masked(first, payload))

    def say(self, text):
        self.frame(0x81, text.encode())

    def hear(self):
        """(first byte, payload) of the next frame, which is a short one."""
        first, size = self.take(2)
        return first, self.take(size)

    def last_words(self, *texts):
        """Says the texts and a Close in one segment, and hears all of them come back."""
        close = (0x88, struct.pack(">H", 1000))
        said = [(0x81, text.encode()) for text in texts] + [close]
        self.socket.sendall(b"".join(self.masked(*frame) for frame in said))
        heard = [self.hear() for _ in said]
        assert heard == said, heard
        self.socket.close()

    def close_as_asked(self):
        """Answers a Close, and says its code."""
        first, payload = self.hear()
        assert first == 0x88, first
        self.frame(0x88, payload)
        self.socket.close()
        return struct.unpack(">H", payload[:2])[0]
