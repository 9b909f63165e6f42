# The host: says what it was asked, and notes every connection that reached it. server.py FOLDER PORT
import http.server, json, os, ssl, sys, threading

folder, port = sys.argv[1], int(sys.argv[2])
seen = os.open(folder + "/seen", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self):
        os.write(seen, b"connection\n")
        super().setup()

    def body(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            data = b""
            while size := int(self.rfile.readline(), 16):
                data += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return data
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def do_GET(self):
        body = self.body()
        os.write(seen, f"{self.command} {self.path}\n".encode() + body[:4096] + b"\n")
        answer = {"method": self.command, "path": self.path, "host": self.headers["Host"], "bytes": len(body)}
        text = json.dumps(answer).encode() + b"\n"
        self.send_response(200)
        if self.path == "/chunks":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for byte in text:
                self.wfile.write(b"1\r\n%c\r\n" % byte)
            self.wfile.write(b"0\r\n\r\n")
        elif self.path == "/events":
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"d\r\ndata: first\n\n\r\n")
            threading.Event().wait()
        elif self.path == "/hold":
            self.send_header("Content-Length", "2")
            self.end_headers()
            threading.Event().wait()
        elif self.path == "/large":
            self.send_header("Content-Length", str(64 << 20))
            self.end_headers()
            for _ in range(64):
                self.wfile.write(bytes(1 << 20))
        else:
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(text)

    do_POST = do_PUT = do_HEAD = do_GET

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("93.184.216.34", port), Handler)
if port == 443:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder + "/leaf.pem", folder + "/leaf.key")
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
print("up", flush=True)
os.close(1)
server.serve_forever()
