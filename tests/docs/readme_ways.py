"""The three ways in that README.md tells work: its files and its commands, taken from the page as they
stand there, run in an empty folder each, until an echo server answers.

What is remote has a stand-in that is local: the project's repository is a clone of this tree, tagged
with its version; curl copies from this tree; apt-get and sudo check that the packages named are
installed; and vcpkg is a repository whose toolchain file finds this library, installed. The manifest,
its configuration and the port that they name are only looked at.

usage: readme_ways.py [WAY...]      header, fetch_content, vcpkg; with a Python that has python3-websockets
"""
import asyncio
import json
import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys
import tempfile

import websockets

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests/release"))
from check_snippets import MARKER, blocks_of  # noqa: E402
from scratch import copy_tree, repository  # noqa: E402

README = ROOT / "README.md"
PROJECT = "https://github.com/sansocket/sansocket"
RAW = "https://raw.githubusercontent.com/sansocket/sansocket"
RUN = re.compile(r"<!-- run: (\w+) -->")
WAYS = ["header", "fetch_content", "vcpkg"]

SUDO = '#!/bin/sh\nexec "$@"\n'
APT_GET = """#!/bin/sh
[ "$*" = update ] && exit
[ "$1 $2" = "install -y" ] || { echo "apt-get $*: not 'install -y'" >&2; exit 1; }
shift 2
for package; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$' ||
        { echo "README.md names $package, which is not installed" >&2; exit 1; }
done
"""
# curl -fsSL --create-dirs -o FILE URL
CURL = f"""#!/bin/sh
[ "$1 $2 $3" = "-fsSL --create-dirs -o" ] && [ $# = 5 ] || {{ echo "curl $*: not as expected" >&2; exit 1; }}
path=${{5#{RAW}/v"$VERSION"/}}
[ "$path" != "$5" ] || {{ echo "$5 is nothing of version $VERSION" >&2; exit 1; }}
[ -f "$TREE/$path" ] || {{ echo "there is no $path; tools/amalgamate makes it" >&2; exit 1; }}
mkdir -p "$(dirname "$4")" && cp "$TREE/$path" "$4"
"""


def fail(problem):
    sys.exit(f"README.md: {problem}")


def call(*command, **options):
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=300, **options)
    if done.returncode:
        fail(f"'{' '.join(map(str, command))[-300:]}' fails:\n{done.stdout}")
    return done.stdout


def version():
    text = (ROOT / "include/sansocket/version.hpp").read_text(encoding="utf-8")
    number = int(re.search(r"#define SANSOCKET_VERSION (\d+)", text)[1])
    return f"{number // 10000}.{number // 100 % 100}.{number % 100}"


def headings():
    """The numbers of the lines that are headings."""
    numbers, in_block = [], False
    for number, line in enumerate(README.read_text(encoding="utf-8").splitlines(), 1):
        in_block ^= line.startswith("```")
        if line.startswith("#") and not in_block:
            numbers.append(number)
    return numbers


def read_page():
    """What is to be run -> (its text, the files shown under the same heading)."""
    runs, files, heading = {}, {}, None
    for number, before, _, text in blocks_of(README):
        under = max(n for n in headings() if n < number)
        if under != heading:
            heading, files = under, {}
        if (marker := MARKER.fullmatch(before)) and not marker[2]:
            files[pathlib.Path(marker[1]).name] = text + "\n"
        elif marker := RUN.fullmatch(before):
            if marker[1] in runs:
                fail(f"two blocks are {before}")
            runs[marker[1]] = text, dict(files)
    if set(runs) != {*WAYS, "programs", "tools"}:
        fail(f"has blocks to run for {sorted(runs)}")
    return runs


def script(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)


def stand_ins(work):
    """Makes what is remote, and returns the environment that leads there and nowhere else."""
    for name, text in {"sudo": SUDO, "apt-get": APT_GET, "curl": CURL}.items():
        script(work / "bin" / name, text)
    copy_tree(work / "sansocket")
    repository(work / "sansocket", f"v{version()}")
    toolchain = f'list(APPEND CMAKE_PREFIX_PATH "{work}/prefix")\n'
    script(work / "vcpkg/bootstrap-vcpkg.sh", "#!/bin/sh\n")
    script(work / "vcpkg/scripts/buildsystems/vcpkg.cmake", toolchain)
    repository(work / "vcpkg")
    for name in ["sansocket", "vcpkg"]:  # with and without .git at the end
        (work / f"{name}.git").symlink_to(work / name / ".git")
    rewritten = [(f"url.{work}/sansocket.insteadOf", PROJECT), (f"url.{work}/vcpkg.insteadOf",
                                                              "https://github.com/microsoft/vcpkg")]
    environment = {k: v for k, v in os.environ.items() if not re.match(r"CMAKE_|CXX|CC$|MAKEFLAGS", k)}
    environment |= {"PATH": f"{work}/bin:{os.environ['PATH']}", "TREE": str(ROOT), "VERSION": version(),
                    "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_ALLOW_PROTOCOL": "file",
                    "GIT_CONFIG_COUNT": str(len(rewritten))}
    for i, (key, value) in enumerate(rewritten):
        environment |= {f"GIT_CONFIG_KEY_{i}": key, f"GIT_CONFIG_VALUE_{i}": value}
    return environment


def install(work):
    options = [f"-DSANSOCKET_{part}=OFF" for part in ["BUILD_TESTS", "BUILD_EXAMPLES", "ZLIB", "OPENSSL"]]
    call("cmake", "-S", work / "sansocket", "-B", work / "installing", *options)
    call("cmake", "--install", work / "installing", "--prefix", work / "prefix")


def check_manifest(folder):
    """vcpkg's own part, which is not run: the manifest names a port that is there, and its feature."""
    manifest = json.loads((folder / "vcpkg.json").read_text(encoding="utf-8"))
    overlays = json.loads((folder / "vcpkg-configuration.json").read_text(encoding="utf-8"))["overlay-ports"]
    for dependency in manifest["dependencies"]:
        found = [p for o in overlays if (p := folder / o / dependency["name"] / "vcpkg.json").is_file()]
        if not found:
            fail(f"no port {dependency['name']} is in {overlays}")
        port = json.loads(found[0].read_text(encoding="utf-8"))
        if missing := set(dependency.get("features", [])) - set(port.get("features", {})):
            fail(f"the port has no feature {missing}")
        if not (found[0].parent / "portfile.cmake").is_file():
            fail("the port has no portfile.cmake")


async def talk(port):
    async with websockets.connect(f"ws://127.0.0.1:{port}/", max_size=None) as ws:
        for message in ["Hello", "", "\u00e9" * 70000, b"\x00\xff" * 100]:
            await ws.send(message)
            assert await ws.recv() == message, "the echo differs"


class Server:
    """An echo server at port 0, however the page calls it."""

    def __init__(self, command, folder):
        command = [part if part != "8080" else "0" for part in command]
        self.process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
        self.line = self.process.stdout.readline().strip()
        port = re.search(r":(\d+)$", self.line)
        if not port:
            self.process.kill()
            fail(f"the server says '{self.line}'")
        self.port = port[1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            if self.process.wait(20):
                fail(f"the server ends with {self.process.returncode}")
        finally:
            self.process.kill()


def transcript(text):
    """(command, what it prints) of each line that begins with $."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        yield shlex.split(command.rstrip(" &")), output.strip()


def check_programs(text, folder):
    """What the page says that server and client print."""
    (server_command, greeting), (client_command, said) = transcript(text)
    with Server(server_command, folder) as server:
        if server.line.replace(server.port, "8080") != greeting:
            fail(f"the server prints '{server.line}'")
        client = [part.replace("8080", server.port) for part in client_command]
        if (printed := call(*client, cwd=folder).strip()) != said:
            fail(f"the client prints:\n{printed}")


def check_tools(text):
    run = (ROOT / ".ci/run").read_text(encoding="utf-8")
    for line in text.splitlines():
        tool = line.split()[0]
        if not os.access(ROOT / tool, os.X_OK) or tool not in run:
            fail(f"{tool} is no program that .ci/run runs")


def build(way, text, files, work, environment):
    folder = work / "ways" / way
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_text(content, encoding="utf-8")
    call("bash", "-euo", "pipefail", "-c", text, cwd=folder, env=environment)
    return folder


def main():
    runs = read_page()
    programs = runs["programs"][1]
    check_tools(runs["tools"][0])
    with tempfile.TemporaryDirectory() as temporary:
        work = pathlib.Path(temporary)
        environment = stand_ins(work)
        install(work)
        for way in sys.argv[1:] or WAYS:
            text, files = runs[way]
            folder = build(way, text, programs | files, work, environment)
            with Server(["./echo_server", "8080"], folder) as server:
                asyncio.run(asyncio.wait_for(talk(server.port), 30))
            if way == "header":
                line = next(l for l in text.splitlines() if l.startswith("g++"))
                call("bash", "-c", line.replace("echo_server", "echo_client"), cwd=folder, env=environment)
                check_programs(runs["programs"][0], folder)
            if way == "vcpkg":
                check_manifest(folder)
            print(f"{way}: an echo server runs", flush=True)


main()
