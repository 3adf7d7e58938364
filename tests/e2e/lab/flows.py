"""Many flows at once, as frames of hosts that do not exist.

The hardware addresses are nobody's, so no kernel answers; packet sockets see the frames all the same.
`flows.py INTERFACE SECONDS RATE` is the flood of SYNs, a process of its own so that it takes no time
from the test that watches what happens meanwhile.
"""

import select
import socket
import struct
import sys
import time

NEAR_MAC, FAR_MAC = bytes.fromhex("02000000aa01"), bytes.fromhex("02000000bb01")
SERVER = bytes((198, 51, 100, 1))
UDP, TCP = 17, 6
PAYLOAD = b"sluice-flow!"


def _ipv4(protocol, source, destination, payload):
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 0, 0, 64, protocol, 0, source,
                       destination)
    total = sum(struct.unpack("!10H", head))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return head[:10] + struct.pack("!H", ~total & 0xFFFF) + head[12:] + payload


def _client(number):
    """Address and port of the client of a flow; no two numbers have the same address. Ports that
    rose with the addresses would gather in few values of a symmetric hash, which folds both
    together, so they are mixed as those of real hosts are."""
    return struct.pack("!I", (10 << 24) + number), 1024 + (number * 2654435761 >> 8) % 60000


def _udp_frame(number, back):
    client, port = _client(number)
    ports, addresses, macs = (port, 53), (client, SERVER), NEAR_MAC + FAR_MAC
    if back:
        ports, addresses, macs = ports[::-1], addresses[::-1], FAR_MAC + NEAR_MAC
    payload = struct.pack("!HHHH", *ports, 8 + len(PAYLOAD), 0) + PAYLOAD
    return macs[6:] + macs[:6] + b"\x08\x00" + _ipv4(UDP, *addresses, payload)


def _syn_frame(number):
    client, port = _client(number)
    payload = struct.pack("!HHIIBBHHH", port, 80, number, 0, 0x50, 0x02, 8192, 0, 0)
    return FAR_MAC + NEAR_MAC + b"\x08\x00" + _ipv4(TCP, client, SERVER, payload)


def flow_frames(count, back=False, first=0):
    """One UDP frame of each flow, from the client, or the server's answer."""
    return [_udp_frame(number, back) for number in range(first, first + count)]


def syn_frames(count, first=0):
    """The first packet of so many connections, from the client."""
    return [_syn_frame(number) for number in range(first, first + count)]


def passes(sender, receiver, frames, seconds=5.0):
    """Sends the frames from one Wire and takes what arrives at the other; the set of those that
    arrived. No more are sent at once than receive queues hold, so whatever is missing, the filter
    has lost."""
    wanted, arrived = set(frames), set()
    for frame in frames:
        sender.send(frame)
    end = time.monotonic() + seconds
    while len(arrived) < len(wanted):
        left = end - time.monotonic()
        if left <= 0 or not select.select([receiver.socket], [], [], left)[0]:
            break
        frame = receiver.socket.recv(2048)
        if frame in wanted:
            arrived.add(frame)
    return arrived


class Flood:
    """SYNs of ever new flows from a host, for some seconds and so many in a second at most."""

    def __init__(self, host, seconds, rate):
        self.child = host.start("/usr/bin/python3", __file__, "eth0", str(seconds), str(rate),
                                stdout=-1)

    def running(self):
        return self.child.poll() is None

    def sent(self):
        """Waits for the end; how many SYNs went out."""
        return int(self.child.communicate(timeout=60)[0])


def _flood(interface, seconds, rate):
    batch = 50
    start = time.monotonic()
    sent = 0
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sender:
        sender.bind((interface, 0))
        while (now := time.monotonic()) < start + seconds:
            if sent > (now - start) * rate:
                time.sleep(0.001)
                continue
            for number in range(sent, sent + batch):
                sender.send(_syn_frame(number))
            sent += batch
    print(sent)


if __name__ == "__main__":
    _flood(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]))
