"""Comments and docstrings as HTML."""
import html
import re

QUALIFIED = re.compile(r"(?<![\w:])[a-z_]\w*(?:::~?\w+)+(?:\(\))?")
BLOCKS = ("itemizedlist", "orderedlist", "table", "parameterlist", "simplesect", "verbatim")


def escaped(text):
    """Plain text as HTML, with names that are qualified as code."""
    return QUALIFIED.sub(lambda m: f"<code>{m[0]}</code>", html.escape(text, quote=False))


def inline(text):
    """A comment's text as HTML: `code` and **strong**."""
    parts = re.split(r"`([^`]+)`", text)
    out = "".join(
        f"<code>{html.escape(part, quote=False)}</code>" if i % 2 else escaped(part)
        for i, part in enumerate(parts)
    )
    return re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", out)


def comment_html(text):
    """A comment's paragraphs; lines that are indented are kept as they stand."""
    out = []
    for block in re.split(r"\n[ \t]*\n", text.strip("\n")):
        lines = block.split("\n")
        shared = min(len(line) - len(line.lstrip()) for line in lines)
        if shared == 0:
            shared = min(
                (len(line) - len(line.lstrip()) for line in lines if line.startswith("  ")), default=0
            )
        while lines:
            kept = lines[0].startswith("  ")
            n = next((i for i, line in enumerate(lines) if line.startswith("  ") != kept), len(lines))
            if kept:
                if out and out[-1].startswith("<pre>"):  # a blank line within
                    out[-1] = out[-1][: -len("</code></pre>")] + "&#10;&#10;"
                else:
                    out.append("<pre><code>")
                out[-1] += (
                    "&#10;".join(html.escape(line[shared:], quote=False) for line in lines[:n])
                    + "</code></pre>"
                )
            else:
                out.append("<p>" + inline(" ".join(lines[:n])) + "</p>")
            lines = lines[n:]
    return "".join(out)


def listed(text):
    """A list where text is one: of errors, each with what it means."""
    items = re.split(r";\s+(?=<code>errc::|or an error|or <code>)", text)
    if len(items) < 4:
        return f"<p>{text}</p>"
    lead, found, first = items[0].partition("<code>errc::")
    rest = [found + first] + items[1:]
    return (
        (f"<p>{lead}</p>" if lead.strip() else "")
        + "<ul>"
        + "".join(f"<li>{item.strip()}</li>" for item in rest)
        + "</ul>"
    )


def content(node):
    """The HTML of what stands in a node of doxygen's."""
    out = escaped(node.text or "")
    for child in node:
        out += element(child) + escaped(child.tail or "")
    return out


def plain(node):
    return html.escape("".join(node.itertext()), quote=False)


def element(node):
    tag = node.tag
    if tag == "para":
        return paragraphs(node)
    if tag == "computeroutput":
        return f"<code>{plain(node)}</code>"
    if tag == "ref":  # doxygen takes words for names; those that can be nothing else stay
        text = plain(node)
        return f"<code>{text}</code>" if re.search(r"_|::|\(", text) else text
    if tag in ("bold", "emphasis"):
        name = {"bold": "strong", "emphasis": "em"}[tag]
        return f"<{name}>{content(node)}</{name}>"
    if tag in ("itemizedlist", "orderedlist"):
        name = "ul" if tag == "itemizedlist" else "ol"
        return f"<{name}>" + "".join(f"<li>{content(item)}</li>" for item in node) + f"</{name}>"
    if tag == "table":
        rows = ["".join(cell(entry) for entry in row.findall("entry")) for row in node.findall("row")]
        return '<table class="plain">' + "".join(f"<tr>{row}</tr>" for row in rows) + "</table>"
    if tag == "ulink":
        return f'<a href="{node.get("url")}">{content(node)}</a>'
    if tag == "parameterlist":
        return parameters(node)
    if tag == "simplesect" and node.get("kind") == "return":
        return (
            '<div class="returns"><p class="label">Returns</p>' + "".join(element(p) for p in node) + "</div>"
        )
    if tag == "verbatim":
        return f"<pre><code>{plain(node)}</code></pre>".replace("\n", "&#10;")
    if tag in ("ndash", "mdash", "linebreak"):
        return {"ndash": "–", "mdash": "—", "linebreak": "<br>"}[tag]
    raise SystemExit(f"reference.py does not know doxygen's <{tag}> {node.attrib}")


def cell(entry):
    name = "th" if entry.get("thead") == "yes" else "td"
    return f"<{name}>" + "".join(content(p) for p in entry.findall("para")) + f"</{name}>"


def paragraphs(para):
    """A para of doxygen's may hold blocks, which no <p> may."""
    out, run = [], escaped(para.text or "")
    for child in para:
        if child.tag in BLOCKS:
            out += [listed(run.strip())] * bool(run.strip()) + [element(child)]
            run = escaped(child.tail or "")
        else:
            run += element(child) + escaped(child.tail or "")
    return "".join(out + [listed(run.strip())] * bool(run.strip()))


def parameters(node):
    label = {"param": "Parameters", "templateparam": "Template parameters", "exception": "Throws"}[
        node.get("kind")
    ]
    items = []
    for item in node.findall("parameteritem"):
        name = plain(item.find("parameternamelist/parametername"))
        text = "".join(element(p) for p in item.find("parameterdescription"))
        text = re.sub(r"^<p>(.*?)</p>", r"\1", text)
        items.append(f"{name} {text}" if label == "Throws" else f"<code>{name}</code>: {text}")
    return f'<p class="label">{label}</p><ul>' + "".join(f"<li>{item}</li>" for item in items) + "</ul>"


def brief(entity):
    return "".join(content(p) for p in entity.brief.findall("para")).strip()


def description(entity):
    """The docstring. A first sentence and what follows it on the same line are one paragraph."""
    entity = entity.shares or entity
    first, rest = brief(entity), "".join(element(p) for p in entity.detail.findall("para"))
    if first and rest.startswith("<p>") and not entity_breaks(entity):
        return f"<p>{first} {rest[3:]}"
    return (listed(first) if first else "") + rest


def entity_breaks(entity):
    """Whether an empty line follows the first sentence in the docstring."""
    lines = entity.header.text.split("\n")[: entity.first - 1]
    doc = []
    while lines and lines[-1].lstrip().startswith("///"):
        doc.insert(0, lines.pop().strip()[3:].strip())
    text = " ".join(line or "\x00" for line in doc)
    sentence = re.match(r"(?:@\{ )?[^\x00]*?\.(?=\s|$)", text)
    return bool(sentence) and text[sentence.end() :].lstrip(" ").startswith("\x00")
