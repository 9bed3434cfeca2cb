"""A fuzzing server's cases in small, by python3-websockets: conformance_client has to echo all of them.

usage: conformance.py CONFORMANCE_CLIENT [--deflate]
"""
import asyncio
import sys
import urllib.parse

import websockets
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory

MESSAGES = ["hello", "", b"\x00" * 1000, "x" * 100_000, "\u00e9\u4e16" * 5000, bytes(range(256)) * 300]
WINDOWS = [(15, 15), (10, 9), (9, 12)]  # a server's and a client's, in bits
CLOSE_CODES = [1000, 4000, 1001]


class Server:
    def __init__(self):
        self.passed, self.reported = [], False

    async def serve(self, ws, _path=None):
        path = urllib.parse.urlparse(ws.path)
        if path.path == "/getCaseCount":
            await ws.send(str(len(CLOSE_CODES)))
        elif path.path == "/updateReports":
            self.reported = True
        else:
            query = urllib.parse.parse_qs(path.query)
            case = int(query["case"][0])
            for message in MESSAGES:
                await ws.send([message[:100], message[100:]] if case == 2 else message)
                assert await ws.recv() == message, f"case {case}: an echo differs"
            await ws.close(CLOSE_CODES[case - 1])
            self.passed.append((case, query["agent"], bool(ws.extensions)))


async def run(client, options, windows):
    server = Server()
    deflate = ServerPerMessageDeflateFactory(server_max_window_bits=windows[0], client_max_window_bits=windows[1],
                                             require_client_max_window_bits=True)
    async with websockets.serve(server.serve, "127.0.0.1", 0, extensions=[deflate], max_size=None) as listening:
        port = listening.sockets[0].getsockname()[1]
        program = await asyncio.create_subprocess_exec(client, "--url", f"ws://127.0.0.1:{port}", "--agent", "us",
                                                       *options)
        assert await asyncio.wait_for(program.wait(), 60) == 0
    expected = [(case, ["us"], "--deflate" in options) for case in (1, 2, 3)]
    assert server.passed == expected and server.reported, server.passed


for each in WINDOWS:
    asyncio.run(run(sys.argv[1], sys.argv[2:], each))
