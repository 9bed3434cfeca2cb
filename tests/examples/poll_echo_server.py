"""poll_echo_server, with several clients at once. usage: poll_echo_server.py PROGRAM"""
import sys

from program import Program
from raw_client import Client

with Program(sys.argv[1], "0") as server:
    clients = [Client(server.port) for _ in range(20)]
    for i, client in enumerate(clients):
        client.say(str(i))
        client.frame(0x89, b"are you there")
    for i, client in enumerate(clients):
        assert client.hear() == (0x81, str(i).encode())
        assert client.hear() == (0x8A, b"are you there")

    clients[0].socket.close()  # without a word
    clients[1].frame(0x88, b"\x03\xe8bye")
    assert clients[1].hear() == (0x88, b"\x03\xe8")
    clients[2].frame(0x83, b"")  # no frame is of this kind
    first, payload = clients[2].hear()
    assert first == 0x88 and payload[:2] == b"\x03\xea", (first, payload)
    clients[3].say("still there")
    assert clients[3].hear() == (0x81, b"still there")
    clients[4].last_words("and", "goodbye")

    server.terminate()
    assert {client.close_as_asked() for client in [clients[3], *clients[5:]]} == {1001}
    server.end()
