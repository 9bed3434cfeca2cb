"""check_report.py accepts a good report, and no other."""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

CHECK = pathlib.Path(__file__).with_name("check_report.py")


class CheckReport(unittest.TestCase):
    def run_on(self, cases):
        with tempfile.TemporaryDirectory() as folder:
            report = pathlib.Path(folder, "index.json")
            report.write_text(json.dumps({"sansocket": cases}), encoding="utf-8")
            return subprocess.run([sys.executable, CHECK, report], capture_output=True, text=True, check=False,
                                  timeout=60)

    def cases(self, count=250, **odd):
        every = {f"1.1.{i}": {"behavior": "OK", "behaviorClose": "OK"} for i in range(count)}
        every["6.4.1"] = {"behavior": "NON-STRICT", "behaviorClose": "OK"}
        every["7.1.6"] = {"behavior": "INFORMATIONAL", "behaviorClose": "INFORMATIONAL"}
        every["5.1"] = {"behavior": "OK", "behaviorClose": "OK"} | odd
        return every

    def test_good(self):
        run = self.run_on(self.cases())
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertIn("253 cases: 1 INFORMATIONAL, 1 NON-STRICT, 251 OK", run.stdout)

    def test_one_case_is_bad(self):
        for key in ["behavior", "behaviorClose"]:
            for verdict in ["FAILED", "UNIMPLEMENTED", "UNCLEAN", "WRONG CODE", "FAILED BY CLIENT"]:
                run = self.run_on(self.cases(**{key: verdict}))
                self.assertEqual(run.returncode, 1)
                self.assertIn("sansocket 5.1: ", run.stdout)

    def test_too_few(self):
        self.assertEqual(self.run_on(self.cases(10)).returncode, 1)
        self.assertEqual(self.run_on({}).returncode, 1)


unittest.main()
