"""An example as a process: what it prints, and how it ends."""
import re
import signal
import subprocess


class Program:
    def __init__(self, *command):
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.said = []
        for line in self.process.stdout:
            self.said.append(line)
            if match := re.search(r"listening on \w+://127\.0\.0\.1:(\d+)/", line):
                self.port = int(match[1])
                return
        raise SystemExit("it does not listen")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def end(self):
        """Waits for the end, which is a good one, and says what it printed."""
        out, _ = self.process.communicate(timeout=30)
        assert self.process.returncode == 0, self.process.returncode
        return "".join(self.said) + out
