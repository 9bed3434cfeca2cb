"""The examples that are clients, against a server that somebody else wrote.

usage: clients.py BLOCKING_CLIENT CLIENT [--tls]
"""
import asyncio
import pathlib
import socket
import ssl
import subprocess
import sys
import tempfile

import websockets

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "interop"))
import certificates  # noqa: E402

TEXTS = ["Hello", "and again", "", "世界", "x" * 70_000]
ends = []


async def echo(ws, *_):
    async for message in ws:
        await ws.send(message)
    ends.append(ws.close_code)


async def run(*command):
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, errors = await asyncio.wait_for(process.communicate(), 30)
    return process.returncode, out.decode(), errors.decode()


async def talks(url, *command):
    """Each text comes back, in a line, and the server sees the client close."""
    for texts in (TEXTS, []):
        before = len(ends)
        status, out, errors = await run(*command, url, *texts)
        assert (status, out, errors) == (0, "".join(t + "\n" for t in texts), ""), (command, status, errors)
        async with asyncio.timeout(20):
            while len(ends) == before:
                await asyncio.sleep(0.01)
        assert ends[-1] == 1000, ends


async def fails(words, *command):
    status, out, errors = await run(*command)
    assert status == 1 and out == "" and words in errors, (command, status, out, errors)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


async def main(blocking_client, client, tls):
    async with websockets.serve(echo, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        await talks(url, blocking_client)
        await talks(url, client)
    nobody = f"ws://127.0.0.1:{free_port()}/"
    await fails("cannot connect", blocking_client, nobody)
    await fails("connect", client, nobody, "Hello")
    if tls:
        with tempfile.TemporaryDirectory() as folder:
            made = certificates.make(folder)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(made["TLS_CERTIFICATE"], made["TLS_KEY"])
            async with websockets.serve(echo, "127.0.0.1", 0, ssl=context) as server:
                url = f"wss://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
                await talks(url, client, "--ca", made["TLS_CA"])
                await fails("tls", client, url, "Hello")  # an authority that nobody trusts
    print(len(ends), "conversations")


asyncio.run(main(sys.argv[1], sys.argv[2], "--tls" in sys.argv))
