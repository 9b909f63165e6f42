"""Opens a sealed package of version 1 after docs/formats/sealed-package.md, apart from the Rust code.

python3 open_package.py v1.sealed v1.key > model        (needs the package `cryptography`)
"""

import base64
import hashlib
import hmac
import json
import struct
import sys

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

LABEL = b"hotcell sealed package v1 %s\0"


def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def mac(key, *parts):
    return hmac.new(key, b"".join(parts), hashlib.sha256).digest()


def hkdf(key, salt, info):
    return mac(mac(salt or bytes(32), key), info, b"\x01")


def bech32(text):
    """The bytes of a Bech32 text; the checksum is left to the Rust code."""
    digits = ["qpzry9x8gf2tvdw0s3jn54khce6mua7l".index(c) for c in text.strip().lower().rpartition("1")[2][:-6]]
    bits = "".join(f"{digit:05b}" for digit in digits)
    return bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits) // 8 * 8, 8))


def hpke_open(secret, sealed, info):
    """RFC 9180, base mode: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM."""

    def extract(suite, salt, label, ikm):
        return mac(salt or bytes(32), b"HPKE-v1", suite, label, ikm)

    def expand(suite, prk, label, context, length):
        return mac(prk, struct.pack(">H", length), b"HPKE-v1", suite, label, context, b"\x01")[:length]

    kem, suite = b"KEM" + struct.pack(">H", 0x20), b"HPKE" + struct.pack(">HHH", 0x20, 1, 2)
    point, ciphertext = sealed[:32], sealed[32:]
    shared = secret.exchange(X25519PublicKey.from_public_bytes(point))
    own = secret.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    shared = expand(kem, extract(kem, b"", b"eae_prk", shared), b"shared_secret", point + own, 32)
    context = b"\0" + extract(suite, b"", b"psk_id_hash", b"") + extract(suite, b"", b"info_hash", info)
    prk = extract(suite, shared, b"secret", b"")
    key, nonce = expand(suite, prk, b"key", context, 32), expand(suite, prk, b"base_nonce", context, 12)
    return AESGCM(key).decrypt(nonce, ciphertext, b"")


def open_package(package, key_text):
    assert package[:8] == b"\x89HOTCELL" and package[8:12] == b"\0\1\0\1"
    end = 16 + struct.unpack(">I", package[12:16])[0]
    signed, signature, tag = package[:end], package[end : end + 64], package[end + 64 : end + 96]
    header = json.loads(package[16:end])
    vendor = Ed25519PublicKey.from_public_bytes(bech32(header["vendor"]))
    vendor.verify(signature, LABEL % b"header" + signed)

    secret = X25519PrivateKey.from_private_bytes(bech32(key_text))
    for sealed in header["recipients"]:
        try:
            data_key = hpke_open(secret, base64.b64decode(sealed), LABEL % b"data key" + b"\0\1")
            break
        except Exception:
            continue
    else:
        raise SystemExit("not sealed to this key")
    assert hmac.compare_digest(tag, mac(hkdf(data_key, b"", LABEL % b"header mac"), signed, signature))

    binding = sha(LABEL % b"binding", signed, signature, tag)
    assert package[end + 96 : end + 128] == binding
    body, model, root = end + 128, b"", LABEL % b"root" + binding
    cipher = AESGCM(hkdf(data_key, binding, LABEL % b"body key"))
    size, step = sum(file["bytes"] for file in header["files"]), header["chunk_bytes"]
    chunks = max(1, -(-size // step))
    for index in range(chunks):
        length = min(step, size - index * step) + 16
        chunk = package[body : body + length]
        nonce = struct.pack(">IQ", int(index + 1 == chunks), index)
        model += cipher.decrypt(nonce, chunk, b"")
        root += sha(LABEL % b"chunk", struct.pack(">Q", index), chunk)
        body += length
    vendor.verify(package[body : body + 64], LABEL % b"trailer" + sha(root))
    assert len(package) == body + 64
    return model


if __name__ == "__main__":
    with open(sys.argv[1], "rb") as package, open(sys.argv[2]) as key:
        sys.stdout.buffer.write(open_package(package.read(), key.read()))
