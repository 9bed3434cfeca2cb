"""Runs one server and one client against each other. Succeeds when both exit with 0.

usage: pair.py [--compressed] [--tls] SERVER... -- CLIENT...

The server prints "listening on ws://127.0.0.1:PORT/"; the client gets that address as its last
argument. When the client prints "waiting for the server to go" the server gets SIGTERM, and the
client should then see its connections closed with 1001.

--compressed: the server also says, for each connection, "deflate: N messages received, N sent" (those
with RSV1), and of all of them there are some of both.

--tls: over TLS. Certificates are made for it, see certificates.py; TLS_CERTIFICATE and the like in the
commands are replaced by their files. The address begins with wss.
"""
import os
import re
import signal
import subprocess
import sys
import tempfile

import certificates

LIMIT = 100  # seconds for the whole of it; ctest's own limit is longer
GOING = "waiting for the server to go"


def start(command):
    print("+", *command, flush=True)
    # A session of its own, so that whatever it starts can be ended with it.
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)


def end(process):
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def address_of(server):
    for line in server.stdout:
        print("server:", line, end="", flush=True)
        match = re.search(r"wss?://\S+", line)
        if match:
            return match[0]
    return None


def compressed(server):
    """Whether messages with RSV1 went both ways, as the server has counted them."""
    received = sent = 0
    for line in server.stdout:
        if match := re.match(r"deflate: (\d+) messages received, (\d+) sent", line):
            received += int(match[1])
            sent += int(match[2])
    print(f"server: {received} compressed messages received, {sent} sent", flush=True)
    return received != 0 and sent != 0


def run(server_command, client_command, counts):
    processes = []
    try:
        server = start(server_command)
        processes.append(server)
        address = address_of(server)
        if address is None:
            return f"the server ended with {server.wait()} and named no address"
        client = start([*client_command, address])
        processes.append(client)
        told = False
        for line in client.stdout:
            print("client:", line, end="", flush=True)
            if GOING in line:
                told = True
                server.terminate()
        if client.wait() != 0:
            return f"the client ended with {client.returncode}"
        if not told:
            return "the client did not come to the server's end"
        if server.wait() != 0:
            return f"the server ended with {server.returncode}"
        if counts and not compressed(server):
            return "nothing was compressed"
        return 0
    finally:
        for process in processes:
            end(process)


def run_over_tls(server_command, client_command, counts):
    with tempfile.TemporaryDirectory(prefix="sansocket-") as folder:
        made = certificates.make(folder)
        os.environ.update(made)
        commands = [[made.get(word, word) for word in command]
                    for command in (server_command, client_command)]
        return run(*commands, counts)


def too_long(*_):
    raise TimeoutError(f"not done after {LIMIT} seconds")


def main(arguments):
    counts = arguments[0] == "--compressed"
    arguments = arguments[counts:]
    tls = arguments[0] == "--tls"
    arguments = arguments[tls:]
    middle = arguments.index("--")
    signal.signal(signal.SIGALRM, too_long)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    signal.alarm(LIMIT)
    run_pair = run_over_tls if tls else run
    return run_pair(arguments[:middle], arguments[middle + 1:], counts)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
