"""Packets for the forwarding benchmark, as capture files that net_pcap repeats without end."""

import random
import struct

from rules import ANY

LENGTH = 60  # without FCS
MACS = bytes.fromhex("020000000002020000000001")
ETHERNET = MACS + b"\x08\x00"
USUAL = (6, 17, 1)


def _checksum(header):
    total = sum(struct.unpack("!10H", header))
    total = (total & 0xffff) + (total >> 16)
    return ~((total & 0xffff) + (total >> 16)) & 0xffff


def frame(protocol, source, destination, source_port, destination_port):
    head = struct.pack("!BBHIBBHII", 0x45, 0, LENGTH - 14, 0, 64, protocol, 0, source, destination)
    head = head[:10] + struct.pack("!H", _checksum(head)) + head[12:]
    if protocol == 6:
        # An ACK without data, as most packets of TCP are.
        body = struct.pack("!HHIIBBHI", source_port, destination_port, 1, 1, 0x50, 0x10, 1024, 0)
    elif protocol == 17:
        body = struct.pack("!HHHH", source_port, destination_port, LENGTH - 34, 0)
    elif protocol == 1:
        body = struct.pack("!BBHI", 8, 0, 0xf7ff, 0)
    else:
        body = b""
    return (ETHERNET + head + body).ljust(LENGTH, b"\0")


# Of the first net_pcap port.
TO_ROUTER = bytes.fromhex("027063617000")


def routable(frames):
    """Those that a router forwards, addressed to it: senders and receivers are single hosts."""
    for each in frames:
        source, destination = each[26], each[30]
        if all(0 < octet < 224 and octet != 127 for octet in (source, destination)):
            yield TO_ROUTER + each[6:]


def write_capture(path, frames):
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1))
        head = struct.pack("<IIII", 0, 0, LENGTH, LENGTH)
        for each in frames:
            file.write(head + each)


def plain(count):
    """UDP between two networks, any ports: what the rules of our own are for."""
    chance = random.Random(7)
    return [frame(17, 0x0a000000 | chance.randrange(1 << 16), 0x0a010000 | chance.randrange(1 << 16),
                  chance.randrange(1024, 30000), chance.randrange(1, 30000)) for _ in range(count)]


def inside(rules, count):
    """Any rule but the last, any point in it."""
    chance = random.Random(42)

    def address(wanted):
        base, length = wanted or ANY
        return base | chance.randrange(1 << (32 - length))

    frames = []
    for _ in range(count):
        rule = rules[chance.randrange(max(len(rules) - 1, 1))]
        protocol = rule.protocol if rule.protocol is not None else chance.choice(USUAL)
        frames.append(frame(protocol, address(rule.source), address(rule.destination),
                            chance.randint(*rule.source_ports),
                            chance.randint(*rule.destination_ports)))
    return frames


def flow(number, backwards):
    """A packet of UDP flow `number`, one way or the other."""
    client, server = 0x0a000000 + number // 16, 0x0a800000 + number % 4096
    port = 1024 + number % 60000
    if backwards:
        return frame(17, server, client, 443, port)
    return frame(17, client, server, port, 443)
