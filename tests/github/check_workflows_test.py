"""check_workflows.py accepts a workflow that is right, and fails on each way of being wrong."""
import pathlib
import subprocess
import sys
import tempfile
import unittest

CHECK = pathlib.Path(__file__).with_name("check_workflows.py")
WORKFLOW = """
name: ci
on: [push]
permissions:
  contents: read
concurrency:
  group: ${{ github.workflow }}
jobs:
  all:
    runs-on: ubuntu-24.04
    timeout-minutes: 10
    strategy:
      matrix:
        preset: [dev]
        include:
          - { preset: asan }
    steps:
      - uses: actions/checkout@v4
      - run: .ci/run
      - run: tools/test ${{ matrix.preset }}
      - run: cmake --preset ${{ matrix.preset }} -DX=ON
      - run: cmake --build --preset dev --target one
      - run: ctest --preset dev -L '^(core)$'
"""
PRESETS = """{
  "configurePresets": [{ "name": "base", "hidden": true }, { "name": "dev" }, { "name": "asan" }],
  "buildPresets": [{ "name": "dev" }],
  "testPresets": [{ "name": "dev" }]
}"""


class CheckWorkflows(unittest.TestCase):
    def run_on(self, workflow, script="\nexport CI=true\ntools/test dev\n"):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            for path, text in {".github/workflows/ci.yml": workflow, "CMakePresets.json": PRESETS, ".ci/run": script,
                               "tools/test": "", "tools/data": "", "examples/one.cpp": ""}.items():
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_text(text, encoding="utf-8")
            (root / "tools/test").chmod(0o755)
            return subprocess.run([sys.executable, CHECK, root], capture_output=True, text=True, check=False,
                                  timeout=60)

    def test_right(self):
        run = self.run_on(WORKFLOW)
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)

    def test_wrong(self):
        for before, after, problem in [
            ("jobs:", "jobs: [", "no YAML"),
            ("on: [push]", "when: [push]", "says not when"),
            ("contents: read", "contents: write", "permissions are not"),
            ("    timeout-minutes: 10\n", "", "no timeout-minutes"),
            ("    timeout-minutes: 10\n", "    timeout-minutes: 10\n    permissions: write-all\n", "permissions are write-all"),
            ("concurrency:", "about:", "no concurrency"),
            ("ubuntu-24.04", "ubuntu-latest", "changes by itself"),
            ("actions/checkout@v4", "actions/checkout@main", "uses actions/checkout@main"),
            ("actions/checkout@v4", "somebody/checkout@v4", "uses somebody/checkout@v4"),
            (".ci/run\n", "echo ${{ secrets.TOKEN }}\n", "secrets.TOKEN in a step"),
            (".ci/run\n", "echo ${{ github.event.pull_request.title }}\n", "title in a step"),
            (".ci/run\n", "echo nothing\n", "no workflow runs .ci/run"),
            (".ci/run\n", ".ci/run '\n", "unexpected EOF"),
            ("tools/test", "tools/nothing", "there is no tools/nothing"),
            ("tools/test", "tools/data", "tools/data is no program"),
            ("{ preset: asan }", "{ preset: tsan }", "there is no preset tsan for cmake"),
            ("{ preset: asan }", "{ preset: base }", "there is no preset base for cmake"),
            ("--build --preset dev", "--build --preset asan", "there is no preset asan for cmake --build"),
            ("ctest --preset dev", "ctest --preset asan", "there is no preset asan for ctest"),
            ("--target one", "--target two", "there is no target two"),
        ]:
            with self.subTest(after=after):
                self.assertIn(before, WORKFLOW)
                run = self.run_on(WORKFLOW.replace(before, after))
                self.assertEqual(run.returncode, 1, run.stdout + run.stderr)
                self.assertIn(problem, run.stdout)

    def test_a_tool_of_ci_that_is_gone(self):
        run = self.run_on(WORKFLOW, "\nexport CI=true\ntools/test dev\ntools/gone\n")
        self.assertEqual(run.returncode, 1)
        self.assertIn("tools/gone is no program", run.stdout)

    def test_a_ci_that_skips(self):
        run = self.run_on(WORKFLOW, "\ntools/test dev\n")
        self.assertEqual(run.returncode, 1)
        self.assertIn("export CI=true", run.stdout)


unittest.main()
