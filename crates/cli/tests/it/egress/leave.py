# Sends something, hears that it was heard, and is gone before the answer is.
import os, socket, ssl

context = ssl.create_default_context()
connection = context.wrap_socket(socket.create_connection(("api.example", 443)), server_hostname="api.example")
body = b"x" * 100000
connection.sendall(b"POST /hold HTTP/1.1\r\nHost: api.example\r\nContent-Length: 100000\r\n\r\n" + body)
connection.recv(12)
os._exit(0)
