# Requests that can be read in two ways, or mean another host, each on a connection of its own.
import socket, ssl

context = ssl.create_default_context()
host = b"Host: api.example\r\n"
for request in [
    b"POST / HTTP/1.1\r\n" + host + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n",
    b"POST / HTTP/1.1\r\n" + host + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n12345",
    b"POST / HTTP/1.1\r\n" + host + b"Content-Length: +5\r\n\r\n12345",
    b"POST / HTTP/1.1\r\n" + host + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\n" + host + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\n" + host + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + host + b"X: a\r\n b\r\n\r\n",
    b"GET / HTTP/1.1\nHost: api.example\n\n",
    b"GET / HTTP/1.1\r\nHost: api.example\rX: y\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + host + b"X: a\0b\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + host + b"Host: other.example\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET https://other.example/ HTTP/1.1\r\n" + host + b"\r\n",
    b"CONNECT other.example:443 HTTP/1.1\r\n" + host + b"\r\n",
    b"GET / HTTP/1.1\r\n" + host + b"Upgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + host + b"Connection: Authorization\r\n\r\n",
    b"GET / HTTP/1.0\r\n" + host + b"\r\n",
    b"\r\nGET / HTTP/1.1\r\n" + host + b"\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
]:
    connection = context.wrap_socket(socket.create_connection(("api.example", 443)), server_hostname="api.example")
    connection.sendall(request)
    print(connection.recv(12).decode(), flush=True)
print("all")
