"""Certificates for TLS, made anew: an authority and what it signed for localhost and 127.0.0.1, PEM
files in a folder of their own."""
import os
import subprocess


def openssl(folder, *arguments):
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)


def make(folder):
    """The environment of who uses them: TLS_CA, TLS_CERTIFICATE, TLS_KEY are files, TLS_PIN is the
    hash of the server's public key."""
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl(folder, "req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2",
            "-subj", "/CN=test authority")
    openssl(folder, "req", *key, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=local")
    with open(os.path.join(folder, "names"), "w", encoding="ascii") as names:
        names.write("subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n")
    openssl(folder, "x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
            "-CAcreateserial", "-days", "2", "-extfile", "names", "-out", "server.pem")
    openssl(folder, "x509", "-in", "server.pem", "-pubkey", "-noout", "-out", "server.pub")
    openssl(folder, "pkey", "-pubin", "-in", "server.pub", "-outform", "der", "-out", "server.der")
    openssl(folder, "dgst", "-sha256", "-binary", "-out", "server.hash", "server.der")
    with open(os.path.join(folder, "server.hash"), "rb") as digest:
        pin = subprocess.run(["openssl", "base64"], stdin=digest, check=True, capture_output=True,
                             text=True).stdout.strip()
    at = {"TLS_CA": "ca.pem", "TLS_CERTIFICATE": "server.pem", "TLS_KEY": "server.key"}
    return {name: os.path.join(folder, file) for name, file in at.items()} | {"TLS_PIN": pin}
