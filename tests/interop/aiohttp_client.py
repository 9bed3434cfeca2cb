"""The client of python3-aiohttp against an echo server. usage: aiohttp_client.py URL

aiohttp has no call that sends a message in fragments.
"""
import asyncio
import sys

import aiohttp

from messages import GOING, expect, load


async def closed(ws):
    """Waits for the end; (code, reason) of the server's Close frame."""
    while True:
        message = await ws.receive(timeout=20)
        if message.type is aiohttp.WSMsgType.CLOSE:
            return message.data, message.extra
        if message.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR):
            return ws.close_code, ""


async def echoes(ws):
    for name, message in load():
        if isinstance(message, str):
            await ws.send_str(message)
        else:
            await ws.send_bytes(message)
        expect(f"{name} comes back", (await ws.receive(timeout=20)).data, message)


async def pings(ws):
    for payload in [b"", b"marco", bytes(125)]:
        await ws.ping(payload)
        answer = await ws.receive(timeout=20)
        expect("a Ping is answered", (answer.type, bytes(answer.data)), (aiohttp.WSMsgType.PONG, payload))


async def main(url):
    async with aiohttp.ClientSession() as session:
        connect = lambda: session.ws_connect(url, max_msg_size=0, autoping=False)
        async with connect() as ws:
            await echoes(ws)
            await pings(ws)
            await ws.close(code=4000, message=b"the client is done")
            expect("the code of our Close comes back", ws.close_code, 4000)

        async with connect() as ws:
            await ws.send_str("close 4001 the server is done")
            expect("the server closes", await closed(ws), (4001, "the server is done"))

        several = [await connect() for _ in range(3)]
        print(GOING, flush=True)
        for ws in several:
            expect("the server goes away", (await closed(ws))[0], 1001)


asyncio.run(main(sys.argv[1]))
