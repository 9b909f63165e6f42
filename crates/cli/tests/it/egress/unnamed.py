# Connections that do not say, by TLS, whom they mean.
import socket, ssl


def told(connection):
    """What comes back: an alert of TLS, or nothing."""
    return connection.recv(7).hex()


plain = socket.create_connection(("api.example", 443))
plain.sendall(b"GET / HTTP/1.1\r\nHost: api.example\r\n\r\n")
print("plain", told(plain))
try:
    ssl._create_unverified_context().wrap_socket(socket.create_connection(("api.example", 443)))
except OSError as error:
    print("unnamed", type(error).__name__)
