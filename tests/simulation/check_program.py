"""Runs the simulation and looks at what it says.

usage: check_program.py SIMULATE report OPTION...   no rule is broken; what was covered is kept
       check_program.py SIMULATE failure            a run that counts as failed is told, made smaller,
                                                    recorded, and the same when it is run again
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

JOBS = ["--jobs", "2"]


def run(*command, expect):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=280)
    if done.returncode != expect:
        sys.exit(f"{' '.join(map(str, command))}: exit status {done.returncode}, not {expect}\n"
                 f"{done.stdout[-20000:]}{done.stderr}")
    return done.stdout


def report(simulate, options):
    out = run(simulate, *JOBS, *options, expect=0)
    last = out.splitlines()[-1]
    runs = re.fullmatch(r"simulated: .*: (\d+) runs, (\d+) events, 0 failed; stories [0-9a-f]{16}; .*", last)
    if not runs or int(runs[1]) == 0 or int(runs[2]) < 20 * int(runs[1]):
        sys.exit("it did not run much: " + last)
    name = "seeds" + "".join(o.replace("--", "-") for o in options[2:])
    pathlib.Path(f"{name}.report").write_text(out, encoding="utf-8")
    print(out)


def failure(simulate):
    """That a socket is closed counts as a failure here."""
    words = "closes its socket"
    trace = os.environ.get("SANSOCKET_TRACE")
    with tempfile.TemporaryDirectory() as folder:
        keep = pathlib.Path(folder) / "tapes"
        # Which runs end the search is up to the threads; one finds the same each time.
        search = [simulate, "--seeds", "30", "--until", words, "--keep", keep, "--jobs", "1"]
        out = run(*search, expect=1)
        found = re.search(r"the least: tools/simulate --seed (\d+) --until '.*' (?:--without (\S+))?", out)
        parts = re.search(r"\((\d+) of (\d+) parts\)", out)
        if not found or not parts or int(parts[1]) >= int(parts[2]):
            sys.exit("it was not made smaller:\n" + out)
        again = [simulate, "--seed", found[1], "--until", words, "--keep", keep]
        again += ["--without", found[2]] if found[2] else []
        story = run(*again, expect=1)
        if story != run(*again, expect=1) or words not in story:
            sys.exit("the story is not the same twice:\n" + story)
        if "no rule broken" not in run(*again[:3], expect=0):
            sys.exit("the seed fails without the words, too")
        tapes = re.findall(r"recorded: tools/trace (.*)", story)
        if not tapes:
            sys.exit("no recording was left:\n" + story)
        for tape in tapes if trace else []:
            run(trace, tape, expect=0)
    run(simulate, "--seed", "x", expect=2)
    run(simulate, "--fault", "reset@1", expect=2)
    run(simulate, "--seed", "1", "--fault", "melt@1", expect=2)


simulate, mode, *options = sys.argv[1:]
report(simulate, options) if mode == "report" else failure(simulate)
