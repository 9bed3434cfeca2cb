"""Makes a standalone Asio of the one in Boost, which Debian has in a newer version: the same sources,
which Boost renames; this takes the names back.

usage: newer_asio.py DIRECTORY_OF_BOOST_ASIO TARGET
"""
import pathlib
import re
import shutil
import sys

RENAMED = [
    (r"BOOST_ASIO_", "ASIO_"),
    (r"boost_asio_", "asio_"),
    (r"boost/asio", "asio"),
    (r"boost::asio", "asio"),
    (r"^namespace boost \{\nnamespace asio \{$", "namespace asio {"),
    (r"^\} // namespace asio\n\} // namespace boost$", "} // namespace asio"),
    (r"^namespace boost \{\nnamespace system \{$", "namespace std {"),
    (r"^\} // namespace system\n\} // namespace boost$", "} // namespace std"),
    (r"boost::system::", "std::"),
    (r"#include <boost/system/(error_code|system_error)\.hpp>", "#include <system_error>"),
    (r"boost::array\b", "asio::detail::boost_array"),
]
ARRAY = ("#include <cstddef>\nnamespace asio { namespace detail {\n"
         "template <class T, std::size_t N> struct boost_array;\n} } // never defined\n")


def standalone(name, text):
    for pattern, replacement in RENAMED:
        text = re.sub(pattern, replacement, text, flags=re.MULTILINE)
    if name == "asio/detail/config.hpp":
        text = "#define ASIO_STANDALONE 1\n" + text + ARRAY
    return text


def main():
    source, target = map(pathlib.Path, sys.argv[1:])
    shutil.rmtree(target, ignore_errors=True)
    for file in [source.with_suffix(".hpp"), *sorted(source.rglob("*.?pp"))]:
        name = file.relative_to(source.parent).as_posix()
        out = target / name
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(standalone(name, file.read_text(encoding="utf-8")), encoding="utf-8")


main()
