"""charts.py draws what the results say, and --check fails where it was not done."""
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

CHARTS = pathlib.Path(__file__).resolve().parents[2] / "docs/site/charts.py"
PAGE = "# Benchmarks\n\n<!-- from the results -->\n<!-- end -->\n\n![a](benchmarks/here-echo-server.svg)\n"
RESULTS = {
    "machine": {"processor": "A & B", "cpus": 2, "system": "Here", "compiler": "c++ 12"},
    "quick": False,
    "rows": [
        {"table": "echo_server", "row": row, "column": column, "value": value}
        for row, column, value in (
            ("small", "sansocket", 10),
            ("small", "beast", 20),
            ("small", "memcpy", 1),
            ("small", "websocketpp", 5),
            ("small", "sansocket_copied", 40),
            ("small", "beast_copied", 60),
            ("large", "beast", 7),
        )
    ],
}


class Charts(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.docs = pathlib.Path(folder.name)
        (self.docs / "benchmarks").mkdir()
        self.write(RESULTS)

    def write(self, results, page=PAGE):
        (self.docs / "benchmarks/here.json").write_text(json.dumps(results), encoding="utf-8")
        (self.docs / "benchmarks.md").write_text(page, encoding="utf-8")

    def run_it(self, *options):
        return subprocess.run(
            [sys.executable, CHARTS, *options, str(self.docs)],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def drawing(self):
        self.assertEqual(self.run_it().returncode, 0)
        return (self.docs / "benchmarks/here-echo-server.svg").read_text(encoding="utf-8")

    def test_bars(self):
        svg = self.drawing()
        line = float(re.search(r'<line x1="([\d.]+)"[^>]*var\(--ink\)', svg)[1])  # the one of 1
        bars = [
            (float(x), float(w))
            for x, w in re.findall(r'<rect x="([\d.]+)" y="(?!50")[\d.]+" width="([\d.]+)"', svg)
        ]
        (
            beast,
            copied,
            websocketpp,
        ) = bars  # 2, 1.5 and a half; memcpy is nobody's, and `large` has nothing of ours
        self.assertEqual([beast[0], copied[0]], [line, line])
        self.assertGreater(beast[1], copied[1])
        self.assertAlmostEqual(sum(websocketpp), line, delta=0.2)
        self.assertAlmostEqual(websocketpp[1], beast[1], delta=0.2)
        for words in (
            ">2.00<",
            ">1.50<",
            ">0.50<",
            ">echo server<",
            "A &amp; B, 2 CPUs",
            "prefers-color-scheme: dark",
        ):
            self.assertIn(words, svg)

    def test_page_names_who_is_faster(self):
        self.drawing()
        page = (self.docs / "benchmarks.md").read_text(encoding="utf-8")
        self.assertIn("| echo server | small | websocketpp | 0.50 |", page)
        self.assertNotIn("| Beast |", page)

    def test_check(self):
        self.assertIn("stale", self.run_it("--check").stderr)
        self.drawing()
        self.assertEqual(self.run_it("--check").returncode, 0)
        (self.docs / "benchmarks/old.svg").write_text("", encoding="utf-8")
        self.assertIn("old.svg", self.run_it("--check").stderr)
        self.drawing()
        changed = json.loads(json.dumps(RESULTS))
        changed["rows"][1]["value"] = 30
        self.write(changed, (self.docs / "benchmarks.md").read_text(encoding="utf-8"))
        self.assertIn("here-echo-server.svg", self.run_it("--check").stderr)

    def refused(self, results, problem):
        page = PAGE + "".join(f"![](benchmarks/here-{name}.svg)\n" for name in ("echo", "echo-deflate"))
        self.write(RESULTS | results, page)
        self.assertEqual(self.run_it().returncode, 0)
        said = self.run_it("--check").stderr
        self.assertIn(problem, said) if problem else self.assertEqual(said, "")

    def test_check_refuses_quick_results(self):
        self.refused({}, "")
        self.refused({"quick": True}, "here.json: measured with --quick")

    def test_check_refuses_other_echo_servers(self):
        everybody = "sansocket", "sansocket_awaited", "beast", "websocketpp", "ws", "asio", "epoll"
        for table, columns, problem in (
            ("echo", everybody, ""),
            ("echo", everybody[:-1], "here.json: echo, small: is of"),
            ("echo", (*everybody, "uws"), "here.json: echo, small: is of"),
            ("echo_deflate", ("sansocket", "beast", "ws"), ""),
            ("echo_deflate", ("sansocket", "beast"), "here.json: echo_deflate, small: is of"),
        ):
            with self.subTest(columns=columns):
                rows = [{"table": table, "row": "small", "column": column, "value": 1} for column in columns]
                self.refused({"rows": RESULTS["rows"] + rows}, problem)

    def test_chart_that_no_page_shows(self):
        self.write(RESULTS, "# Benchmarks\n\n<!-- from the results -->\n<!-- end -->\n")
        self.assertIn("does not show here-echo-server.svg", self.run_it().stderr)

    def test_quick_results_say_so(self):
        self.write(RESULTS | {"quick": True})
        self.assertIn("Short runs: rough.", self.drawing())


unittest.main()
