"""tls_server.py PORT CERTIFICATE KEY: shakes hands with everybody, many at a time, and hangs up."""

import socketserver
import ssl
import sys


class Handshake(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.settimeout(5)
        try:
            with context.wrap_socket(self.request, server_side=True) as connection:
                connection.recv(1)
        except (OSError, ssl.SSLError):
            pass


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[2], sys.argv[3])
server = Server(("0.0.0.0", int(sys.argv[1])), Handshake)
print("listening", flush=True)
server.serve_forever()
