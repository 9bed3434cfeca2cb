"""What compiling costs is decided by what is included: no header of ours includes a heavy one.

The core takes of the standard library only what it cannot do without, and the Asio adapter little; nothing
includes streams, the umbrella of Asio, or what is experimental there.
"""
import re

from tree import INCLUDE, Report, headers, name_of, read, without_comments

# Of the standard library, not in the core.
HEAVY = {
    "algorithm", "any", "bitset", "cmath", "codecvt", "deque", "execution", "expected", "flat_map",
    "flat_set", "format", "forward_list", "functional", "future", "generator", "iterator", "list", "locale",
    "map", "mdspan", "memory_resource", "numeric", "queue", "random", "ranges", "regex", "scoped_allocator",
    "set", "sstream", "stack", "stdexcept", "syncstream", "unordered_map", "unordered_set", "valarray",
    "variant",
}
# Nor in the Asio adapter, which every connection needs.
HEAVY_FOR_ASIO = {"algorithm", "cmath", "random", "valarray"}
# And nowhere.
NOWHERE = re.compile(
    r"iostream|istream|ostream|fstream|sstream|iomanip|regex|ranges|format|locale|filesystem|future|"
    r"asio\.hpp|asio/ssl\.hpp|asio/experimental/.*|boost/.*|bits/.*")


def main():
    report = Report("weight")
    for header in headers():
        name, code = name_of(header), without_comments(read(header))
        for target in re.findall(r"^\s*#\s*include\s*<([^>]+)>", code, re.MULTILINE):
            if name.startswith("sansocket/") and target in HEAVY:
                report.found(name, target, f"the core may not include <{target}>, it can do without")
            elif name.startswith("sansocket_asio/") and target in HEAVY_FOR_ASIO:
                report.found(name, target, f"the Asio adapter can do without <{target}>")
            elif NOWHERE.fullmatch(target):
                report.found(name, target, f"<{target}> is too heavy for everybody")
    report.finish(f"{len(headers())} headers")


if __name__ == "__main__":
    main()
