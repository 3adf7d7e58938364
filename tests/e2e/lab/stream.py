"""Real sockets of both hosts: servers that echo, and a conversation that is measured while it lasts.

The sockets are made in the hosts' namespaces and belong to the calling process.
"""

import contextlib
import socket
import threading
import time

def _family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _echo(connection):
    with connection, contextlib.suppress(OSError):
        while data := connection.recv(65536):
            connection.sendall(data)


def _accept(listener):
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=_echo, args=(connection,), daemon=True).start()


def _answer(server):
    with contextlib.suppress(OSError):
        while True:
            data, sender = server.recvfrom(65536)
            if sender is None:  # shut down
                return
            server.sendto(data, sender)


@contextlib.contextmanager
def echo_server(host, port, address, kind=socket.SOCK_STREAM):
    """While the context lasts, whatever is sent to this port comes back."""
    with host.inside():
        server = socket.socket(_family(address), kind)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((address, port))
    if kind == socket.SOCK_STREAM:
        server.listen(64)
    threading.Thread(target=_accept if kind == socket.SOCK_STREAM else _answer, args=(server,),
                     daemon=True).start()
    try:
        yield
    finally:
        # Wakes the thread, which closing alone does not.
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
        server.close()


def connect(host, address, port, seconds=5.0):
    """A connected TCP socket of the host. Raises TimeoutError when nobody answers."""
    with host.inside():
        client = socket.socket(_family(address), socket.SOCK_STREAM)
    client.settimeout(seconds)
    try:
        client.connect((address, port))
    except OSError:
        client.close()
        raise
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


class Stream:
    """A TCP connection to an echo server with a question every few milliseconds, until `finish`."""

    def __init__(self, host, address, port, pause=0.004):
        self.socket = connect(host, address, port)
        self.port = self.socket.getsockname()[1]
        self.pause = pause
        self.exchanges = 0
        self.worst = 0.0  # seconds from a question to its answer
        self.error = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._talk, daemon=True)
        self._thread.start()

    def _talk(self):
        try:
            while not self._stop.is_set():
                start = time.monotonic()
                question = b"%099d\n" % self.exchanges
                self.socket.sendall(question)
                answer = b""
                while len(answer) < len(question):
                    data = self.socket.recv(65536)
                    if not data:
                        raise ConnectionError("the other end has closed the connection")
                    answer += data
                if answer != question:
                    raise ValueError(f"{answer} came back for {question}")
                self.worst = max(self.worst, time.monotonic() - start)
                self.exchanges += 1
                time.sleep(self.pause)
        except (OSError, ValueError) as error:
            self.error = error

    def goes_on(self, exchanges=20, seconds=10.0):
        """Whether so many more answers arrive."""
        end = time.monotonic() + seconds
        goal = self.exchanges + exchanges
        while self.exchanges < goal and self.error is None and time.monotonic() < end:
            time.sleep(0.01)
        return self.exchanges >= goal

    def finish(self):
        """Ends it. Afterwards `exchanges`, `worst` and `error` do not change any more."""
        self._stop.set()
        self._thread.join(10)
        self.socket.close()
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.finish()
