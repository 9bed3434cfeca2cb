"""Declarations as the reference shows them."""
import re

import model

WIDTH = 84


def signature(entity):
    """The declaration, without what only the compiler needs, in lines of a readable length."""
    text = re.sub(
        r"\b(SANSOCKET_ALWAYS_INLINE|SANSOCKET_NOINLINE|inline) |\[\[nodiscard\]\] ", "", entity.declaration
    )
    text = re.sub(r"\s*:\s*(public|private)\b.*$", "", text) if entity.kind in model.TYPES else text
    text = text.replace("::asio::", "asio::")
    text = re.sub(r"requires ?\( ?", "requires(", text)
    if entity.kind == "variable" and len(text) > WIDTH and "=" in text:
        text = text[: text.index("=")].rstrip()
    lines = []
    while match := re.match(r"template <", text):
        end = closing(text, match.end() - 1, "<>")
        lines += wrapped(text[: end + 1], "<>")
        text = text[end + 1 :].lstrip()
    if text.startswith("requires"):
        end = closing(text, text.index("("), "()")
        lines += condition(text[: end + 1])
        text = text[end + 1 :].lstrip()
    tail = (
        re.search(r"\s+requires\s*\(.*$|\s+requires\s+[\w:<>, ]+$", text)
        if entity.kind == "function"
        else None
    )
    if tail:
        text = text[: tail.start()]
    lines += wrapped(text)
    if tail:
        lines += condition(tail[0].strip())
    if entity.kind == "concept":
        lines = [line.replace(" && ", "\n    && ") for line in lines]
    return "\n".join(lines) + ("" if entity.kind in ("concept", "define") else ";")


def closing(text, at, pair):
    depth = 0
    for i in range(at, len(text)):
        depth += (text[i] == pair[0]) - (text[i] == pair[1])
        if depth == 0:
            return i
    raise SystemExit(f"unbalanced: {text}")


def condition(text):
    """A requires clause."""
    return [f"    {text}" if len(text) <= WIDTH else "    " + text.replace(" && ", "\n             && ")]


def wrapped(text, pair="()"):
    """One line, or one for each parameter."""
    if len(text) <= WIDTH or pair[0] not in text:
        return [text]
    begin = text.index(pair[0])
    end = closing(text, begin, pair)
    parts, depth, start = [], 0, begin + 1
    for i in range(begin + 1, end + 1):
        depth += (text[i] in "(<{[") - (text[i] in ")>}]" and text[i - 1] != "-")
        if (text[i] == "," and depth == 0) or i == end:
            parts.append(text[start:i].strip())
            start = i + 1
    return [text[: begin + 1]] + [f"    {part}," for part in parts[:-1]] + [f"    {parts[-1]}{text[end:]}"]
