"""The client of python3-websockets, which compresses, against an echo server that does so too: every
choice of takeover, and of windows that its zlib can make. usage: websockets_deflate_client.py URL"""
import asyncio
import itertools
import sys

import websockets
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from messages import GOING, expect, load


def parameters_of(ws):
    return str(ws.extensions[0]) if ws.extensions else "nothing"


async def echoes(url, factories, wanted, most):
    async with websockets.connect(url, max_size=None, ping_interval=None, compression=None,
                                  extensions=factories) as ws:
        expect(f"{parameters_of(ws)} is agreed on", bool(ws.extensions), wanted)
        for name, message in load():
            if len(message) > most:
                continue
            await ws.send(message)
            found = await ws.recv()
            if found != message:
                expect(f"{name} comes back", found, message)
        third = ["{\"name\":\"wert\"}," * 1000, "", "wert" * 1000, ""]
        await ws.send(third)
        expect("and a message in fragments", await ws.recv(), "".join(third))


async def main(url):
    takeover, windows = [False, True], [None, 9, 12, 15]
    for server, client, server_bits, client_bits in itertools.product(
            takeover, takeover, windows, [None, True, 9, 12, 15]):
        factory = ClientPerMessageDeflateFactory(server, client, server_bits, client_bits)
        # Those of 1 MiB with the defaults alone, for they take their time.
        plain = not any((server, client, server_bits, client_bits))
        await echoes(url, [factory], True, 1 << 30 if plain else 100000)
    # 8 bits are less than the server's zlib can keep to: that offer it passes over.
    small = ClientPerMessageDeflateFactory(server_max_window_bits=8)
    await echoes(url, [small], False, 100000)

    last = await websockets.connect(url)
    print(GOING, flush=True)
    try:
        await asyncio.wait_for(last.recv(), 20)
    except websockets.ConnectionClosed as end:
        expect("the server goes away", end.rcvd.code, 1001)


asyncio.run(main(sys.argv[1]))
