#!/usr/bin/env python3
"""Listens on a divert port, shows every packet, and gives it back (or not: --eat).

    ipfw add 100 divert 2000 icmp from any to any in
    divert_echo.py 2000

The protocol is that of sluice-divert(4) and dataplane/divert/sluice_divert.h. `Divert` may be taken
over into other programs.
"""

import argparse
import ipaddress
import socket
import struct
import sys
from dataclasses import dataclass

MAGIC = 0x54564453
BIND, BOUND, REFUSED, PACKET = 1, 2, 3, 4
IN, OUT = 1, 2
TEE = 1
# magic, version, type, header_length, port, rule, direction, flags, reserved, the interfaces that
# the packet came in and goes out by, cookie
HEADER = struct.Struct("=IBBHHHBBH16s16s64s")
LONGEST = HEADER.size + 65535


@dataclass
class Message:
    port: int
    rule: int
    direction: int
    flags: int
    receive: str
    transmit: str
    cookie: bytes
    packet: bytes

    def to_bytes(self):
        return HEADER.pack(MAGIC, 1, PACKET, HEADER.size, self.port, self.rule, self.direction,
                           self.flags, 0, self.receive.encode(), self.transmit.encode(),
                           self.cookie) + self.packet


class Divert:
    """A connection that has a divert port."""

    def __init__(self, port, path="/run/sluice/divert.sock"):
        self.port = port
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.connect(path)
        self.socket.send(HEADER.pack(MAGIC, 1, BIND, HEADER.size, port, 0, 0, 0, 0, b"", b"", b""))
        answer = self.socket.recv(LONGEST)
        if len(answer) < HEADER.size or HEADER.unpack_from(answer)[2] != BOUND:
            reason = answer[HEADER.size:].decode() or "no answer"
            raise ConnectionRefusedError(f"divert port {port}: {reason}")

    def receive(self):
        """The next packet; None: the data plane has gone."""
        data = self.socket.recv(LONGEST)
        if len(data) < HEADER.size:
            return None
        (_, _, _, length, port, rule, direction, flags, _, receive, transmit,
         cookie) = HEADER.unpack_from(data)
        return Message(port, rule, direction, flags, receive.rstrip(b"\0").decode(),
                       transmit.rstrip(b"\0").decode(), cookie, data[length:])

    def send(self, message):
        """Waits while the data plane has no room."""
        self.socket.send(message.to_bytes())


def summary(message):
    version = message.packet[0] >> 4
    at, size = (12, 4) if version == 4 else (8, 16)
    source, destination = (ipaddress.ip_address(message.packet[i:i + size])
                           for i in (at, at + size))
    way = f"in by {message.receive}" if message.direction == IN else f"out by {message.transmit}"
    kind = "tee" if message.flags & TEE else "divert"
    return (f"rule {message.rule} {kind} {message.port}: {source} > {destination}, "
            f"{len(message.packet)} bytes, {way}")


def main():
    parser = argparse.ArgumentParser(description="Shows diverted packets and gives them back.")
    parser.add_argument("port", type=int)
    parser.add_argument("--socket", default="/run/sluice/divert.sock")
    parser.add_argument("--eat", action="store_true", help="do not give them back")
    arguments = parser.parse_args()
    try:
        divert = Divert(arguments.port, arguments.socket)
    except OSError as error:
        sys.exit(f"{parser.prog}: {error}")
    print(f"listening on divert port {arguments.port}", flush=True)
    while (message := divert.receive()) is not None:
        print(summary(message), flush=True)
        if not arguments.eat and not message.flags & TEE:
            divert.send(message)


if __name__ == "__main__":
    main()
