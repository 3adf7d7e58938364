"""A transparent proxy, and servers that say who they are and who has asked them.

The sockets are made in the host's namespace and belong to the calling process.
"""

import contextlib
import socket
import struct
import threading

SOL_IPV6 = 41
IP_TRANSPARENT, IP_ORIGDSTADDR = 19, 20
IPV6_TRANSPARENT, IPV6_ORIGDSTADDR = 75, 74


def _is_v6(address):
    return ":" in address


def transparent_socket(host, address, port, kind=socket.SOCK_STREAM):
    """A bound socket that may have any address for its own, and is told whom a datagram was for."""
    with host.inside():
        made = socket.socket(socket.AF_INET6 if _is_v6(address) else socket.AF_INET, kind)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if _is_v6(address):
        made.setsockopt(SOL_IPV6, IPV6_TRANSPARENT, 1)
        made.setsockopt(SOL_IPV6, IPV6_ORIGDSTADDR, 1)
    else:
        made.setsockopt(socket.SOL_IP, IP_TRANSPARENT, 1)
        made.setsockopt(socket.SOL_IP, IP_ORIGDSTADDR, 1)
    made.bind((address, port))
    return made


def _serve(listener, answer):
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=_answer_one, args=(connection, answer), daemon=True).start()


def _answer_one(connection, answer):
    with connection, contextlib.suppress(OSError):
        connection.settimeout(5)
        question = b""
        while not question.endswith(b"\r\n\r\n"):
            data = connection.recv(4096)
            if not data:
                return
            question += data
        connection.sendall(answer(connection, question))


def _in_background(target, *arguments):
    threading.Thread(target=target, args=arguments, daemon=True).start()


@contextlib.contextmanager
def _closing(listener):
    try:
        yield
    finally:
        # Wakes the thread, which closing alone does not.
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()


@contextlib.contextmanager
def web_server(host, address, port, text=None):
    """Answers every request with `text`, or with the address of who has asked."""
    with host.inside():
        listener = socket.socket(socket.AF_INET6 if _is_v6(address) else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, port))
    listener.listen(16)

    def answer(connection, _):
        body = text or connection.getpeername()[0]
        return f"HTTP/1.0 200 OK\r\n\r\n{body}".encode()

    _in_background(_serve, listener, answer)
    with _closing(listener):
        yield


@contextlib.contextmanager
def transparent_proxy(host, address, port):
    """Takes connections that were meant for others and asks those in the client's place. Gives the
    list of their addresses and ports."""
    listener = transparent_socket(host, address, port)
    listener.listen(16)
    names = []

    def answer(connection, question):
        name = connection.getsockname()[:2]
        names.append(name)
        with host.inside():
            onward = socket.socket(connection.family)
        with onward:
            onward.settimeout(5)
            onward.connect(name)
            onward.sendall(question)
            answered = b""
            while data := onward.recv(4096):
                answered += data
        return answered

    _in_background(_serve, listener, answer)
    with _closing(listener):
        yield names


@contextlib.contextmanager
def transparent_datagrams(host, address, port):
    """Answers datagrams that were meant for others with what they say, in the others' name. Gives
    the list of their addresses and ports."""
    server = transparent_socket(host, address, port, socket.SOCK_DGRAM)
    names = []

    def run():
        with contextlib.suppress(OSError):
            while True:
                data, ancillary, _, sender = server.recvmsg(2048, 128)
                if not ancillary:
                    return
                name = _name_in(ancillary[0][2])
                names.append(name)
                with transparent_socket(host, *name, socket.SOCK_DGRAM) as reply:
                    reply.sendto(data, sender)

    _in_background(run)
    with _closing(server):
        yield names


def _name_in(data):
    """(address, port) of a sockaddr_in or sockaddr_in6."""
    (port,) = struct.unpack_from("!H", data, 2)
    if struct.unpack_from("=H", data)[0] == socket.AF_INET6:
        return socket.inet_ntop(socket.AF_INET6, data[8:24]), port
    return socket.inet_ntop(socket.AF_INET, data[4:8]), port
