#!/usr/bin/env python3
"""Compiles the echo servers of bench/compile/ side by side and prints what each costs, as ratios.

usage: compile_cost.py [--quick | --instructions]

Each is run once first, against a client that upgrades, is echoed text and binary on two connections
at a time, and closes: what is measured does the job. Nothing is asserted of the figures.

--instructions counts what the compiler executes, under valgrind, which takes half an hour: CPU time
depends on what else a machine does, and this does not.
"""
import argparse
import os
import re
import shlex
import socket
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

from report import ROOT, free_port, machine, print_table, ratio, wait_for

SOURCES = ROOT / "bench" / "compile"
COMPILER = os.environ.get("CXX", "g++")
CXX20 = ["-std=c++20", "-DASIO_NO_DEPRECATED", f"-I{ROOT / 'include'}"]
CXX17 = ["-std=c++17", "-w", "-D_WEBSOCKETPP_CPP11_STRICT_"]
BASES = ("beast_callbacks", "beast_coroutines")  # what all are compared with
PROGRAMS = {  # the source's name: what it is
    "sansocket_core": "sansocket, core and poll()",
    "sansocket_websocket": "sansocket_asio, websocket",
    "sansocket_server": "sansocket_asio, server",
    "beast_callbacks": "Beast, callbacks",
    "beast_coroutines": "Beast, coroutines",
    "websocketpp": "websocketpp",
    "asio_coroutines": "Asio alone, TCP echo",
}
HEADERS = {  # the same of what is no program
    "standard": "its standard headers alone",
    "umbrella": "sansocket.hpp alone",
}
KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # of RFC 6455 1.3, with its answer
ANSWER = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


class Cost:
    """What compiling one source cost."""

    def __init__(self, cpu, memory, size):
        self.cpu, self.memory, self.size, self.program = cpu, memory, size, None


def compile_command(name, optimise):
    flags = CXX17 if name == "websocketpp" else CXX20
    return [COMPILER, *flags, optimise, str(SOURCES / f"{name}.cpp")]


def compile_source(name, optimise, out):
    """Seconds of CPU, bytes of memory at most and bytes of the object."""
    command = [*compile_command(name, optimise), "-c", "-o", str(out)]
    process = subprocess.Popen(command)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"bench/compile/{name}.cpp does not compile")
    return Cost(used.ru_utime + used.ru_stime, used.ru_maxrss * 1024, out.stat().st_size)


def compiler_proper(steps):
    """The command that compiles, of those that the driver shows for -###."""
    for step in steps.splitlines():
        if re.search(r"cc1plus |[ \"]-cc1[ \"]", step):
            return shlex.split(step)
    sys.exit(f"{COMPILER} does not say what it would call:\n{steps}")


def counted(report):
    """The instructions of cachegrind's report."""
    return int(re.search(r"I +refs: +([0-9,]+)", report)[1].replace(",", ""))


def count_instructions(name):
    """What the compiler proper executes at -O2."""
    command = [*compile_command(name, "-O2"), "-S", "-o", os.devnull]
    steps = subprocess.run([*command, "-###"], stderr=subprocess.PIPE, text=True, check=False).stderr
    run = subprocess.run(["valgrind", "--tool=cachegrind", "--cache-sim=no",
                          f"--cachegrind-out-file={os.devnull}", *compiler_proper(steps)],
                         stderr=subprocess.PIPE, text=True, check=False)
    if run.returncode != 0:
        sys.exit(f"bench/compile/{name}.cpp does not compile:\n{run.stderr}")
    return counted(run.stderr)


def link(object_file, program):
    """The program, stripped."""
    subprocess.run([COMPILER, "-s", str(object_file), "-o", str(program), "-pthread"], check=True)
    return program.stat().st_size


# A client that is as small as can be.


def connect(port):
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    return connection, connection.makefile("rb")


def upgrade(port):
    connection, reader = connect(port)
    connection.sendall(f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
                       f"Connection: Upgrade\r\nSec-WebSocket-Key: {KEY}\r\n"
                       "Sec-WebSocket-Version: 13\r\n\r\n".encode())
    head = []
    while (line := reader.readline().strip()) != b"":
        head.append(line)
    if not head or b" 101 " not in head[0] or not any(line.endswith(ANSWER) for line in head):
        sys.exit("the server does not upgrade")
    return connection, reader


def send_frame(connection, opcode, payload):
    mask = b"\x37\xfa\x21\x3d"
    masked = bytes(b ^ mask[i % 4] for i, b in enumerate(payload))
    connection.sendall(bytes([0x80 | opcode, 0x80 | 126]) + struct.pack("!H", len(payload)) + mask + masked
                       if len(payload) > 125 else bytes([0x80 | opcode, 0x80 | len(payload)]) + mask + masked)


def receive_frame(reader):
    first, length = reader.read(2)
    if length == 126:
        length, = struct.unpack("!H", reader.read(2))
    return first, reader.read(length)


def expect(found, wanted):
    if found != wanted:
        sys.exit(f"the server answers {found!r}, not {wanted!r}")


def check_websocket(port):
    """Two connections at a time: text, binary, closing handshake, end of the connection."""
    peers = [upgrade(port) for _ in range(2)]
    for opcode, payload in ((1, "käse".encode()), (2, bytes(range(256)) * 4)):
        for connection, _ in peers:
            send_frame(connection, opcode, payload)
        for _, reader in peers:
            expect(receive_frame(reader), (0x80 | opcode, payload))
    for connection, reader in peers:
        send_frame(connection, 8, struct.pack("!H", 1000))
        expect(receive_frame(reader), (0x88, struct.pack("!H", 1000)))
        expect(reader.read(), b"")
        connection.close()


def check_tcp(port):
    connection, reader = connect(port)
    connection.sendall(b"echo")
    expect(reader.read(4), b"echo")
    connection.close()


def check_program(name, program):
    port = free_port()
    with subprocess.Popen([str(program), str(port)], stdout=subprocess.DEVNULL) as server:
        try:
            wait_for(port, server)
            (check_tcp if name == "asio_coroutines" else check_websocket)(port)
        finally:
            server.kill()


# The table.


def measure(name, optimise, folder):
    out = Path(folder) / f"{name}.o"
    cost = compile_source(name, optimise, out)
    if name in PROGRAMS:
        program = Path(folder) / name
        cost.program = link(out, program)
        check_program(name, program)
    return cost


def fastest(costs):
    return min(costs, key=lambda cost: cost.cpu)


def row(title, cost, debug, bases):
    """`cost` at -O2, and that of `debug` at -O0; `bases` at -O2."""
    cells = [title, f"{cost.cpu:.2f} s", f"{debug.cpu:.2f} s", f"{cost.memory / 1e6:.0f} MB"]
    if cost.program is None:
        return cells + ["-", "-"] + [ratio(cost.cpu, base.cpu) for base in bases] + ["-"] * 2 * len(bases)
    cells += [f"{cost.size / 1e3:.0f} KB", f"{cost.program / 1e3:.0f} KB"]
    cells += [ratio(cost.cpu, base.cpu) for base in bases]
    cells += [ratio(cost.size, base.size) for base in bases]
    return cells + [ratio(cost.program, base.program) for base in bases]


def compiler_version():
    version = subprocess.run([COMPILER, "--version"], stdout=subprocess.PIPE, text=True, check=True)
    return version.stdout.splitlines()[0]


def report_compile(quick):
    names = [*HEADERS, *PROGRAMS]
    with tempfile.TemporaryDirectory() as folder:
        # Interleaved: a slow minute hits all alike.
        runs = [{name: (measure(name, "-O2", folder), measure(name, "-O0", folder)) for name in names}
                for _ in range(1 if quick else 3)]
    best = {name: [fastest([run[name][i] for run in runs]) for i in range(2)] for name in names}
    print("The cost of compiling an echo server: CPU time, user and system, the fastest of "
          f"{len(runs)} with {compiler_version()}")
    print("(memory, object and stripped program at -O2; ratios at -O2, to Beast's with callbacks / with "
          "coroutines)")
    head = ["", "-O2", "-O0", "memory", "object", "program", "-O2 /call", "/corout", "object /call",
            "/corout", "program /call", "/corout"]
    titles = HEADERS | PROGRAMS
    print_table(head, [row(titles[name], *best[name], [best[base][0] for base in BASES]) for name in names])
    print("All but the last serve WebSocket, without compression and TLS; each was run against a client.")
    print("The last is the floor: sockets and coroutines without a protocol.\n")


def report_instructions():
    counts = {name: count_instructions(name) for name in (*HEADERS, *PROGRAMS)}
    print(f"What compiling an echo server at -O2 executes, with {compiler_version()}")
    print("(ratios to Beast's with callbacks / with coroutines)")
    titles = HEADERS | PROGRAMS
    print_table(["", "instructions", "/call", "/corout"],
                [[titles[name], f"{count / 1e9:.1f} G", *(ratio(count, counts[base]) for base in BASES)]
                 for name, count in counts.items()])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--quick", action="store_true", help="compile once")
    how.add_argument("--instructions", action="store_true", help="count them, under valgrind")
    options = parser.parse_args()
    print(f"{machine()}.\n")
    if options.instructions:
        report_instructions()
    else:
        report_compile(options.quick)


if __name__ == "__main__":
    main()
