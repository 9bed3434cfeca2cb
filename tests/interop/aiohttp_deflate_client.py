"""The client of python3-aiohttp, which compresses, against an echo server that does so too: every window
that it has. usage: aiohttp_deflate_client.py URL"""
import asyncio
import sys

import aiohttp

from messages import GOING, expect, load


async def echoes(session, url, bits):
    async with session.ws_connect(url, compress=bits, max_msg_size=0) as ws:
        expect(f"{bits} bits are offered and {ws.compress} agreed on", bool(ws.compress), True)
        for name, message in list(load()) * 2:
            await (ws.send_str(message) if isinstance(message, str) else ws.send_bytes(message))
            found = (await ws.receive(timeout=20)).data
            if found != message:
                expect(f"{name} comes back", found, message)


async def main(url):
    async with aiohttp.ClientSession() as session:
        for bits in range(9, 16):
            await echoes(session, url, bits)
        last = await session.ws_connect(url, compress=15)
        print(GOING, flush=True)
        expect("the server goes away", (await last.receive(timeout=20)).data, 1001)


asyncio.run(main(sys.argv[1]))
