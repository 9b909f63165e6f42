# More connections than the gateway serves at once: the last one is served once others end.
import socket, ssl, sys

silent = [socket.create_connection(("api.example", 443)) for _ in range(300)]
last = socket.create_connection(("api.example", 443))
print("open", flush=True)
sys.stdin.readline()
for connection in silent:
    connection.close()
tls = ssl.create_default_context().wrap_socket(last, server_hostname="api.example")
tls.sendall(b"GET /last HTTP/1.1\r\nHost: api.example\r\nConnection: close\r\n\r\n")
print(tls.makefile("rb").readline().split()[1].decode())
