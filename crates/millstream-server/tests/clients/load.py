"""Runs the statements of a file through the wire, with nothing but sockets: the server must be there before any client is."""
import os
import socket
import struct
import sys


def message(kind, body):
    return kind + struct.pack(">I", len(body) + 4) + body


def read(sock, count):
    data = b""
    while len(data) < count:
        part = sock.recv(count - len(data))
        if not part:
            sys.exit("the server has gone")
        data += part
    return data


def until_ready(sock):
    while True:
        kind, length = struct.unpack(">cI", read(sock, 5))
        body = read(sock, length - 4)
        if kind == b"E":
            sys.exit("the tables cannot be made: " + body.replace(b"\0", b" ").decode())
        if kind == b"Z":
            return


sock = socket.create_connection(("127.0.0.1", int(os.environ["PGPORT"])), 30)
startup = struct.pack(">I", 196608) + b"user\0me\0database\0stream\0\0"
sock.sendall(struct.pack(">I", len(startup) + 4) + startup)
until_ready(sock)
sock.sendall(message(b"Q", open(sys.argv[1], encoding="utf-8").read().encode() + b"\0"))
until_ready(sock)
