"""What the Python receivers share: a plain HTTP server that says of each request whether it is genuine."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def serve(is_genuine):
    """Listens on a free port, prints it, and answers 200 to what `is_genuine(headers, raw)` accepts."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            genuine = is_genuine(self.headers, raw)
            # One write, because several requests are answered at once.
            print(f"{'verified' if genuine else 'refused'} {json.loads(raw)['event']}\n", end="", flush=True)
            self.send_response(200 if genuine else 401)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()
