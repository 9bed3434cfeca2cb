"""An echo server of python3-aiohttp. Also does what a text asks for: "close CODE REASON" and
"ping PAYLOAD" (then says "pong PAYLOAD"). aiohttp has no call that sends fragments: "fragments TEXT"
is answered with TEXT in one frame. Answers every Close with 1000, as aiohttp does."""
import asyncio
import signal

from aiohttp import WSCloseCode, WSMsgType, web

from messages import command_of


async def obey(ws, command, rest):
    if command == "close":
        code, _, reason = rest.partition(" ")
        await ws.close(code=int(code), message=reason.encode())
    elif command == "ping":
        await ws.ping(rest.encode())
    else:
        await ws.send_str(rest)


async def serve(request):
    ws = web.WebSocketResponse(max_msg_size=0, autoping=False)
    await ws.prepare(request)
    request.app["open"].add(ws)
    try:
        async for message in ws:
            command = command_of(message.data)
            if command:
                await obey(ws, *command)
            elif message.type is WSMsgType.TEXT:
                await ws.send_str(message.data)
            elif message.type is WSMsgType.BINARY:
                await ws.send_bytes(message.data)
            elif message.type is WSMsgType.PING:
                await ws.pong(message.data)
            elif message.type is WSMsgType.PONG:
                await ws.send_str(f"pong {message.data.decode()}")
    finally:
        request.app["open"].discard(ws)
    # Whichever of the two tasks comes first; the other's close does nothing.
    going = request.app["stop"].is_set()
    await ws.close(code=WSCloseCode.GOING_AWAY if going else WSCloseCode.OK)
    return ws


async def main():
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    app = web.Application()
    app["open"], app["stop"] = set(), stop
    app.router.add_get("/", serve)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"listening on ws://127.0.0.1:{runner.addresses[0][1]}/", flush=True)
    await stop.wait()
    for ws in set(app["open"]):
        await ws.close(code=WSCloseCode.GOING_AWAY)
    await runner.cleanup()


asyncio.run(main())
