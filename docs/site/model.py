"""The public names of include/, from doxygen's XML, with their declarations as the headers spell them.

What is public: namespace members outside `detail`, and their public members. Each has a docstring, but

- what is `= default` or `= delete`, assignment and destructors: the class or its constructor speaks for
  them;
- an overload that stands right behind one of the same name that has one, with no line between;
- enumerators of which none has one: the docstring of their enum speaks of all.
"""
import pathlib
import re
import sys
import xml.etree.ElementTree as ET

ROOT = pathlib.Path(__file__).resolve().parents[2]
INCLUDE = ROOT / "include"
sys.path.insert(0, str(ROOT / "tests/structure"))
from tree import without_comments  # noqa: E402

TYPES = ("class", "struct", "union")
# Column 0, for nothing in a namespace is indented: what doxygen has to have seen.
DEFINED = re.compile(
    r"^(?:class|struct|union|enum class|concept|using)\s+(\w+)\b(?!\s*;|::)|^template <[^;{]*?>\s*"
    r"(?:requires[^\n]*\n)?(?:class|struct|concept)\s+(\w+)\b(?![\w\s]*[;<]|::)",
    re.MULTILINE,
)
DETAIL = re.compile(r"^namespace detail \{.*?^\}  // namespace detail", re.MULTILINE | re.DOTALL)


class Header:
    """A file of include/: its text, and the same with comments and directives blanked."""

    def __init__(self, name, without=None):
        self.name = name
        self.text = (INCLUDE / name).read_text(encoding="utf-8")
        text = without.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), self.text) if without else self.text
        code = without_comments(text)
        self.code = re.sub(
            r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda m: re.sub(r"[^\n]", " ", m[0]), code, flags=re.MULTILINE
        )
        self.starts = [0] + [m.end() for m in re.finditer("\n", self.text)]

    def line_of(self, offset):
        return self.text.count("\n", 0, offset) + 1

    def intro(self):
        """The lines of the comment that the header begins with, without the file's name."""
        lines = []
        for line in self.text.splitlines():
            if not line.startswith("//"):
                break
            lines.append(line[3:])
        return "\n".join(lines[1:]).strip("\n")


class Entity:
    """A public name: a type, concept, function, variable, alias, enum or enumerator."""

    def __init__(self, kind, qualified, header, line, node):
        self.kind, self.qualified, self.header, self.line = kind, qualified, header, line
        self.name = qualified.rpartition("::")[2]
        self.brief, self.detail = node.find("briefdescription"), node.find("detaileddescription")
        self.members = []
        self.declaration, self.first, self.last = "", line, line
        self.shares = None  # the entity whose docstring is this one's too

    @property
    def documented(self):
        text = "".join(self.brief.itertext()) + "".join(self.detail.itertext())
        return bool(text.strip())

    def locate(self):
        """Finds the declaration, from the line that doxygen gives."""
        if self.kind == "define":
            self.declaration = (
                self.header.text[self.header.starts[self.line - 1] :]
                .split("\n", 1)[0]
                .split("//")[0]
                .rstrip()
            )
            return
        code, name = self.header.code, re.escape(self.name)
        start = self.header.starts[self.line - 1]
        pattern = {"function": name + r"\s*\(", "friend": name + r"\s*\("}.get(
            self.kind, rf"(?<!\w){name}(?!\w)"
        )
        found = re.compile(pattern).search(code, start)
        if not found:
            raise SystemExit(f"{self.header.name}:{self.line}: no declaration of {self.qualified}")
        begin = start_of(code, found.start())
        end = end_of(code, found.end() - (self.kind in ("function", "friend")), self.kind)
        self.first, self.last = self.header.line_of(begin), self.header.line_of(end)
        self.declaration = " ".join(code[begin:end].split())


def start_of(code, at):
    """Where the declaration begins whose name is at `at`: behind the last one's end."""
    depth = 0
    while at > 0:
        c = code[at - 1]
        if c in ")]" or (c == ">" and code[at - 2] not in "-="):
            depth += 1
        elif c in "([" or c == "<":
            depth -= 1
        elif depth <= 0 and (
            c in ";{}" or (c == ":" and re.search(r"\b(public|private|protected)$", code[: at - 1]))
        ):
            break
        at -= 1
    return at + len(code[at:]) - len(code[at:].lstrip())


def end_of(code, at, kind):
    """Where it ends: before its body, its initializers, or its semicolon."""
    depth = 0
    while at < len(code):
        c = code[at]
        if c in "([":
            depth += 1
        elif c in ")]":
            depth -= 1
        elif c == "{" and depth == 0 and kind in ("concept", "typedef"):
            at = code.index("}", at)
        elif c == "{" and depth == 0 and kind == "variable":
            depth += 1
        elif c == "}" and kind == "variable":
            depth -= 1
        elif depth == 0 and (
            c in ";{"
            or (c == ":" and "::" not in code[at - 1 : at + 2] and kind != "concept" and kind != "variable")
        ):
            break
        at += 1
    return at


def is_detail(name):
    return "detail" in name.split("::") or name.split("::")[0] == "std"


def load(xml):
    """(name -> Header, the entities of namespaces) from a folder of doxygen's XML."""
    compounds = {}
    for file in sorted(pathlib.Path(xml).glob("*.xml")):
        if file.name.startswith(("class", "struct", "union", "concept", "namespace")) or "_8hpp" in file.name:
            for node in ET.parse(file).getroot().iter("compounddef"):
                compounds[node.findtext("compoundname")] = node
    headers, top, made = {}, [], {}

    def header(name):
        if name not in headers:
            headers[name] = Header(name)
        return headers[name]

    def make(kind, qualified, node):
        place = node.find("location")
        if place is None or not (INCLUDE / place.get("file")).is_file():
            return None
        entity = Entity(kind, qualified, header(place.get("file")), int(place.get("line")), node)
        entity.locate()
        return entity

    for name, node in sorted(compounds.items()):
        if (
            node.get("kind") in TYPES + ("concept",)
            and node.get("prot") in (None, "public")
            and not is_detail(name)
        ):
            made[name] = make(node.get("kind"), name, node)
    for name, node in compounds.items():
        if is_detail(name) or not (name in made or node.get("kind") in ("namespace", "file")):
            continue
        into = made[name].members if name in made else top
        for member in node.iter("memberdef"):
            if (node.get("kind") == "file") != (member.get("kind") == "define"):
                continue  # else a namespace's members would be listed twice
            if member.get("kind") == "friend" and not member.findtext("argsstring"):
                continue  # a class, which it names and does not declare
            if member.get("prot") == "public" and (
                entity := make(member.get("kind"), qualified_name(name, member), member)
            ):
                if re.search(rf"[\w>]::{re.escape(entity.name)}\s*\(", entity.declaration):
                    continue  # a body whose declaration doxygen did not recognize: a private one's
                into.append(entity)
                entity.members = [enumerator(entity, value) for value in member.findall("enumvalue")]
    for name, entity in made.items():
        if entity is not None:
            outer = made.get(name.rpartition("::")[0])
            (outer.members if outer else top).append(entity)
    for entities in [top] + [e.members for e in walk(top) if e.kind in TYPES]:
        entities.sort(key=lambda e: (e.header.name, e.first))
        share(entities)
    return headers, top


def qualified_name(scope, member):
    name = member.findtext("name")
    return name if member.get("kind") == "define" else f"{scope}::{name}"


def enumerator(enum, node):
    value = Entity("enumvalue", f"{enum.qualified}::{node.findtext('name')}", enum.header, enum.line, node)
    code = enum.header.code
    body = code.index("{", enum.header.starts[enum.line - 1])
    found = re.compile(rf"[{{,\s]{value.name}\s*[,}}=]").search(code, body)
    value.first = value.last = enum.header.line_of(found.start() + 1)
    value.declaration = value.name + (
        node.findtext("initializer") and " " + node.findtext("initializer") or ""
    )
    return value


def share(entities):
    """Gives overloads that stand together the docstring of the first of them."""
    for before, entity in zip(entities, entities[1:]):
        together = (
            before.header is entity.header
            and "\n\n"
            not in entity.header.text[
                entity.header.starts[before.last - 1] : entity.header.starts[entity.first - 1]
            ]
        )
        if (
            not entity.documented
            and not excused(entity)
            and entity.name == before.name
            and entity.kind == before.kind
            and together
        ):
            entity.shares = before.shares or before


def walk(entities):
    for entity in entities:
        yield entity
        yield from walk(entity.members)


def excused(entity):
    if entity.kind in ("function", "friend"):
        return (
            entity.name.startswith("~")
            or re.match(r"operator\s*=$", entity.name)
            or re.search(r"=\s*(default|delete)$", entity.declaration)
        )
    return False


def undocumented(entities):
    """What lacks a docstring, as lines for a person."""
    for entity in walk(entities):
        if entity.kind == "enum":
            for value in entity.members:
                if not value.documented and any(other.documented for other in entity.members):
                    yield f"include/{entity.header.name}:{value.first}: {value.qualified} is not documented"
        if entity.kind == "enumvalue" or entity.documented or excused(entity):
            continue
        if not (entity.shares and entity.shares.documented):
            yield f"include/{entity.header.name}:{entity.first}: {entity.qualified} is not documented"


def unseen(entities):
    """Types, concepts and aliases that stand in a header, but not among the entities."""
    known = {(entity.header.name, entity.name) for entity in walk(entities)}
    for path in sorted(INCLUDE.rglob("*.hpp")):
        name = path.relative_to(INCLUDE).as_posix()
        if "/detail/" in name:
            continue
        code = Header(name, without=DETAIL).code
        for match in DEFINED.finditer(code):
            if (name, found := match[1] or match[2]) not in known:
                yield f"include/{name}:{code.count(chr(10), 0, match.start()) + 1}: doxygen has not seen {found}"
