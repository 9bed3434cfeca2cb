"""threads_server, with clients that end up on all of its threads. usage: threads_server.py PROGRAM"""
import re
import sys

from program import Program
from raw_client import Client

CLIENTS, THREADS = 60, 3

with Program(sys.argv[1], "0", str(THREADS)) as server:
    clients = [Client(server.port) for _ in range(CLIENTS)]
    for i, client in enumerate(clients):
        client.say(str(i))
    for i, client in enumerate(clients):
        assert client.hear() == (0x81, str(i).encode())
    clients.pop().last_words("and", "goodbye")
    server.terminate()
    assert {client.close_as_asked() for client in clients} == {1001}
    counts = [int(n) for n in re.findall(r"connections: (\d+)", server.end())]
    print(counts)
    assert len(counts) == THREADS and sum(counts) == CLIENTS and min(counts) > 0, counts
