"""What was measured, as rows for a file that tools/charts draws: {table, row, column, value}.

A value is a cost, such as nanoseconds a message: who has less is better. Columns are who it is of;
those that begin with `sansocket` are ours.
"""
import json
import os
import re
import subprocess
from pathlib import Path

ROWS = []


def record(table, row, values):
    """`values`: column -> cost, None or 0 where there is none."""
    ROWS.extend(
        {"table": table, "row": row, "column": column, "value": float(f"{value:.4g}")}
        for column, value in sorted(values.items())
        if value
    )


def first_match(pattern, file, otherwise):
    match = re.search(pattern, Path(file).read_text(encoding="utf-8"), re.MULTILINE)
    return match[1].strip().strip('"') if match else otherwise


def compiler_of(build):
    program = first_match(r"^CMAKE_CXX_COMPILER:\w+=(.+)$", build / "CMakeCache.txt", "c++")
    flags = first_match(r"^CMAKE_CXX_FLAGS_RELEASE:\w+=(.+)$", build / "CMakeCache.txt", "")
    version = subprocess.run([program, "--version"], stdout=subprocess.PIPE, text=True, check=True)
    return f"{version.stdout.splitlines()[0]} {flags}".strip()


def write(file, build, quick):
    """The machine's description, and the rows in the order in which they were measured. No date: the
    same figures are the same file."""
    machine = {
        "processor": first_match(r"^model name\s*:(.+)$", "/proc/cpuinfo", "unknown processor"),
        "cpus": os.cpu_count(),
        "system": first_match(r"^PRETTY_NAME=(.+)$", "/etc/os-release", "unknown system"),
        "compiler": compiler_of(build),
    }
    rows = ",\n".join("  " + json.dumps(row) for row in ROWS)
    text = f'{{"machine": {json.dumps(machine)},\n "quick": {json.dumps(quick)},\n "rows": [\n{rows}\n]}}\n'
    Path(file).write_text(text, encoding="utf-8")
