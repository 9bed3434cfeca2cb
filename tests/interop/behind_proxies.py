"""Servers behind HAProxy and nginx, which tell them who their clients are.
usage: behind_proxies.py HAPROXY NGINX PROGRAM

Clients are at 127.0.0.5, and HAProxy and nginx connect from 127.0.0.2 or 127.0.0.3.
"""
import base64
import os
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time

import certificates

LIMIT = 60  # seconds for the whole of it
CLIENT = "127.0.0.5"
STREAM_MODULE = "/usr/lib/nginx/modules/ngx_stream_module.so"

HAPROXY = """
defaults
  timeout connect 5s
  timeout client 20s
  timeout server 20s
listen v1
  mode tcp
  bind 127.0.0.1:{v1}
  server s 127.0.0.1:{proxy} send-proxy source 127.0.0.2
listen v2
  mode tcp
  bind 127.0.0.1:{v2}
  server s 127.0.0.1:{proxy} send-proxy-v2 source 127.0.0.2
listen v2_with_additions
  mode tcp
  bind 127.0.0.1:{v2_with_additions}
  server s 127.0.0.1:{proxy} send-proxy-v2 proxy-v2-options crc32c,unique-id source 127.0.0.2
  unique-id-format %[uuid()]
listen v1_ahead_of_tls
  mode tcp
  bind 127.0.0.1:{v1_ahead_of_tls}
  server s 127.0.0.1:{proxy_tls} send-proxy source 127.0.0.2
listen v2_ahead_of_tls
  mode tcp
  bind 127.0.0.1:{v2_ahead_of_tls}
  server s 127.0.0.1:{proxy_tls} send-proxy-v2 source 127.0.0.2
listen tls_ends_and_begins
  mode http
  bind 127.0.0.1:{tls_ends_and_begins} ssl crt {pem}
  server s 127.0.0.1:{proxy_tls} send-proxy-v2 ssl verify none source 127.0.0.2
listen untrusted
  mode tcp
  bind 127.0.0.1:{untrusted}
  server s 127.0.0.1:{proxy} send-proxy source 127.0.0.4
listen field
  mode http
  bind 127.0.0.1:{field}
  option forwardfor
  server s 127.0.0.1:{x_forwarded_for} source 127.0.0.2
listen tls_ends
  mode http
  bind 127.0.0.1:{tls_ends} ssl crt {pem}
  option forwardfor
  server s 127.0.0.1:{x_forwarded_for} source 127.0.0.2
listen standard
  mode http
  bind 127.0.0.1:{standard}
  http-request add-header Forwarded for=\\"%[src]:%[src_port]\\";proto=http
  server s 127.0.0.1:{forwarded} source 127.0.0.2
listen chain
  mode http
  bind 127.0.0.1:{chain}
  option forwardfor
  server s 127.0.0.1:{nginx_field} source 127.0.0.3
"""

NGINX = """
load_module {module};
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  proxy_http_version 1.1;
  proxy_bind 127.0.0.2;
  server {{
    listen 127.0.0.1:{nginx_field};
    location / {{
      proxy_pass http://127.0.0.1:{x_forwarded_for};
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection upgrade;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }}
  }}
  server {{
    listen 127.0.0.1:{nginx_standard};
    location / {{
      proxy_pass http://127.0.0.1:{forwarded};
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection upgrade;
      proxy_set_header Forwarded "$http_forwarded, for=$remote_addr";
    }}
  }}
}}
stream {{
  server {{
    listen 127.0.0.1:{nginx_v1};
    proxy_pass 127.0.0.1:{proxy};
    proxy_bind 127.0.0.2;
    proxy_protocol on;
  }}
}}
"""

OWN = ("v1", "v2", "v2_with_additions", "v1_ahead_of_tls", "v2_ahead_of_tls", "tls_ends_and_begins",
       "untrusted", "field", "tls_ends", "standard", "chain", "nginx_field", "nginx_standard", "nginx_v1")


def free_ports(names):
    sockets = {name: socket.create_server(("127.0.0.1", 0)) for name in names}
    ports = {name: s.getsockname()[1] for name, s in sockets.items()}
    for s in sockets.values():
        s.close()
    return ports


def wait_for(process, ports):
    for port in ports:
        while True:
            assert process.poll() is None, "it has ended"
            try:
                socket.create_connection(("127.0.0.1", port), 5).close()
                break
            except ConnectionRefusedError:
                time.sleep(0.05)


class Client:
    """One that forges what a client can forge."""

    def __init__(self, port, tls):
        self.socket = socket.create_connection(("127.0.0.1", port), 20, source_address=(CLIENT, 0))
        self.port = self.socket.getsockname()[1]
        if tls:
            context = ssl.create_default_context(cafile=tls)
            self.socket = context.wrap_socket(self.socket, server_hostname="localhost")
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(("GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                             f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
                             "Sec-WebSocket-Version: 13\r\nX-Forwarded-For: 203.0.113.1\r\n"
                             "Forwarded: for=203.0.113.1\r\n\r\n").encode())
        self.reader = self.socket.makefile("rb")
        self.status = self.reader.readline()
        while self.reader.readline() not in (b"\r\n", b""):
            pass

    def hear(self):
        first, size = self.reader.read(2)
        assert first == 0x81, first
        return self.reader.read(size).decode()

    def say(self, text):
        self.socket.sendall(bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text.encode())


def check(name, port, wanted, tls=None):
    """The server says `wanted`, with PORT for the client's own, and echoes."""
    one = Client(port, tls)
    assert b" 101 " in one.status, (name, one.status)
    said = one.hear()
    one.say("hello")
    assert one.hear() == "hello", name
    one.socket.close()
    print(f"{name}: {said}", flush=True)
    assert said == wanted.replace("PORT", str(one.port)), (name, said, wanted)


def check_all(at, ca):
    exact, without_port = CLIENT + ":PORT", CLIENT + ":0"
    for name in ("v1", "v2", "v2_with_additions", "nginx_v1", "standard"):
        check(name, at[name], exact)
    for name in ("v1_ahead_of_tls", "v2_ahead_of_tls", "tls_ends_and_begins"):
        check(name, at[name], exact, ca)
    for name in ("field", "nginx_field", "nginx_standard", "chain"):
        check(name, at[name], without_port)
    check("tls_ends", at["tls_ends"], without_port, ca)
    for name in ("forwarded", "x_forwarded_for", "proxy"):  # nobody in between
        check(name, at[name], exact)
    check("proxy_tls", at["proxy_tls"], exact, ca)
    # What is no proxy of ours has sent no request.
    assert b" 400 " in Client(at["untrusted"], None).status


def run(haproxy, nginx, program, folder, processes):
    made = certificates.make(folder)
    pem = os.path.join(folder, "both.pem")
    with open(pem, "w", encoding="ascii") as both:
        for part in ("TLS_CERTIFICATE", "TLS_KEY"):
            with open(made[part], encoding="ascii") as text:
                both.write(text.read())

    servers = subprocess.Popen([program, made["TLS_CERTIFICATE"], made["TLS_KEY"]],
                               stdout=subprocess.PIPE, text=True)
    processes.append(servers)
    at = free_ports(OWN)
    for line in servers.stdout:
        if line == "ready\n":
            break
        name, port = line.split()
        at[name] = int(port)
    for name, text in (("haproxy.cfg", HAPROXY), ("nginx.conf", NGINX)):
        with open(os.path.join(folder, name), "w", encoding="ascii") as out:
            out.write(text.format(**at, pem=pem, folder=folder, module=STREAM_MODULE))
    processes.append(subprocess.Popen([haproxy, "-db", "-f", os.path.join(folder, "haproxy.cfg")]))
    processes.append(subprocess.Popen([nginx, "-p", folder, "-e", "stderr", "-c",
                                       os.path.join(folder, "nginx.conf")]))
    own = {name: at[name] for name in OWN}
    wait_for(processes[2], [own[name] for name in OWN if name.startswith("nginx")])
    wait_for(processes[1], [own[name] for name in OWN if not name.startswith("nginx")])
    check_all(at, made["TLS_CA"])
    servers.send_signal(signal.SIGTERM)
    assert servers.wait(20) == 0, servers.returncode


def too_long(*_):
    raise TimeoutError(f"not done after {LIMIT} seconds")


def main(haproxy, nginx, program):
    signal.signal(signal.SIGALRM, too_long)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    signal.alarm(LIMIT)
    processes = []
    with tempfile.TemporaryDirectory(prefix="sansocket-") as folder:
        try:
            run(haproxy, nginx, program, folder, processes)
        finally:
            for process in processes:
                process.kill()
                process.wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
