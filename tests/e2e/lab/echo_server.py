"""echo_server.py tcp|udp PORT LISTENER OWNER: gives back what it is sent, on this port, IPv4 and IPv6.

The socket that listens belongs to the user LISTENER, those of the connections to OWNER.
"""

import os
import socket
import sys
import threading


def open_as(user, make):
    os.seteuid(user)
    made = make()
    os.seteuid(0)
    return made


def serve(connection):
    while data := connection.recv(4096):
        connection.sendall(data)
    connection.close()


kind, port, listener, owner = sys.argv[1], *map(int, sys.argv[2:5])
server = open_as(listener, lambda: socket.socket(
    socket.AF_INET6, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM))
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
server.bind(("::", port))
if kind == "tcp":
    server.listen()
print("listening", flush=True)
while True:
    if kind == "udp":
        server.sendto(*server.recvfrom(4096))
        continue
    accepted, _ = open_as(owner, server.accept)
    threading.Thread(target=serve, args=(accepted,), daemon=True).start()
