"""Frames as bytes, into and out of an interface.

The socket is made in the host's namespace and may be used from anywhere after that. What the host
itself sends is not shown. The kernel takes the outer VLAN tag off a frame before a packet socket
sees it and tells it beside; here it is put back.
"""

import select
import socket
import struct
import time

ETH_P_ALL = 0x0003
PACKET_OUTGOING = 4
SOL_PACKET, PACKET_AUXDATA = 263, 8
STATUS_VLAN_VALID, STATUS_VLAN_TPID_VALID = 0x10, 0x40
AUXDATA = struct.Struct("<IIIHHHH")  # status, len, snaplen, mac, net, vlan_tci, vlan_tpid


class Wire:
    """REQUIRES: the host is up. Use it as a context manager, or `close` it."""

    def __init__(self, host, interface="eth0"):
        with host.inside():
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
            self.socket.bind((interface, ETH_P_ALL))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self.socket.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)

    def send(self, frame):
        self.socket.send(bytes(frame))

    def receive(self, wanted, seconds=5.0, count=1):
        """The first `count` frames for which `wanted(bytes)` holds, or fewer when the time is over."""
        found = []
        end = time.monotonic() + seconds
        while len(found) < count:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.socket], [], [], left)[0]:
                break
            frame = self._read()
            if frame is not None and wanted(frame):
                found.append(frame)
        return found

    def drain(self):
        """Forgets what has arrived so far."""
        while select.select([self.socket], [], [], 0)[0]:
            self.socket.recv(65536)

    def _read(self):
        frame, ancillary, _, sender = self.socket.recvmsg(65536, 256)
        if sender[2] == PACKET_OUTGOING:
            return None
        for level, kind, data in ancillary:
            if level == SOL_PACKET and kind == PACKET_AUXDATA:
                status, _, _, _, _, tag, ether_type = AUXDATA.unpack(data[:AUXDATA.size])
                if status & STATUS_VLAN_VALID:
                    if not status & STATUS_VLAN_TPID_VALID:
                        ether_type = 0x8100
                    frame = frame[:12] + struct.pack("!HH", ether_type, tag) + frame[12:]
        return frame

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
