"""Draws the results in docs/benchmarks/*.json, a chart for each table, and says in docs/benchmarks.md where
a peer is faster.

usage: charts.py [--check] [FOLDER]     --check fails where that was not done, and for results that were measured
                                        shortly, or of other echo servers than tools/bench has; FOLDER: docs
"""
import html
import json
import math
import pathlib
import re
import sys

import svg

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bench"))
import report  # noqa: E402

TITLES = {
    "receive": "Receive: parse, unmask, validate, deliver (kind, bytes)",
    "send": "Send one message (role, bytes)",
    "deflate": "Compressed echo, in memory (context, bytes)",
    "utf8": "UTF-8 validation (content, bytes)",
    "mask": "Masking in place (bytes)",
    "masking_key": "A masking key from a secure source (bytes)",
    "echo": "Echo server: CPU time a message (connections x bytes x in flight)",
    "echo_deflate": "Echo server, compressed: CPU time a message (connections x bytes x in flight)",
}
PEERS = {"beast": "Beast", "beast_copied": "Beast, copied", "websocketpp": "websocketpp", "ws": "npm ws"}
COLOURS = {"beast": "--mark", "beast_copied": "--mark", "websocketpp": "--other", "ws": "--third"}
NO_PEERS = {"memcpy", "asio", "epoll"}  # what stands in for the transport, and loops without WebSocket
TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
BLOCK = re.compile(r"(<!-- from the results -->\n).*?(<!-- end -->)", re.DOTALL)
WIDTH, LEFT, RIGHT, BAR, GAP = 760, 170, 64, 12, 12


def tables_of(results):
    """table -> row -> peer -> its cost over ours. Copies are compared with copies."""
    costs = {}
    for row in results["rows"]:
        costs.setdefault(row["table"], {}).setdefault(row["row"], {})[row["column"]] = row["value"]
    return {
        table: {row: ratios(of) for row, of in rows.items() if ratios(of)} for table, rows in costs.items()
    }


def ratios(costs):
    found = {}
    for column in sorted(costs, key=lambda c: (list(PEERS).index(c) if c in PEERS else len(PEERS), c)):
        ours = costs.get("sansocket_copied" if column.endswith("_copied") else "sansocket")
        if ours and column not in NO_PEERS and not column.startswith("sansocket"):
            found[column] = costs[column] / ours
    return found


def title_of(table):
    return TITLES.get(table, table.replace("_", " "))


def machine_of(results):
    of = results["machine"]
    words = f"{of['processor']}, {of['cpus']} CPUs, {of['system']}, {of['compiler']}"
    return words + (". Short runs: rough." if results.get("quick") else "")


def shown(ratio):
    return f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}"


def ticks_for(values):
    """Those that the values lie between, 1 among them."""
    low = max((t for t in TICKS if t <= min(values + [1])), default=TICKS[0])
    high = min((t for t in TICKS if t >= max(values + [1])), default=TICKS[-1])
    return [t for t in TICKS if low <= t <= high]


class Chart:
    """A bar for each peer in each row, from 1 to the ratio, on a logarithmic scale."""

    def __init__(self, title, rows, machine):
        ticks = ticks_for([value for row in rows.values() for value in row.values()])
        self.low, self.high = math.log(ticks[0]), max(math.log(ticks[-1]), math.log(ticks[0]) + 0.5)
        self.parts, peers = [], list(dict.fromkeys(peer for row in rows.values() for peer in row))
        self.text(0, 18, title, 'font-size="15" font-weight="600"')
        self.text(
            0,
            38,
            "Cost over sansocket's, logarithmic: right of the line sansocket is cheaper, left of it the peer.",
            'font-size="12"',
        )
        self.legend(peers)
        bottom = self.bars(rows, 92, ticks)
        self.text(0, bottom + 38, machine, 'font-size="11" fill-opacity="0.8"')
        self.height = bottom + 48
        self.title = title

    def x(self, ratio):
        share = (math.log(ratio) - self.low) / (self.high - self.low)
        return round(LEFT + min(max(share, 0), 1) * (WIDTH - LEFT - RIGHT), 1)

    def text(self, x, y, words, more=""):
        self.parts.append(f'<text x="{x}" y="{y}" {more}>{html.escape(words, quote=False)}</text>')

    def legend(self, peers):
        x = 0
        for peer in peers:
            name = PEERS.get(peer, peer.replace("_", " "))
            self.parts.append(f'<rect x="{x}" y="50" width="12" height="12" {look(peer)}/>')
            self.text(x + 17, 60, name, 'font-size="12"')
            x += 40 + 7 * len(name)

    def bars(self, rows, y, ticks):
        top, drawn = y - 8, []
        for row, values in rows.items():
            middle = y + len(values) * BAR / 2
            drawn.append((LEFT - 10, round(middle + 4, 1), row, 'font-size="12" text-anchor="end"'))
            for peer, ratio in values.items():
                one, end = self.x(1), self.x(ratio)
                self.parts.append(
                    f'<rect x="{min(one, end)}" y="{y}" width="{max(round(abs(end - one), 1), 1)}" '
                    f'height="{BAR - 2}" {look(peer)}/>'
                )
                right = ratio >= 1
                drawn.append(
                    (
                        end + 4 if right else end - 4,
                        y + 9,
                        shown(ratio),
                        f'font-size="10" text-anchor="{"start" if right else "end"}"',
                    )
                )
                y += BAR
            y += GAP
        lines = []
        for tick in ticks:
            x = self.x(tick)
            look_of = 'stroke="var(--ink)" stroke-width="1.5"' if tick == 1 else 'stroke="var(--grid)"'
            lines.append(f'<line x1="{x}" y1="{top}" x2="{x}" y2="{y}" {look_of}/>')
            drawn.append((x, y + 15, f"{tick:g}", 'font-size="11" text-anchor="middle"'))
        self.parts[0:0] = lines
        for item in drawn:
            self.text(*item)
        return y

    def svg(self):
        return svg.opening(WIDTH, self.height, self.title) + "\n".join(self.parts) + "\n</svg>\n"


def look(peer):
    opacity = ' fill-opacity="0.55"' if peer.endswith("_copied") else ""
    return f'style="fill: var({COLOURS.get(peer, "--third")})"{opacity}'


def slower(results):
    """Markdown: the rows in which a peer is cheaper."""
    lines = ["| what | row | peer | its cost over ours |", "|---|---|---|---|"]
    for table, rows in tables_of(results).items():
        for row, values in rows.items():
            lines += [
                f"| {title_of(table).partition(' (')[0]} | {row} | {PEERS.get(peer, peer)} | {shown(ratio)} |"
                for peer, ratio in values.items()
                if ratio < 1
            ]
    words = f"Measured on {machine_of(results)}\n\n"
    return words + ("\n".join(lines) + "\n" if len(lines) > 2 else "In no row is a peer cheaper.\n")


def wanted(docs):
    """File -> what has to stand in it."""
    found, words = {}, ""
    for file in sorted((docs / "benchmarks").glob("*.json")):
        results = json.loads(file.read_text(encoding="utf-8"))
        words += slower(results)
        for table, rows in tables_of(results).items():
            if rows:
                chart = Chart(title_of(table), rows, machine_of(results))
                found[file.with_name(f"{file.stem}-{table.replace('_', '-')}.svg")] = chart.svg()
    page = docs / "benchmarks.md"
    text = page.read_text(encoding="utf-8")
    found[page] = BLOCK.sub(lambda m: m[1] + words + m[2], text)
    missing = [f.name for f in found if f.suffix == ".svg" and f"(benchmarks/{f.name})" not in text]
    if missing:
        sys.exit(f"benchmarks.md does not show {', '.join(missing)}")
    return found


def refusals(docs):
    """Why results are not to be published."""
    for file in sorted((docs / "benchmarks").glob("*.json")):
        results = json.loads(file.read_text(encoding="utf-8"))
        if results.get("quick"):
            yield f"{file.name}: measured with --quick, which is rough"
        found = {}
        for row in results["rows"]:
            found.setdefault((row["table"], row["row"]), set()).add(row["column"])
        for (table, row), columns in found.items():
            wanted_ones = report.echo_columns().get(table, columns)
            if columns != wanted_ones:
                yield f"{file.name}: {table}, {row}: is of {sorted(columns)}, and tools/bench has {sorted(wanted_ones)}"


def main():
    arguments = [a for a in sys.argv[1:] if a != "--check"]
    docs = pathlib.Path(arguments[0]) if arguments else pathlib.Path(__file__).resolve().parents[1]
    files = wanted(docs)
    old = [f for f in (docs / "benchmarks").glob("*.svg") if f not in files]
    if "--check" in sys.argv:
        stale = [
            f.name for f, text in files.items() if not f.exists() or f.read_text(encoding="utf-8") != text
        ] + [f.name for f in old]
        if stale:
            sys.exit(f"stale: {', '.join(stale)}: run tools/charts")
        if refused := list(refusals(docs)):
            sys.exit("\n".join([*refused, "run tools/bench --json=FILE, where nothing else runs, and tools/charts"]))
        return
    for file in old:
        file.unlink()
    for file, text in files.items():
        file.write_text(text, encoding="utf-8")
    print(f"{len(files) - 1} charts in docs/benchmarks")


if __name__ == "__main__":
    main()
