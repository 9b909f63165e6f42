# More connections than the gateway serves at once: the last one waits, and is served once others end.
import socket, ssl, sys

silent = [socket.create_connection(("api.example", 443)) for _ in range(300)]
last = socket.create_connection(("api.example", 443))
tls = ssl.create_default_context().wrap_socket(last, server_hostname="api.example", do_handshake_on_connect=False)
# A gateway without a bound answers well within this; the silent ones are waited for much longer.
tls.settimeout(2)
try:
    tls.do_handshake()
    print("served beside all others", flush=True)
except TimeoutError:
    print("waits", flush=True)
print("open", flush=True)
sys.stdin.readline()
for connection in silent:
    connection.close()
tls.settimeout(None)
tls.do_handshake()
tls.sendall(b"GET /last HTTP/1.1\r\nHost: api.example\r\nConnection: close\r\n\r\n")
print(tls.makefile("rb").readline().split()[1].decode())
