"""The messages of messages.json, and what the Python peers share."""
import json
import pathlib
import re


def load():
    """(name, str or bytes) of each message."""
    rows = json.loads((pathlib.Path(__file__).parent / "messages.json").read_text(encoding="utf-8"))
    for row in rows:
        data = row["text"] if "text" in row else bytes.fromhex(row["hex"])
        yield row["name"], data * row.get("times", 1)


def expect(what, found, wanted):
    if found != wanted:
        raise AssertionError(f"{what}: {str(found)[:200]!r} instead of {str(wanted)[:200]!r}")
    print("ok", what, flush=True)


def command_of(message):
    """What a client asks an echo server for in a text: (word, rest), word being close, ping or
    fragments; None for a message that is to be echoed."""
    if not isinstance(message, str):
        return None
    match = re.fullmatch(r"(close|ping|fragments) (.*)", message)
    return match.groups() if match else None


GOING = "waiting for the server to go"
