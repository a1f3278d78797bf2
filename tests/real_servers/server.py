# Python's server with an idle timeout of a few milliseconds.
import http.server
import sys

IDLE_SECONDS = float(sys.argv[1]) / 1000
posts = []


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    # For the first request, which a busy machine may be late with.
    timeout = 30

    def handle_one_request(self):
        super().handle_one_request()
        self.connection.settimeout(IDLE_SECONDS)

    def answer(self, text):
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def do_GET(self):
        self.answer("\n".join(posts) if self.path == "/posts" else self.path)

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        posts.append(self.path)
        if self.path.endswith("3"):
            # It was carried out, and nobody is told.
            self.close_connection = True
        else:
            self.answer(self.path)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512

    def handle_error(self, *_):
        pass


server = Server(("127.0.0.1", 0), Handler)
print("listening on", server.server_address[1], flush=True)
server.serve_forever()
