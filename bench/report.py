#!/usr/bin/env python3
"""Runs the benchmarks of a build directory and prints tables of ratios.

usage: report.py BUILD_DIR [--core] [--net] [--quick] [--json FILE]

Every ratio is a peer's CPU time over sansocket's: above 1, sansocket is faster. Beside bare loops it is
sansocket's over theirs. Nothing is asserted.
"""
import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

import results

OURS = "sansocket"
COPIED = "sansocket_copied"
THEIRS_COPIED = "beast_copied"
PEERS = ("beast", "websocketpp")
NAMES = {OURS: "async_run", "awaited": "co_await", "beast": "Beast", "websocketpp": "websocketpp",
         "ws": "npm ws", "asio": "bare Asio", "epoll": "bare epoll"}
RAW = ("asio", "epoll")  # servers that know no WebSocket
ROOT = Path(__file__).resolve().parent.parent
HEADINGS = {
    "receive": "Receive, server role: parse, unmask, validate, deliver; 64 KiB feeds; copied: gathered\n"
               "in a queue first, the library's (sansocket) or the application's (Beast) (kind, bytes)",
    "send": "Send one binary message into the transport's memory, from the caller's; copied: from a\n"
            "copy that the library (sansocket) or the application (Beast) keeps (role, bytes)",
    "deflate": "Compressed echo of JSON-like text, level 6, memory level 8, window 15 (takeover or afresh, bytes)",
    "utf8": "UTF-8 validation (content, bytes)",
    "mask": "Masking in place (bytes)",
    "masking_key": "A masking key from a secure source (bytes)",
}


def size_name(size):
    for unit, factor in (("Mi", 1 << 20), ("Ki", 1 << 10)):
        if size and size % factor == 0:
            return f"{size // factor} {unit}"
    return str(size)


def time_name(nanoseconds):
    if nanoseconds is None:
        return "-"
    for unit, factor in (("ms", 1e6), ("us", 1e3)):
        if nanoseconds >= factor:
            return f"{nanoseconds / factor:.2f} {unit}"
    return f"{nanoseconds:.1f} ns"


def ratio(theirs, ours):
    return f"{theirs / ours:.2f}" if theirs and ours else "-"


def print_table(head, rows):
    widths = [max(len(row[i]) for row in [head] + rows) for i in range(len(head))]
    for row in [head] + rows:
        cells = [row[0].ljust(widths[0])] + [c.rjust(w) for c, w in zip(row[1:], widths[1:])]
        print("  " + "  ".join(cells).rstrip())
    print()


def machine():
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    return f"{model}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.2f} at the start"


def print_machine(quick):
    print(f"{machine()}. CPU time.")
    print("A ratio is the peer's time over sansocket's: above 1, sansocket is faster.")
    print("Core: the fastest of several interleaved runs; of sends, the median. Network: the median of three.")
    if quick:
        print("--quick: short runs, to see that it works; the numbers are rough.")
    print()


# The core.


def run_core(build, quick):
    """Nanoseconds a message, by benchmark name. The fastest run is the least disturbed one; of sends,
    whose buffers lie elsewhere in each run, the median, for the fastest has the luckiest place."""
    command = [
        str(build / "bench" / "bench_core"),
        "--benchmark_format=json",
        "--benchmark_min_time=" + ("0.01" if quick else "0.1"),
        "--benchmark_repetitions=" + ("3" if quick else "7"),
        "--benchmark_enable_random_interleaving=true",
    ]
    output = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    found = {}  # each run's
    for row in json.loads(output.stdout)["benchmarks"]:
        if row["run_type"] == "iteration":
            once = 1e9 / row["items_per_second"]
            found.setdefault(row["run_name"], []).append(once)
    return {name: statistics.median(times) if name.startswith("send/") else min(times)
            for name, times in found.items()}


def core_row(what, size, times):
    ours, copied = times.get(OURS), times.get(COPIED)
    row = [f"{what.replace('_', ' ')}, {size_name(size)}"]
    row += [time_name(times.get(who))
            for who in (OURS, COPIED, "beast", THEIRS_COPIED, "websocketpp", "memcpy")]
    row += [ratio(times.get(who), ours) for who in PEERS]
    row += [ratio(times.get(THEIRS_COPIED), copied)]
    return row


def report_core(build, quick):
    groups = {}
    for name, nanoseconds in run_core(build, quick).items():
        group, what, size, who = name.split("/")[:4]
        groups.setdefault(group, {}).setdefault((what, int(size)), {})[who] = nanoseconds
    head = ["CPU time a message", "sansocket", "copied", "Beast", "Beast copied", "websocketpp",
            "memcpy", "Beast/ours", "websocketpp/ours", "Beast/ours, copied"]
    for group, heading in HEADINGS.items():
        print(heading)
        cases = sorted(groups[group].items())
        print_table(head, [core_row(what, size, times) for (what, size), times in cases])
        for (what, size), times in cases:
            results.record(group, f"{what.replace('_', ' ')}, {size_name(size)}", times)
    print("sansocket, like the peers, hands on one message at a time where it lies (direct_queue) and")
    print("sends payloads that stay where they are until they are written (a client's are copied, for")
    print("they must be masked, and so are those under 4 KiB). copied: received messages are gathered")
    print("in the message_queue, and every payload to be sent is copied, so that the caller may reuse its")
    print("memory before the transport has taken it. Beast hands a message on in the caller's buffer and")
    print("sends from the caller's memory: there the application copies, here into memory that it has")
    print("already. The last column compares what is copied. memcpy: the copies that stand in for the")
    print("transport; they are part of every other time in a row. In compressed echo it is zlib alone")
    print("that decompresses and compresses, with nothing around it.\n")


# The network.

CASES = [  # connections, bytes, messages in flight on each
    (1, 125, 1), (1, 16384, 1), (1, 262144, 1), (64, 125, 1), (64, 1024, 1), (64, 16384, 1),
    (1, 125, 16), (64, 125, 16), (64, 1024, 16), (500, 125, 16),
]
QUICK_CASES = [(1, 125, 1), (64, 125, 16), (64, 16384, 1)]
COMPRESSED_CASES = [(64, 1024, 1), (64, 65536, 1)]


def pinned_to(cpu):
    """For Popen's preexec_fn: one CPU, where there are several."""
    cpus = sorted(os.sched_getaffinity(0))
    return lambda: os.sched_setaffinity(0, {cpus[cpu % len(cpus)]})


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(port, server):
    for _ in range(100):
        if server.poll() is not None:
            sys.exit(f"{server.args[0]} ended with status {server.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    sys.exit(f"{server.args[0]} does not listen")


def server_cpu(build, command, case, seconds, deflate, raw):
    """The server's CPU microseconds a message, or None with the reason on stderr."""
    port = free_port()
    server = subprocess.Popen(command + ["--port", str(port)], preexec_fn=pinned_to(0),
                              stdout=subprocess.DEVNULL)
    try:
        wait_for(port, server)
        connections, size, depth = map(str, case)
        load = subprocess.run(
            [str(build / "bench" / "loadgen"), "--port", str(port), "--pid", str(server.pid),
             "--connections", connections, "--size", size, "--depth", depth,
             "--seconds", str(seconds), "--deflate", str(int(deflate)), "--raw", str(int(raw))],
            preexec_fn=pinned_to(1), stdout=subprocess.PIPE, check=False)
        if load.returncode != 0:
            return None
        return json.loads(load.stdout)["server_cpu_us_per_message"]
    finally:
        server.terminate()
        try:
            server.wait(timeout=5)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def median_of(values):
    values = [v for v in values if v is not None]
    return statistics.median(values) if values else None


def ws_echo():
    """The command of npm's ws, or None where that or node is missing."""
    node = shutil.which("node")
    there = (ROOT / "tests" / "interop" / "node_modules" / "ws").is_dir()
    return [node, str(ROOT / "bench" / "net" / "ws_echo.js")] if node and there else None


def echo_row(case, servers, us):
    connections, size, depth = case
    row = [f"{connections} x {size_name(size)} x {depth}"]
    for who, command in servers.items():
        row.append("-" if not command else f"{us[who]:.2f} us" if us[who] else "failed")
    return row + [ratio(us[who], us[OURS]) for who in compared(servers)] + [
        ratio(us[OURS], us[who]) for who in servers if who in RAW]


def compared(servers):
    """The peers that speak WebSocket."""
    return [who for who in servers if who != OURS and who not in RAW]


def print_echoes(build, quick, servers, cases, deflate=False):
    rows = []
    for case in cases:
        times = {who: [] for who in servers}
        for _ in range(1 if quick else 3):  # interleaved: a slow minute hits all alike
            for who, command in servers.items():
                if command:
                    seconds = 0.5 if quick else 1.5
                    times[who].append(
                        server_cpu(build, command, case, seconds, deflate, who in RAW))
        us = {who: median_of(v) for who, v in times.items()}
        rows.append(echo_row(case, servers, us))
        results.record("echo_deflate" if deflate else "echo", rows[-1][0],
                       {column_of(who): v for who, v in us.items()})
    names = dict(NAMES) if not deflate else {**NAMES, OURS: OURS}
    head = ["connections x bytes x depth"] + [names[who] for who in servers]
    head += [f"{NAMES[who]}/ours" for who in compared(servers)]
    print_table(head + [f"ours/{NAMES[who]}" for who in servers if who in RAW], rows)


def column_of(who):
    return "sansocket_awaited" if who == "awaited" else who


def echo_server(build):
    return [str(build / "examples" / "echo_server"), "--host", "127.0.0.1"]


def echo_servers(build):
    """Who takes part -> the command of its server, or None where that is missing."""
    bench = build / "bench"
    return {
        OURS: [str(bench / "sansocket_echo")],
        "awaited": echo_server(build),
        "beast": [str(bench / "beast_echo")],
        "websocketpp": [str(bench / "websocketpp_echo")],
        "ws": ws_echo(),
        "asio": [str(bench / "asio_echo")],
        "epoll": [str(bench / "epoll_echo")],
    }


def compressing_servers(build):
    return {
        OURS: echo_server(build) + ["--deflate", "--no-takeover"],
        "beast": [str(build / "bench" / "beast_echo"), "--deflate"],
        "ws": ws_echo(),
    }


def echo_columns():
    """Table of results -> the columns of each of its rows, where nobody is missing."""
    return {table: {column_of(who) for who in servers(ROOT)}
            for table, servers in (("echo", echo_servers), ("echo_deflate", compressing_servers))}


def report_net(build, quick):
    print("Network echo, loopback: server's CPU time a message, kernel included")
    print("(connections x bytes x messages in flight on each; server and load on a CPU each)")
    print_echoes(build, quick, echo_servers(build), QUICK_CASES if quick else CASES)
    print("Ours, in the ratios, is async_run: all that one read brings is answered with one write.")
    print("co_await: sansocket, too, with a coroutine that awaits each message and each send. The bare")
    print("loops send back the bytes they get, and know no WebSocket: what the transport itself costs.\n")
    print("The same with JSON-like text, compressed in both directions: no context takeover,")
    print("level 6, memory level 8, window 15 (bytes before compression); ours with co_await")
    print_echoes(build, quick, compressing_servers(build),
                 COMPRESSED_CASES[:1] if quick else COMPRESSED_CASES, deflate=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=Path)
    parser.add_argument("--core", action="store_true", help="the core benchmark only")
    parser.add_argument("--net", action="store_true", help="the network benchmark only")
    parser.add_argument("--quick", action="store_true", help="short runs")
    parser.add_argument("--json", type=Path, help="write what was measured to this file, too")
    options = parser.parse_args()
    both = options.core == options.net
    print_machine(options.quick)
    if both or options.core:
        report_core(options.build, options.quick)
    if both or options.net:
        report_net(options.build, options.quick)
    if options.json:
        results.write(options.json, options.build, options.quick)


if __name__ == "__main__":
    main()
