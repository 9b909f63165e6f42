# What of these addresses can be reached, by connections and by datagrams.
import errno, socket


def attempt(kind, address, port):
    try:
        attempted = socket.socket(socket.AF_INET, kind)
        attempted.connect((address, port))
        if kind == socket.SOCK_DGRAM:
            attempted.send(b"x")
            attempted.recv(1)
        return "reached"
    except OSError as error:
        return errno.errorcode[error.errno]


connection, datagram = socket.SOCK_STREAM, socket.SOCK_DGRAM
for kind, address, port in [
    (connection, "93.184.216.34", 443),
    (connection, "93.184.216.1", 443),
    (connection, "169.254.169.254", 80),
    (datagram, "8.8.8.8", 53),
    (datagram, "93.184.216.34", 443),
    (connection, "198.18.1.1", 444),
    (datagram, "198.18.1.1", 443),
    (connection, "198.18.1.2", 443),
    (connection, "198.18.1.1", 443),
]:
    print(attempt(kind, address, port))
