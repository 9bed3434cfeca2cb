"""The client of python3-websockets against an echo server. usage: websockets_client.py URL

With a wss:// URL, it trusts the authority in TLS_CA alone."""
import asyncio
import os
import ssl
import sys

import websockets

from messages import GOING, expect, load


async def closed(ws):
    """Waits for the end; (code, reason) of the server's Close frame."""
    try:
        while True:
            await asyncio.wait_for(ws.recv(), 20)
    except websockets.ConnectionClosed as end:
        return (end.rcvd.code, end.rcvd.reason) if end.rcvd else (1006, "")


async def echoes(ws):
    for name, message in load():
        await ws.send(message)
        expect(f"{name} comes back", await ws.recv(), message)


async def fragments(ws):
    for name, message in load():
        third = len(message) // 3
        await ws.send([message[:third], message[third:2 * third], message[2 * third:]])
        expect(f"{name} in fragments", await ws.recv(), message)
    await ws.send(["one", "", "two", "", ""])
    expect("empty fragments", await ws.recv(), "onetwo")


async def pings(ws):
    for payload in [b"", b"marco", bytes(125)]:
        await asyncio.wait_for(await ws.ping(payload), 20)
        print("ok a Ping is answered", flush=True)


async def main(url):
    tls = ssl.create_default_context(cafile=os.environ["TLS_CA"]) if url.startswith("wss") else None
    connect = lambda: websockets.connect(url, max_size=None, ping_interval=None, ssl=tls)
    async with connect() as ws:
        await echoes(ws)
        await fragments(ws)
        await pings(ws)
        await ws.close(4000, "the client is done")
        expect("the code of our Close comes back", ws.close_rcvd.code, 4000)

    ws = await connect()
    await ws.send("close 4001 the server is done")
    expect("the server closes", await closed(ws), (4001, "the server is done"))

    several = [await connect() for _ in range(3)]
    print(GOING, flush=True)
    for ws in several:
        expect("the server goes away", (await closed(ws))[0], 1001)


asyncio.run(main(sys.argv[1]))
