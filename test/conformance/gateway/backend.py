# A backend that is not Node: responds with the request line, and every header line as it came in.
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def respond(self):
        if self.path == "/number-of-requests":
            return self.send(str(server.requests).encode())
        server.requests += 1
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length).decode("latin-1")
        seen = {"line": self.requestline, "headers": self.headers.items(), "body": body}
        self.send(json.dumps(seen).encode())

    def send(self, data):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("X-Backend", "reached")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = respond

    def log_message(self, *args):
        pass


class Server(ThreadingHTTPServer):
    requests = 0

    def handle_error(self, *args):
        pass  # a connection that a proxy resets


server = Server(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
