"""The control socket, spoken to directly: what `ipfw` says, without a process for each command."""

import json
import re
import socket
import struct
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[3]
PROTOCOL = SOURCE / "controlplane/service/protocol.h"
VERBS = {"add": 2, "delete": 3}  # of language::TableCommand


class ControlSocket:
    """REQUIRES: the control plane is up. Use it as a context manager, or `close` it."""

    def __init__(self, path):
        text = PROTOCOL.read_text()
        self.version = int(re.search(r"kProtocolVersion = (\d+);", text).group(1))
        self.path = str(path)
        self.socket = None

    def _exchange(self, message):
        if self.socket is None:
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.socket.connect(self.path)
        self.socket.sendall(message)
        size = struct.unpack("<I", self._read(4))[0]
        return json.loads(self._read(size))

    def _read(self, size):
        data = b""
        while len(data) < size:
            part = self.socket.recv(size - len(data))
            if not part:
                raise ConnectionError("the control plane has closed the connection")
            data += part
        return data

    def table_message(self, table, verb, keys):
        """The bytes of one command: `table T add KEY …`, quiet."""
        records = [word for key in keys for word in (key, "")]
        body = json.dumps({
            "version": self.version, "whole": False, "brief": True,
            "operations": [{"do": "table", "verb": VERBS[verb], "table": table, "quiet": True,
                            "forgive": True, "records": records}]}).encode()
        return struct.pack("<I", len(body)) + body

    def change(self, message):
        answer = self._exchange(message)
        if answer["status"] != 0 or any(result["status"] for result in answer["results"]):
            raise RuntimeError(f"refused: {answer}")

    def close(self):
        if self.socket is not None:
            self.socket.close()
            self.socket = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
