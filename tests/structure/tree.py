"""What the checks of this folder share: the source tree, and the exceptions to the rules."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
INCLUDE = ROOT / "include"
TESTS = ROOT / "tests"
TEST_CASE = re.compile(r'\b(?:TEMPLATE_)?(?:TEST_CASE|SCENARIO)\w*\s*\(\s*((?:"(?:\\.|[^"\\])*"\s*)+)')


def headers(folder=INCLUDE):
    return sorted(folder.rglob("*.hpp"))


def name_of(header):
    """The path that an #include of `header` names."""
    return header.relative_to(INCLUDE).as_posix()


def read(path):
    return path.read_text(encoding="utf-8")


def without_comments(text, strings="keep"):
    """`text` with comments blanked, line by line as long as before; strings="blank" blanks those too."""
    token = re.compile(
        r"//[^\n]*|/\*.*?\*/|" + r'R"(?P<d>[^(\s]*)\(.*?\)(?P=d)"|"(?:\\.|[^"\\\n])*"' + r"|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'",
        re.DOTALL)

    def blank(match):
        found = match.group(0)
        if found.startswith("/"):
            return re.sub(r"[^\n]", " ", found)
        return found if strings == "keep" else '""' + re.sub(r"[^\n]", " ", found[2:])

    return token.sub(blank, text)


def test_names():
    """The whole names of all test cases."""
    names = set()
    for source in TESTS.rglob("*.cpp"):
        for literals in TEST_CASE.findall(read(source)):
            parts = re.findall(r'"((?:\\.|[^"\\])*)"', literals)
            names.add(re.sub(r"\\(.)", r"\1", "".join(parts)))
    return names


class Report:
    """Collects what a check finds, less the exceptions in allowed.txt."""

    def __init__(self, check):
        self.check = check
        self.problems = []
        self.allowed = {}
        for number, line in enumerate(read(pathlib.Path(__file__).parent / "allowed.txt").splitlines(), 1):
            if not line.strip() or line.startswith("#"):
                continue
            match = re.fullmatch(r"(\w+) (\S+) (\S+): (.+)", line)
            if not match:
                self.problems.append(f"allowed.txt:{number}: not 'check file item: reason'")
            elif match[1] == check:
                self.allowed[match[2], match[3]] = False

    def found(self, file, item, problem):
        if (file, item) in self.allowed:
            self.allowed[file, item] = True
        else:
            self.problems.append(f"{file}: {problem}  [{self.check} {file} {item}]")

    def finish(self, counted):
        for (file, item), used in self.allowed.items():
            if not used:
                self.problems.append(f"allowed.txt: '{self.check} {file} {item}' is no longer needed")
        for problem in self.problems:
            print(problem)
        print(f"{self.check}: {counted}, {len(self.problems)} problems")
        sys.exit(1 if self.problems else 0)
