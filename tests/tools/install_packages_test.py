"""tools/install_packages starts and enables no server that it installs, and leaves no trace of how."""
import os
import pathlib
import subprocess
import tempfile
import unittest

TOOL = pathlib.Path(__file__).resolve().parents[2] / "tools/install_packages"

# What asks the policy on Debian: invoke-rc.d, and deb-systemd-invoke.
STAND_INS = {
    "sudo": 'exec "$@"',
    "dpkg-query": "exit 1",  # nothing is installed
    "update-rc.d": 'echo "update-rc.d $*" >>"$LOG"',
    "apt-get": """
        case "$*" in *" install "*) ;; *) exit 0 ;; esac
        for start in "--quiet nginx start 5" "nginx.service start" "haproxy start" "dbus start"; do
            if [ -x "$POLICY" ]; then "$POLICY" $start; echo "$start: $?" >>"$LOG"; fi
        done
        exit "${FAILING:-0}"
    """,
}


class InstallPackages(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        root = pathlib.Path(folder.name)
        self.policy = root / "usr/sbin/policy-rc.d"
        self.policy.parent.mkdir(parents=True)
        self.log = root / "log"
        self.log.touch()
        (root / "bin").mkdir()
        for name, text in STAND_INS.items():
            (root / "bin" / name).write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
            (root / "bin" / name).chmod(0o755)
        self.environment = os.environ | {"PATH": f"{root}/bin:{os.environ['PATH']}", "DPKG_ROOT": str(root),
                                         "POLICY": str(self.policy), "LOG": str(self.log), "TMPDIR": str(root)}

    def install(self, *packages, **environment):
        done = subprocess.run([TOOL, *packages], env=self.environment | environment, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=60)
        return done.returncode, self.log.read_text(encoding="utf-8").splitlines()

    def test_servers_are_neither_started_nor_enabled(self):
        status, log = self.install("haproxy", "nginx", "catch2")
        self.assertEqual(status, 0)
        self.assertEqual(log, ["--quiet nginx start 5: 101", "nginx.service start: 101", "haproxy start: 101",
                               "dbus start: 0", "update-rc.d haproxy disable", "update-rc.d nginx disable"])
        self.assertFalse(self.policy.exists())

    def test_nothing_is_left_when_the_installation_fails(self):
        status, log = self.install("nginx", FAILING="1")
        self.assertEqual((status, log[0]), (1, "--quiet nginx start 5: 101"))
        self.assertFalse(self.policy.exists())

    def test_a_policy_that_is_there_stays(self):
        self.policy.write_text("#!/bin/sh\nexit 104\n", encoding="utf-8")
        self.policy.chmod(0o755)
        status, log = self.install("nginx")
        self.assertEqual((status, log[-2:]), (0, ["dbus start: 104", "update-rc.d nginx disable"]))
        self.assertEqual(self.policy.read_text(encoding="utf-8"), "#!/bin/sh\nexit 104\n")

    def test_without_a_server_there_is_no_policy(self):
        self.assertEqual(self.install("catch2"), (0, []))


if __name__ == "__main__":
    unittest.main()
