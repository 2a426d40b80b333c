"""TLS in front of a server, with certificates that are wrong and one that is right.

Run as `tls.py FOLDER PORT`: makes an authority of its own and four certificates for this machine, listens for each on a
free port of loopback, and passes what comes through to 127.0.0.1:PORT. Writes FOLDER/authority.pem and, last, FOLDER/ports:
a JSON object of the ports by the certificate's name. Every handshake is noted, one a line, in FOLDER/log, as
`NAME made` or `NAME refused`. Ends when its standard input closes.

The certificates: `right`; `other`, for another host; `old`, whose time is over; `own`, signed by nobody but itself.
"""

import datetime
import ipaddress
import json
import os
import socket
import ssl
import sys
import threading

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

FOLDER, PORT = sys.argv[1], int(sys.argv[2])
LOCK = threading.Lock()


def name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def day(year):
    return datetime.datetime(year, 1, 1, tzinfo=datetime.timezone.utc)


def certificate(subject, key, issuer, signer, hosts=(), until=2040, authority=False):
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(day(2020))
        .not_valid_after(day(until))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if hosts:
        builder = builder.add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    return builder.sign(signer, hashes.SHA256())


def write(file, *parts):
    with open(os.path.join(FOLDER, file), "wb") as out:
        out.writelines(parts)


def pem(of):
    return of.public_bytes(serialization.Encoding.PEM)


def note(line):
    with LOCK, open(os.path.join(FOLDER, "log"), "a", encoding="ascii") as out:
        out.write(line + "\n")


def copy(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        pass
    for end in (source, sink):
        try:
            end.close()
        except OSError:
            pass


def serve(which, context, listener):
    def one(connection):
        try:
            inside = context.wrap_socket(connection, server_side=True)
            # The client's refusal arrives after the server's last message, so the first byte is waited for.
            first = inside.recv(65536)
            if not first:
                raise OSError("it hung up")
        except (OSError, ssl.SSLError):
            note(f"{which} refused")
            connection.close()
            return
        note(f"{which} made")
        target = socket.create_connection(("127.0.0.1", PORT))
        target.sendall(first)
        threading.Thread(target=copy, args=(target, inside), daemon=True).start()
        copy(inside, target)

    while True:
        connection, _ = listener.accept()
        threading.Thread(target=one, args=(connection,), daemon=True).start()


def main():
    here = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    root, keys = ec.generate_private_key(ec.SECP256R1()), {}
    authority = certificate("tests", root, "tests", root, authority=True)
    write("authority.pem", pem(authority))
    ports = {}
    for which in ("right", "other", "old", "own"):
        keys[which] = key = ec.generate_private_key(ec.SECP256R1())
        hosts = [x509.DNSName("other.example")] if which == "other" else here
        by, signer = (which, key) if which == "own" else ("tests", root)
        made = certificate(which, key, by, signer, hosts, until=2021 if which == "old" else 2040)
        private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                    serialization.NoEncryption())
        write(which + ".pem", private, pem(made))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(os.path.join(FOLDER, which + ".pem"))
        listener = socket.create_server(("127.0.0.1", 0))
        ports[which] = listener.getsockname()[1]
        threading.Thread(target=serve, args=(which, context, listener), daemon=True).start()
    write("ports.new", json.dumps(ports).encode())
    os.rename(os.path.join(FOLDER, "ports.new"), os.path.join(FOLDER, "ports"))
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    main()
