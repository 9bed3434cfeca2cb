"""Reads what the Autobahn test suite found, and fails at a case that is not as it should be, or if there
are fewer cases than any run of tools/autobahn has.

usage: check_report.py INDEX_JSON
"""
import collections
import json
import pathlib
import sys

GOOD = {"OK", "NON-STRICT", "INFORMATIONAL"}
AT_LEAST = 200  # groups 1 to 10 have about 300 cases, 12 and 13 have 216


def main():
    report = json.loads(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8"))
    counts, bad, total = collections.Counter(), [], 0
    for agent, cases in report.items():
        for case, result in cases.items():
            total += 1
            counts[result["behavior"]] += 1
            if result["behavior"] not in GOOD or result["behaviorClose"] not in GOOD:
                bad.append(f"{agent} {case}: {result['behavior']}, closing {result['behaviorClose']}")
    print("\n".join(bad) or "all cases are as they should be")
    print(f"{total} cases: " + ", ".join(f"{n} {what}" for what, n in sorted(counts.items())))
    if total < AT_LEAST:
        sys.exit(f"at least {AT_LEAST} cases should have run")
    sys.exit(1 if bad else 0)


main()
