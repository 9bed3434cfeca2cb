"""The module exports every public name of the core, and nothing else: modules/sansocket.cppm has a
using-declaration for each name that a header of sansocket/, outside of detail, declares in its namespace.

usage: check_module.py [--print]     --print: the using-declarations, as they should be
"""
import re
import sys

from tree import INCLUDE, ROOT, Report, headers, name_of, read, without_comments

MODULE = ROOT / "modules" / "sansocket.cppm"
KIND = re.compile(r"(?:class|struct|union|enum(?:\s+class|\s+struct)?|concept)\s+([\w:]+)")
ALIAS = re.compile(r"\busing\s+(\w+)\s*=")
# What is left of a function's declaration once attributes, templates' heads and constraints are gone.
FUNCTION = re.compile(r"((?:\w+\s*::\s*)*(?:operator\s*(?:\(\)|\[\]|[^\s\w(]+|\s\w+)|~?\w+))\s*\(")
VARIABLE = re.compile(r"(\w+)\s*(?:=|\{|$)")


def without_angles(text):
    """`text` without what stands between matching < and >."""
    out, depth = [], 0
    for i, c in enumerate(text):
        if c == "<" and not text[i:].startswith(("<<", "<=")):
            depth += 1
        elif c == ">" and depth and text[i - 1] != "-":
            depth -= 1
        elif not depth:
            out.append(c)
    return "".join(out)


def name_declared(declaration):
    """The name that a declaration at namespace scope introduces; None where it is none, or a member's."""
    text = re.sub(r"\[\[.*?\]\]", " ", declaration, flags=re.DOTALL)
    if match := ALIAS.search(text):
        return match[1]
    if re.match(r"\s*(static_assert|using|namespace|friend|extern)\b", text) or not text.strip():
        return None
    if re.match(r"\s*template\s*<\s*>", text):
        return None  # a specialisation
    bare = without_angles(re.sub(r"\s+", " ", text)).strip()
    bare = re.sub(r"^template\s*", "", bare)
    bare = re.sub(r"\b(?:requires|noexcept|alignas|decltype)\s*(?=\()(\((?:[^()]|\([^()]*\))*\))", " ", bare)
    if not re.match(r"\s*\w", bare):
        return None  # what follows an initialiser in braces
    if match := KIND.match(re.sub(r"^requires\b.*?(?=\b(?:class|struct)\b)", "", bare).strip()):
        return None if "::" in match[1] else match[1]
    if match := FUNCTION.search(bare.split(" = ", 1)[0]):
        return None if "::" in match[1] else match[1].replace(" ", "")
    match = VARIABLE.search(bare)
    return match[1] if match and " " in bare else None


def declarations(code, namespace="sansocket"):
    """What stands in `namespace` itself: each declaration up to its body, its initialiser or its ';'."""
    scopes, start, i = [], 0, 0
    code = re.sub(r"^[ \t]*#(?:.*\\\n)*.*$", "", code, flags=re.MULTILINE)
    while i < len(code):
        c = code[i]
        if c == "{":
            head = code[start:i]
            opened = re.search(r"\bnamespace\s+([\w:]+)\s*$", head)
            if opened is None and scopes and scopes[-1] == namespace:
                yield head
            scopes.append(opened[1] if opened and not scopes else
                          f"{scopes[-1]}::{opened[1]}" if opened else None)
            start = i + 1
        elif c == "}":
            scopes.pop()
            start = i + 1
        elif c == ";":
            if scopes and scopes[-1] == namespace and code[start:i].strip():
                yield code[start:i]
            start = i + 1
        i += 1


def public_names():
    """Name to the first header that has it."""
    names = {}
    for header in headers(INCLUDE / "sansocket"):
        if "/detail/" in name_of(header):
            continue
        for declaration in declarations(without_comments(read(header), strings="blank")):
            name = name_declared(declaration)
            if name is not None:
                names.setdefault(name, name_of(header))
    return names


def main():
    report = Report("module")
    names = public_names()
    if "--print" in sys.argv:
        print("\n".join(f"using sansocket::{name};" for name in sorted(names)))
        return
    exported = re.findall(r"^using sansocket::(.+);$", read(MODULE), re.MULTILINE)
    for name in sorted(set(names) - set(exported)):
        report.found(names[name], name, f"{name} is not exported by modules/sansocket.cppm")
    for name in sorted(set(exported) - set(names)):
        report.found("modules/sansocket.cppm", name, f"exports {name}, which no header of the core declares")
    if exported != sorted(set(exported)):
        report.found("modules/sansocket.cppm", "order", "the names are not in order, or not once each")
    report.finish(f"{len(names)} names")


if __name__ == "__main__":
    main()
