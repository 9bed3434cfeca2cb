"""Every cell, rule and scenario of the close lifecycle has a test named after it, or a reason why not.

A test case is named after what stands before the first colon of its name, or in brackets at the end of
it: "T2/OI T2/OM: the peer's Close", "close: abort ends everything (B28)". The reasons are in
tests/lifecycle/not_applicable.txt, a line each: ID | reason. Where a test says otherwise than its name lets
expect, tests/lifecycle/departures.txt says so, a line each: ID | what we do | why.
"""
import re

from tree import TESTS, Report, read, test_names

STATES = ["HS", "OI", "OM", "OQ", "CLO", "CW", "CRE", "CD"]
NOT_APPLICABLE = TESTS / "lifecycle/not_applicable.txt"
DEPARTURES = TESTS / "lifecycle/departures.txt"


def numbered(letter, width, *ranges):
    return [f"{letter}{n:0{width}}" for first, last in ranges for n in range(first, last + 1)]


GROUPS = {
    "cells": [f"T{row}/{state}" for row in range(1, 15) for state in STATES],
    "rules": numbered("G", 1, (1, 18)),
    "scenarios": numbered("B", 2, (1, 36), (40, 55), (60, 65), (70, 78), (80, 90), (95, 102)),
    "queue rows": numbered("Q", 2, (1, 21)),
}


def named_after(names):
    for name in names:
        front, colon, _ = name.partition(":")
        _, bracket, back = name.removesuffix(")").rpartition("(")
        for part in [front] * bool(colon) + [back] * bool(bracket):
            ids = part.replace("(adapter)", "").split()
            if ids and all(re.fullmatch(r"[TGBQ]\d+(/[A-Z]+)?", i) for i in ids):
                yield from ids


def main():
    report = Report("lifecycle")
    known = {i for group in GROUPS.values() for i in group}
    tested = set(named_after(test_names()))
    excused = {}
    for number, line in enumerate(read(NOT_APPLICABLE).splitlines(), 1):
        where = f"tests/lifecycle/not_applicable.txt:{number}"
        name, bar, reason = (part.strip() for part in line.partition("|"))
        if not bar or not reason:
            report.found(where, "line", "not 'ID | reason'")
        elif name in excused:
            report.found(where, name, f"{name} stands here twice")
        elif name in tested:
            report.found(where, name, f"{name} has a test")
        excused[name] = reason
    departed = set()
    for number, line in enumerate(read(DEPARTURES).splitlines(), 1):
        where = f"tests/lifecycle/departures.txt:{number}"
        parts = [part.strip() for part in line.split("|")]
        if len(parts) != 3 or not all(parts):
            report.found(where, "line", "not 'ID | what we do | why'")
        elif parts[0] in departed:
            report.found(where, parts[0], f"{parts[0]} stands here twice")
        elif parts[0] not in tested:
            report.found(where, parts[0], f"no test is named after {parts[0]}")
        for other in re.findall(r"\b[TGBQ]\d+(?:/[A-Z]+)?\b", " ".join(parts[1:])):
            if other not in known:
                report.found(where, other, f"there is no {other}")
        departed.add(parts[0])
    for name in sorted((tested | excused.keys()) - known):
        report.found("tests", name, f"there is no {name}")
    for name in sorted(known - tested - excused.keys()):
        report.found("tests", name, f"no test is named after {name}, and no reason given")
    counts = (f"{len(tested & set(ids))} of {len(ids)} {group} have a test"
              for group, ids in GROUPS.items())
    report.finish(", ".join(counts) + f"; {len(excused)} do not apply, "
                  f"{len(departed)} depart from what their names promise")


if __name__ == "__main__":
    main()
