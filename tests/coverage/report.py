#!/usr/bin/env python3
"""Prints what a run of the tests covered of wire/ and machine/, and fails below what is promised.

usage: report.py PROGRAM PROFILE [--list]

A branch is one outcome of one condition; it is covered if any instantiation of a template took it.
What cannot be covered stands in excluded.txt, with a reason: a file, the text of a line, a reason.
An exclusion that excludes nothing is an error.
"""
import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("include/sansocket/wire", "include/sansocket/machine")
LINES, BRANCHES = 100.0, 98.0
EXCLUDED = Path(__file__).with_name("excluded.txt")


def export(program, profile, form):
    command = ["llvm-cov", "export", program, f"-instr-profile={profile}", f"-format={form}"]
    command += [str(ROOT / folder) for folder in FOLDERS]
    return subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout


def measured(path):
    path = Path(path)
    inside = path.is_absolute() and path.is_relative_to(ROOT)
    name = path.relative_to(ROOT).as_posix() if inside else ""
    return name if name.startswith(FOLDERS) else None


def line_counts(program, profile):
    """{file: {line: how often it ran}}"""
    found, current = {}, None
    for row in export(program, profile, "lcov").splitlines():
        if row.startswith("SF:"):
            name = measured(row[3:])
            current = found.setdefault(name, {}) if name else None
        elif row.startswith("DA:") and current is not None:
            line, count = row[3:].split(",")[:2]
            current[int(line)] = max(int(count), current.get(int(line), 0))
    return found


def branch_counts(program, profile):
    """{file: {place: [times true, times false]}}, over all instantiations."""
    found = defaultdict(lambda: defaultdict(lambda: [0, 0]))
    for function in json.loads(export(program, profile, "text"))["data"][0]["functions"]:
        for branch in function["branches"]:
            name = measured(function["filenames"][branch[6]])
            if name:
                sums = found[name][tuple(branch[:4])]
                sums[0] += branch[4]
                sums[1] += branch[5]
    return found


class Exclusions:
    def __init__(self):
        self.rows = []
        for row in EXCLUDED.read_text().splitlines():
            if row.strip() and not row.startswith("#"):
                name, text, reason = (part.strip() for part in row.split(" | "))
                self.rows.append([name, text, reason, 0])
        self.sources = {}

    def excludes(self, name, line):
        source = self.sources.setdefault(name, (ROOT / name).read_text().splitlines())
        for row in self.rows:
            if row[0] == name and row[1] == source[line - 1].strip():
                row[3] += 1
                return True
        return False

    def unused(self):
        return [f"{name} | {text}" for name, text, _, uses in self.rows if uses == 0]


def percent(part, whole):
    return 100.0 * part / whole if whole else 100.0


def main():
    program, profile = sys.argv[1:3]
    lines, branches = line_counts(program, profile), branch_counts(program, profile)
    missing, sums, exclusions = [], [0, 0, 0, 0], Exclusions()
    print(f"{'':46}{'lines':>14}{'branches':>18}")
    for name in sorted(lines):
        ran = lines[name]
        lacking = [n for n, count in ran.items() if count == 0 and not exclusions.excludes(name, n)]
        missing += [f"{name}:{n}: the line never ran" for n in sorted(lacking)]
        all_branches = lacking_branches = 0
        for place, counts in sorted(branches[name].items()):
            if counts == [0, 0]:
                continue  # decided by the compiler, or on a line that never ran
            all_branches += 2
            if 0 in counts and not exclusions.excludes(name, place[0]):
                lacking_branches += 1
                never = "true" if counts[0] == 0 else "false"
                missing.append(f"{name}:{place[0]}:{place[1]}: never {never}")
        row = [len(ran) - len(lacking), len(ran), all_branches - lacking_branches, all_branches]
        sums = [a + b for a, b in zip(sums, row)]
        print(f"{name.removeprefix('include/sansocket/'):46}{row[0]:>6} of {row[1]:<5}"
              f"{row[2]:>9} of {row[3]:<5}")
    line_rate, branch_rate = percent(*sums[:2]), percent(*sums[2:])
    print(f"lines {line_rate:.2f} % of {sums[1]}, branches {branch_rate:.2f} % of {sums[3]}, "
          f"{len(exclusions.rows)} exclusions")
    if "--list" in sys.argv or line_rate < LINES or branch_rate < BRANCHES:
        print("\n".join(missing))
    for row in exclusions.unused():
        print(f"excluded.txt excludes nothing: {row}")
    return int(line_rate < LINES or branch_rate < BRANCHES or bool(exclusions.unused()))


sys.exit(main())
