"""Makes a page of the reference for each public header, and the index of all names.

The text of a page is the header's own: its first comment, its docstrings, and the comments that stand
alone between declarations and speak of those that follow.
"""
import html
import json
import re

import model
from declarations import signature
from prose import comment_html, description, inline

SOURCE = "https://github.com/sansocket/sansocket/blob/main/"
ROOTS = {
    "sansocket": "The protocol, without I/O. Everything is in namespace `sansocket`.",
    "sansocket/wire": "Bytes to values and back, no state between calls; errors, roles, time.",
    "sansocket/machine": "One state machine a file.",
    "sansocket_asio": "The adapter on Asio.",
    "sansocket_asio/server": "The server's parts.",
    "sansocket_openssl": "TLS for the adapter.",
    "sansocket_zlib": "The codec of permessage-deflate, over zlib.",
    "sansocket_trace": "A connection that writes down what it is told, and the replay of that.",
    "sansocket_simulation": "A simulated network, to test programs without sockets.",
}
COMMENT_LINES = re.compile(r"(?:^[ \t]*//(?!/)[^\n]*\n)+(?=[ \t]*\n|[ \t]*///)", re.MULTILINE)


def page_of(header):
    return "reference/" + header.name.removesuffix(".hpp") + ".md"


def anchor(entity):
    scope = entity.qualified.split("::")
    return (
        re.sub(r"[^\w.~=<>+*!-]", "-", ".".join(scope[1:] if len(scope) > 1 else scope))
        .replace("<", "lt")
        .replace(">", "gt")
    )


def raw(text):
    """HTML that Markdown leaves alone."""
    return f'<div class="doc">{text}</div>' if text else ""


class Page:
    """The reference of one header."""

    def __init__(self, header, entities, bases):
        self.header, self.entities, self.bases, self.lines = header, entities, bases, []
        name = header.name
        self.put(
            f"# {name.rpartition('/')[2]}",
            raw(comment_html(header.intro())),
            f"```cpp\n#include <{name}>\n```",
            f'<p class="source"><a href="{SOURCE}include/{name}">{name}</a></p>',
        )
        self.notes = [
            (header.line_of(m.start()), header.line_of(m.end()), m[0])
            for m in COMMENT_LINES.finditer(header.text)
            if m.start() > 0
        ]
        self.scope(entities, 2)

    def put(self, *blocks):
        for block in blocks:
            if block:
                self.lines += [block, ""]

    def scope(self, entities, level, within=None):
        """Types and functions in the order of the header; what has one name stands together."""
        done, special, last = set(), [], within.first if within else 0
        for entity in entities:
            if not has_place(entity):
                special.append(entity)
                continue
            if entity.qualified in done:
                continue
            same = self.alike(entities, entity)
            if len(same) > 1:
                self.note(last, entity.first, entity)
                self.put(
                    raw(
                        "".join(
                            f'<span id="{name}"></span>' for name in dict.fromkeys(anchor(e) for e in same)
                        )
                        + description(entity)
                    ),
                    "```cpp\n" + "\n".join(signature(e) for e in same) + "\n```",
                )
                done |= {e.qualified for e in same}
                last = same[-1].first
                continue
            group = [e for e in entities if e.qualified == entity.qualified and has_place(e)]
            done.add(entity.qualified)
            self.note(last, entity.first, entity)
            last = entity.first
            if within and entity.kind == "variable":
                continue
            self.heading(entity, level)
            self.overloads(group)
            if entity.kind == "enum":
                self.values(entity)
            elif entity.kind in model.TYPES:
                self.fields(entity)
                self.scope(entity.members, min(level + 1, 4), entity)
        if special:
            self.put(
                '<p class="label">Also</p>', "```cpp\n" + "\n".join(signature(e) for e in special) + "\n```"
            )

    @staticmethod
    def alike(entities, entity):
        """`entity`, and the others of another name that its docstring speaks of, between @{ and @}."""
        text = description(entity)
        same = [
            e
            for e in entities
            if e.kind == entity.kind in ("function", "typedef") and has_place(e) and description(e) == text
        ]
        others = {e.qualified for e in entities if e not in same}
        return (
            same if len({e.name for e in same}) > 1 and not any(e.qualified in others for e in same) else []
        )

    def note(self, after, before, entity):
        """A comment that stands alone between two declarations."""
        for first, last, text in self.notes:
            between = self.header.code[self.header.starts[last - 1] : self.header.starts[before - 1]]
            if after < first and last <= before and not between.strip() and "//" not in entity.declaration:
                words = re.sub(r"^[ \t]*// ?", "", text, flags=re.MULTILINE)
                if words.strip():
                    self.put(f'<div class="note">{comment_html(words)}</div>')

    def heading(self, entity, level):
        self.put(f"{'#' * level} {html.escape(entity.name, quote=False)} {{#{anchor(entity)}}}")

    def overloads(self, group):
        """Signatures that share a docstring, and the docstring; then the next."""
        while group:
            text = description(group[0])
            n = next((i for i, e in enumerate(group) if description(e) != text), len(group))
            self.put(
                "```cpp\n" + "\n\n".join(signature(e) for e in group[:n]) + "\n```"
                if n > 1 and any("\n" in signature(e) for e in group[:n])
                else "```cpp\n" + "\n".join(signature(e) for e in group[:n]) + "\n```"
            )
            self.put(raw(text))
            group = group[n:]

    def fields(self, entity):
        base = self.bases.get(entity.qualified)
        if base:
            self.put(
                raw("<p>Has all that " + ", ".join(f"<code>{name}</code>" for name in base) + " has.</p>")
            )
        fields = [e for e in entity.members if e.kind == "variable"]
        if fields:
            self.put(self.definitions((e, signature(e).removesuffix(";")) for e in fields))

    def values(self, enum):
        rows = error_rows(self.header) if enum.name == "errc" else {}
        if rows:
            self.put(error_table(enum, rows))
        elif any(e.documented for e in enum.members):
            self.put(self.definitions((e, e.declaration) for e in enum.members))
        else:
            self.put(
                raw(
                    "<p>"
                    + ", ".join(
                        f'<code id="{anchor(e)}">{html.escape(e.declaration)}</code>' for e in enum.members
                    )
                    + "</p>"
                )
            )

    @staticmethod
    def definitions(pairs):
        out = ""
        for entity, text in pairs:
            code = re.sub(
                rf"(?<!::)\b{entity.name}\b(?!::)", r"<b>\g<0></b>", html.escape(text, quote=False), count=1
            )
            out += f'<dt id="{anchor(entity)}"><code>{code}</code></dt><dd>{description(entity)}</dd>'
        return f'<dl class="fields">{out}</dl>'


def error_rows(header):
    """errc -> (kind, close code, sentence), from the table that the library itself uses."""
    row = re.compile(r'\{errc::(\w+), error_kind::(\w+), close_code::(\w+),\s*"([^"]*)"\}')
    return {m[1]: m.groups()[1:] for m in row.finditer(header.text)}


def error_table(enum, rows):
    sections = dict(
        re.findall(r"^    (\w+)(?: = 0)?,\s*// ((?:RFC \d+ )?[\d.]+)$", enum.header.text, re.MULTILINE)
    )
    missing = [value.name for value in enum.members if value.name not in rows]
    if missing:
        raise SystemExit(f"the table of errc has no {missing}")
    out = "<tr><th>errc</th><th>what it says</th><th>kind</th><th>close code</th><th>section</th></tr>"
    for value in enum.members:
        kind, code, sentence = rows[value.name]
        out += (
            f'<tr id="{anchor(value)}"><td><code>{value.name}</code></td>'
            f"<td>{html.escape(sentence)}</td><td>{kind}</td>"
            f"<td>{'' if code == 'normal' else code}</td><td>{sections.get(value.name, '')}</td></tr>"
        )
    return f'<div class="doc errors"><table class="plain">{out}</table></div>'


def bases_of(xml):
    """class -> its public bases outside detail."""
    import xml.etree.ElementTree as ET

    found = {}
    for file in list(xml.glob("class*.xml")) + list(xml.glob("struct*.xml")):
        for node in ET.parse(file).getroot().iter("compounddef"):
            names = [
                re.sub(r"\s*<.*", "", b.text)
                for b in node.findall("basecompoundref")
                if b.get("prot") == "public" and not re.match(r"std::|detail|.*::detail", b.text)
            ]
            if names:
                found[node.findtext("compoundname")] = names
    return found


def has_place(entity):
    """Whether the pages have an anchor for it: not for special members, which stand together."""
    return entity.documented or entity.shares or not model.excused(entity)


def folder_of(name):
    return name.rpartition("/")[0]


def index(headers, by_header, folders):
    """The reference's first page."""
    lines = [
        "# Reference",
        "",
        "A page for each header, made from its comments. [All names](names.md) has every name in"
        " alphabetical order.",
        "",
    ]
    for folder in folders:
        lines += [
            f"## {folder}",
            "",
            raw("<p>" + inline(ROOTS.get(folder, "")) + "</p>"),
            "",
            "| header | names |",
            "|---|---|",
        ]
        for name in sorted(by_header):
            if folder_of(name) == folder:
                page = page_of(headers[name]).removeprefix("reference/")
                places = {e.name: f"{page}#{anchor(e)}" for e in by_header[name] if "operator" not in e.name}
                lines.append(
                    f"| [{name.rpartition('/')[2]}]({page}) | "
                    + ", ".join(f"[`{n}`]({place})" for n, place in places.items())
                    + " |"
                )
        lines.append("")
    return "\n".join(lines)


def names_page(entities):
    """All names but those of fields and values, in alphabetical order."""
    letters = {}
    for e in sorted(model.walk(entities), key=lambda e: (e.name.lower(), e.qualified)):
        if (
            e.kind not in ("variable", "enumvalue")
            and has_place(e)
            and re.match(r"[A-Za-z]", e.name)
            and "operator" not in e.name
        ):
            row = (
                e.name,
                "::".join(e.qualified.split("::")[:-1]),
                f"{page_of(e.header).removeprefix('reference/')}#{anchor(e)}",
            )
            rows = letters.setdefault(e.name[0].upper(), [])
            if row not in rows:
                rows.append(row)
    out = ["# All names", ""]
    for letter, rows in letters.items():
        out += [f"## {letter}", ""]
        out += [
            f"- [`{name}`]({link})" + (f" of `{scope}`" if scope else "") for name, scope, link in rows
        ] + [""]
    return "\n".join(out)


def write(xml, pages):
    """Writes the pages below `pages`, and names.json beside it, for links. Returns the navigation."""
    headers, entities = model.load(xml)
    problems = list(model.undocumented(entities)) + list(model.unseen(entities))
    if problems:
        raise SystemExit("\n".join(problems))
    by_header = {}
    for entity in entities:
        by_header.setdefault(entity.header.name, []).append(entity)
    folders = list(ROOTS) + sorted({folder_of(name) for name in by_header} - set(ROOTS))
    bases = bases_of(xml)
    for name, of_it in by_header.items():
        target = pages / page_of(headers[name])
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("\n".join(Page(headers[name], of_it, bases).lines), encoding="utf-8")
    (pages / "reference/index.md").write_text(index(headers, by_header, folders), encoding="utf-8")
    (pages / "reference/names.md").write_text(names_page(entities), encoding="utf-8")
    names = [
        (e.qualified, e.kind, page_of(e.header), anchor(e)) for e in model.walk(entities) if has_place(e)
    ]
    (pages.parent / "names.json").write_text(json.dumps(names), encoding="utf-8")
    nav = [{"Overview": "reference/index.md"}, {"All names": "reference/names.md"}]
    for folder in folders:
        nav.append(
            {
                folder: [
                    {name.rpartition("/")[2]: page_of(headers[name])}
                    for name in sorted(by_header)
                    if folder_of(name) == folder
                ]
            }
        )
    return nav
