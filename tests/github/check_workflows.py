"""The workflows in .github/workflows are YAML, name only what exists, and keep to the rules of docs/ci.md:

* rights: nothing but reading at the top; a job may have only what RIGHTS says;
* each job has a time limit, each workflow says what becomes of two at once;
* actions are GitHub's own, by their major version; no secrets, and nothing that a pull request's author
  writes gets into a command;
* every tool, test, preset and target of a command exists; commands are bash that parses;
* .ci/run is run as it is; every tool that it runs is there, and no test is skipped in it.

usage: check_workflows.py [ROOT]
"""
import itertools
import json
import os
import pathlib
import re
import subprocess
import sys

import yaml

RIGHTS = {("docs.yml", "publish"): {"pages": "write", "id-token": "write"},
          ("release.yml", "release"): {"contents": "write"}}
ACTION = re.compile(r"actions/[\w-]+@(v\d+|[0-9a-f]{40})")
EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")
HARMLESS = re.compile(r"github\.(workflow|ref|sha|token|run_id|repository|workspace|event_name == '\w+')|"
                      r"(matrix|steps)\.[\w.-]+")
PATH = re.compile(r"(?<![\w./-])(?:sansocket/)?((?:tools|tests|docs|ports|examples|cmake)/[\w./-]*[\w])")
PRESET = re.compile(r"\b(cmake --build|ctest|cmake)\b[^\n&|]*? --preset (\S+)")
KINDS = {"cmake": "configurePresets", "cmake --build": "buildPresets", "ctest": "testPresets"}


class Check:
    def __init__(self, root):
        self.root, self.problems, self.commands = root, [], ""
        presets = json.loads((root / "CMakePresets.json").read_text(encoding="utf-8"))
        self.presets = {kind: {p["name"] for p in presets[kind] if not p.get("hidden")} for kind in KINDS.values()}

    def workflow(self, file):
        where = file.name
        try:
            workflow = yaml.safe_load(file.read_text(encoding="utf-8"))
        except yaml.YAMLError as error:
            self.problems.append(f"{where}: no YAML: {error}")
            return
        if True not in workflow:  # YAML 1.1 takes the word `on` for it
            self.problems.append(f"{where}: says not when it runs")
        if workflow.get("permissions") != {"contents": "read"}:
            self.problems.append(f"{where}: permissions are not contents: read")
        if "group" not in workflow.get("concurrency", {}):
            self.problems.append(f"{where}: no concurrency")
        for name, job in workflow["jobs"].items():
            self.job(f"{where}: {name}", job, RIGHTS.get((where, name), None))

    def job(self, where, job, rights):
        if not isinstance(job.get("timeout-minutes"), int):
            self.problems.append(f"{where}: no timeout-minutes")
        if job.get("permissions") != rights:
            self.problems.append(f"{where}: permissions are {job.get('permissions')}, not {rights}")
        if "latest" in str(job.get("runs-on")):
            self.problems.append(f"{where}: runs on {job['runs-on']}, which changes by itself")
        for combination in combinations(job.get("strategy", {}).get("matrix", {})):
            for step in job["steps"]:
                self.step(where, step, combination)

    def step(self, where, step, combination):
        if "uses" in step and not ACTION.fullmatch(step["uses"]):
            self.problems.append(f"{where}: uses {step['uses']}")
        for expression in EXPRESSION.findall(json.dumps(step)):
            if not HARMLESS.fullmatch(expression):
                self.problems.append(f"{where}: {expression} in a step")
        if command := step.get("run"):
            for key, value in combination.items():
                command = re.sub(r"\$\{\{\s*matrix\." + key + r"\s*\}\}", str(value), command)
            self.command(where, EXPRESSION.sub("expression", command))

    def command(self, where, command):
        self.commands += command + "\n"
        parsed = subprocess.run(["bash", "-n"], input=command, capture_output=True, text=True, timeout=60)
        if parsed.returncode:
            self.problems.append(f"{where}: {parsed.stderr.strip()}")
        for path in PATH.findall(command):
            if not (self.root / path).exists():
                self.problems.append(f"{where}: there is no {path}")
            elif path.startswith("tools/") and not os.access(self.root / path, os.X_OK):
                self.problems.append(f"{where}: {path} is no program")
        for program, preset in PRESET.findall(command):
            if preset not in self.presets[KINDS[program]]:
                self.problems.append(f"{where}: there is no preset {preset} for {program}")
        for target in re.findall(r"--target (\S+)", command):
            if not self.is_target(target):
                self.problems.append(f"{where}: there is no target {target}")

    def is_target(self, target):
        defined = re.compile(rf"add_(executable|library)\(\s*{re.escape(target)}\b")
        return (self.root / f"examples/{target}.cpp").exists() or any(
            defined.search(file.read_text(encoding="utf-8"))
            for folder in ["tests", "fuzz", "examples"] for file in (self.root / folder).rglob("CMakeLists.txt"))

    def in_step(self):
        """.ci/run is called, and what it calls exists."""
        script = (self.root / ".ci/run").read_text(encoding="utf-8")
        if not re.search(r"^\.ci/run$", self.commands, re.MULTILINE):
            self.problems.append("no workflow runs .ci/run")
        if "\nexport CI=true" not in script:
            self.problems.append(".ci/run: tests that cannot run are skipped; export CI=true")
        for tool in re.findall(r"^(tools/\w+)", script, re.MULTILINE):
            if not os.access(self.root / tool, os.X_OK):
                self.problems.append(f".ci/run: {tool} is no program")


def combinations(matrix):
    """What a matrix makes: each a dictionary. One that is empty where there is no matrix."""
    lists = {key: values for key, values in matrix.items() if key != "include"}
    product = [dict(zip(lists, values)) for values in itertools.product(*lists.values())] if lists else []
    return product + matrix.get("include", []) or [{}]


def main():
    check = Check(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[2]).resolve())
    files = sorted((check.root / ".github/workflows").glob("*.yml"))
    for file in files:
        check.workflow(file)
    check.in_step()
    for problem in dict.fromkeys(check.problems):
        print(problem)
    print(f"workflows: {len(files)} files, {len(check.problems)} problems")
    sys.exit(1 if check.problems or not files else 0)


main()
