"""Records a conversation, and looks at what the program that prints recordings says of it.

usage: check_program.py RECORD_CONVERSATION TRACE
"""
import pathlib
import subprocess
import sys
import tempfile

EXPECTED = [
    "server, recorded by version ",
    "  0.001500 receive 161 bytes",
    "< GET /chat HTTP/1.1",
    "is open",
    "> HTTP/1.1 101 Switching Protocols",
    '< text fragment, 3 bytes, masked: "hel"',
    '< Ping, 1 bytes, masked: "?"',
    '< continuation, 8 bytes, masked: "lo \\x22all\\x22"',
    'message: "hello \\x22all\\x22"',
    '> Pong, 1 bytes: "?"',
    '> text, 11 bytes: "hello \\x22all\\x22"',
    "< Close, 6 bytes, masked: 1001 gone",
    "is closing: the peer started the closing handshake",
    "> Close, 2 bytes: 1001",
    "is closed: the peer started the closing handshake",
    "calls, replayed exactly",
]


def main():
    record, trace = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        tape = pathlib.Path(folder) / "conversation.trace"
        subprocess.run([record, tape], check=True, timeout=60)
        shown = subprocess.run([trace, tape], capture_output=True, text=True, timeout=60)
        print(shown.stdout)
        assert shown.returncode == 0, shown
        at = 0
        for line in EXPECTED:
            found = shown.stdout.find(line, at)
            assert found >= 0, f"not in what follows: {line}"
            at = found + len(line)
        whole = tape.read_bytes()
        for damaged, says in ((whole[:-1], "ends in the middle"), (b"#" + whole[1:], "is no recording"),
                              (whole[:-1] + bytes([whole[-1] ^ 1]), "differs from what was recorded"),
                              (whole + b"\xff", "is damaged")):
            tape.write_bytes(damaged)
            shown = subprocess.run([trace, tape], capture_output=True, text=True, timeout=60)
            assert shown.returncode == 1 and says in shown.stdout, shown
        missing = subprocess.run([trace, tape.with_name("none")], capture_output=True, timeout=60)
        assert missing.returncode == 2, missing


main()
