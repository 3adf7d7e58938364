"""web_server.py PORT TEXT: answers every GET on this port, IPv4 and IPv6, with TEXT."""

import http.server
import socket
import sys


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = sys.argv[2].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6

    def server_bind(self):
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        # Not HTTPServer's: it asks the DNS for the name of the host.
        http.server.socketserver.TCPServer.server_bind(self)


server = Server(("::", int(sys.argv[1])), Answer)
print("listening", flush=True)
server.serve_forever()
