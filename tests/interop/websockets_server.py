"""An echo server of python3-websockets. Also does what a text asks for: "close CODE REASON",
"ping PAYLOAD" (then says "pong PAYLOAD"), "fragments TEXT" (echoes TEXT in fragments).

With --tls, speaks TLS with the certificate in TLS_CERTIFICATE and TLS_KEY."""
import asyncio
import contextlib
import os
import signal
import ssl
import sys

import websockets

from messages import command_of


async def obey(ws, command, rest):
    if command == "close":
        code, _, reason = rest.partition(" ")
        await ws.close(int(code), reason)
    elif command == "ping":
        await (await ws.ping(rest))
        await ws.send(f"pong {rest}")
    else:
        middle = len(rest) // 2
        await ws.send([rest[:middle], "", rest[middle:]])


async def serve(ws):
    with contextlib.suppress(websockets.ConnectionClosed):
        async for message in ws:
            command = command_of(message)
            if command:
                await obey(ws, *command)
            else:
                await ws.send(message)


def tls_context():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(os.environ["TLS_CERTIFICATE"], os.environ["TLS_KEY"])
    return context


async def main():
    tls = tls_context() if "--tls" in sys.argv else None
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with websockets.serve(serve, "127.0.0.1", 0, max_size=None, ssl=tls) as server:
        port = server.sockets[0].getsockname()[1]
        print(f"listening on {'wss' if tls else 'ws'}://127.0.0.1:{port}/", flush=True)
        await stop.wait()  # then closes every connection with 1001


asyncio.run(main())
