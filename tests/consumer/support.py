"""What the tests of this folder share: a copy of what a release holds, a repository of it, builds, and a
client for an echo server. The standard library's Python only.
"""
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
ECHO_SERVER = ROOT / "examples/readme/echo_server.cpp"
URL = "https://github.com/sansocket/sansocket.git"
SKIPPED = 77  # the tests' SKIP_RETURN_CODE
WARNINGS = """-Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wold-style-cast -Wcast-qual
    -Wnon-virtual-dtor -Wextra-semi -Wundef -Wdouble-promotion -Wswitch-enum -Werror""".split()
RELEASED = ["CMakeLists.txt", "LICENSE", "cmake", "conanfile.py", "include", "meson.build", "ports",
            "tools/vcpkg_port", "versions"]


def version():
    """The library's version, as "0.1.0"."""
    text = (ROOT / "include/sansocket/version.hpp").read_text(encoding="utf-8")
    number = int(re.search(r"^#define SANSOCKET_VERSION (\d+)", text, re.MULTILINE)[1])
    return f"{number // 10000}.{number // 100 % 100}.{number % 100}"


def fresh(folder):
    """Makes `folder`, empty."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def skip(reason):
    """Ends the test: skipped, and failed where nothing may be missing."""
    print(reason)
    sys.exit(1 if os.environ.get("CI") == "true" else SKIPPED)


def need(*programs):
    for program in programs:
        if not shutil.which(program):
            skip(f"there is no {program}")


def run(*command, **options):
    """Runs a command, and shows what it said if it fails."""
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False, timeout=240, **options)
    if done.returncode != 0:
        sys.exit(f"{done.stdout}\nfailed: {' '.join(map(str, command))}")
    return done.stdout


def release_tree(folder):
    """Copies to `folder` what takes the library in: the working tree, without tests and examples."""
    fresh(folder)
    for name in RELEASED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif (ROOT / name).exists():
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def git(folder, *arguments):
    return run("git", "-C", folder, "-c", "user.name=a", "-c", "user.email=a@localhost", "-c",
               "commit.gpgsign=false", *arguments).strip()


def repository(folder):
    """A repository of the working tree, where the release is tagged. Stands alone: it does not matter
    whether the working tree has a history."""
    need("git")
    release_tree(folder)
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", "-A", "-f")
    git(folder, "commit", "-q", "-m", "release")
    git(folder, "tag", f"v{version()}")
    return folder


def environment_with(repo):
    """The environment in which git gets `repo` where the library's own URL is asked for."""
    return dict(os.environ, GIT_CONFIG_COUNT="2", GIT_CONFIG_KEY_0=f"url.{repo.as_uri()}.insteadOf",
                GIT_CONFIG_VALUE_0=URL, GIT_CONFIG_KEY_1="protocol.file.allow", GIT_CONFIG_VALUE_1="always",
                GIT_TERMINAL_PROMPT="0")


def configure(source, build, *options, **settings):
    return run("cmake", "-S", source, "-B", build, "-G", "Ninja", *options, **settings)


def installed(tree, work, *options, **settings):
    """Installs the library in `tree`, and moves the prefix to where it was not installed to."""
    configure(tree, work / "library", f"-DCMAKE_INSTALL_PREFIX={work / 'prefix'}", "-DSANSOCKET_BUILD_TESTS=OFF",
              "-DSANSOCKET_BUILD_EXAMPLES=OFF", *options, **settings)
    run("cmake", "--install", work / "library")
    (work / "prefix").rename(work / "moved")
    return work / "moved"


def read_exactly(stream, size):
    data = stream.read(size)
    if data is None or len(data) != size:
        sys.exit(f"the server sent {data!r} and then ended")
    return data


def ask(port, text):
    """Says `text` to the WebSocket server at `port` of loopback, and returns what it answers."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall((f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
                            "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                            "Sec-WebSocket-Version: 13\r\n\r\n").encode())
        stream = connection.makefile("rb")
        status = stream.readline()
        if b" 101 " not in status:
            sys.exit(f"the server answered {status!r}")
        while stream.readline() != b"\r\n":
            pass
        payload = text.encode()
        # A text frame whose masking key is 0.
        connection.sendall(bytes([0x81, 0x80 | len(payload), 0, 0, 0, 0]) + payload)
        head = read_exactly(stream, 2)
        return read_exactly(stream, head[1] & 0x7F).decode()


def see_echo(program):
    """Starts the echo server `program` at a port that the system picks, and talks to it."""
    server = subprocess.Popen([program, "0"], stdout=subprocess.PIPE, text=True)
    try:
        line = server.stdout.readline()
        port = re.search(r":(\d+)", line)
        if not port:
            sys.exit(f"the server said {line!r}")
        answer = ask(int(port[1]), "Hello")
        if answer != "Hello":
            sys.exit(f"the server echoed {answer!r}")
        server.send_signal(signal.SIGTERM)
        if server.wait(timeout=20) != 0:
            sys.exit(f"the server ended with {server.returncode}")
    finally:
        server.kill()
        server.wait()
