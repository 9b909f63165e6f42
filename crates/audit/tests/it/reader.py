"""An independent reader of a published log and of receipts. It shares no code with what wrote them.

    reader.py log DIR PUBLIC_KEY_HEX ORIGIN         checks checkpoint, tiles and entries
    reader.py cosignature FILE PUBLIC_KEY_HEX NAME  checks a witness's countersignature
    reader.py proof FILE ENTRY PUBLIC_KEY_HEX       checks a tlog-proof of an entry
    reader.py receipt FILE PUBLIC_KEY_HEX           checks a receipt's proof and entry
    reader.py dsse FILE PUBLIC_KEY_HEX              checks a receipt's envelope with securesystemslib

Prints a line of JSON; any exception means that the log is not as the specifications have it.
Ed25519 is that of python3-cryptography; all else follows RFC 6962, C2SP tlog-tiles, tlog-checkpoint, signed-note,
tlog-cosignature and tlog-proof.
"""
import base64, hashlib, json, os, struct, sys
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def sha(data):
    return hashlib.sha256(data).digest()


def leaf(entry):
    return sha(b"\0" + entry)


def node(left, right):
    return sha(b"\1" + left + right)


def root(leaves):
    if not leaves:
        return sha(b"")
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return node(root(leaves[:split]), root(leaves[split:]))


def note(text):
    """The signed text and the signatures, by name."""
    body, _, lines = text.rpartition("\n\n")
    signatures = []
    assert lines.endswith("\n")
    for line in lines[:-1].split("\n"):
        dash, name, data = line.split(" ")
        assert dash == "\u2014"
        signatures.append((name, base64.b64decode(data, validate=True)))
    return body + "\n", signatures


def checkpoint(text, key, origin=None):
    body, signatures = note(text)
    name, size, digest = body[:-1].split("\n")[:3]
    assert origin is None or name == origin
    kid = sha(name.encode() + b"\n\x01" + key)[:4]
    mine = [data for by, data in signatures if by == name and data[:4] == kid]
    assert len(mine) == 1
    Ed25519PublicKey.from_public_bytes(key).verify(mine[0][4:], body.encode())
    assert str(int(size)) == size
    return int(size), base64.b64decode(digest, validate=True)


def place(index, width):
    parts = ["%03d" % (index % 1000)]
    while index >= 1000:
        index //= 1000
        parts.insert(0, "x%03d" % (index % 1000))
    return "/".join(parts) + ("" if width == 256 else ".p/%d" % width)


def read_log(folder, key, origin):
    with open(os.path.join(folder, "checkpoint"), encoding="utf-8") as file:
        size, digest = checkpoint(file.read(), key, origin)
    entries = []
    while len(entries) < size:
        width = min(256, size - len(entries))
        with open(os.path.join(folder, "tile/entries", place(len(entries) // 256, width)), "rb") as file:
            bundle = file.read()
        for _ in range(width):
            (length,) = struct.unpack(">H", bundle[:2])
            entries.append(bundle[2:2 + length])
            bundle = bundle[2 + length:]
        assert not bundle
    hashes = [leaf(entry) for entry in entries]
    assert root(hashes) == digest, "the entries do not give the root"
    level = 0
    while hashes:
        for start in range(0, len(hashes), 256):
            width = min(256, len(hashes) - start)
            with open(os.path.join(folder, "tile", str(level), place(start // 256, width)), "rb") as file:
                assert file.read() == b"".join(hashes[start:start + width]), "a tile differs"
        hashes = [root(hashes[start:start + 256]) for start in range(0, len(hashes) - 255, 256)]
        level += 1
    kinds = {}
    for entry in entries:
        event = json.loads(entry)
        # Canonical: sorted keys, no spaces.
        assert json.dumps(event, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() == entry
        kinds[event["kind"]] = kinds.get(event["kind"], 0) + 1
    return {"size": size, "levels": level, "kinds": kinds}


def read_cosignature(text, key, name):
    body, signatures = note(text)
    kid = sha(name.encode() + b"\n\x04" + key)[:4]
    (mine,) = [data for by, data in signatures if by == name and data[:4] == kid]
    (time,) = struct.unpack(">Q", mine[4:12])
    message = "cosignature/v1\ntime %d\n%s" % (time, body)
    Ed25519PublicKey.from_public_bytes(key).verify(mine[12:], message.encode())
    return {"time": time, "size": int(body.split("\n")[1])}


def read_proof(text, entry, key):
    """RFC 9162, 2.1.3.2."""
    head, _, signed = text.partition("\n\n")
    lines = head.split("\n")
    assert lines[0] == "c2sp.org/tlog-proof@v1"
    index = int(lines[1][len("index "):])
    size, digest = checkpoint(signed, key)
    assert index < size
    fn, sn, r = index, size - 1, leaf(entry)
    for line in lines[2:]:
        p = base64.b64decode(line, validate=True)
        assert sn != 0
        if fn & 1 or fn == sn:
            r = node(p, r)
            while not fn & 1 and fn:
                fn >>= 1
                sn >>= 1
        else:
            r = node(r, p)
        fn >>= 1
        sn >>= 1
    assert sn == 0 and r == digest, "the proof leads elsewhere"
    return {"index": index, "size": size}


def read_receipt(receipt, key):
    form = json.loads(receipt)
    proof = read_proof(form["proof"], form["entry"].encode(), key)
    payload = base64.b64decode(form["envelope"]["payload"], validate=True)
    assert json.loads(form["entry"])["data"]["statement"] == "sha256:" + hashlib.sha256(payload).hexdigest()
    statement = json.loads(payload)
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    return form, statement, proof


def read_dsse(receipt, key):
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import Signature, SSlibKey
    form, statement, proof = read_receipt(receipt, key)
    keyid = form["envelope"]["signatures"][0]["keyid"]
    data = form["envelope"]
    envelope = Envelope(
        base64.b64decode(data["payload"]), data["payloadType"],
        {one["keyid"]: Signature(one["keyid"], base64.b64decode(one["sig"]).hex()) for one in data["signatures"]})
    envelope.verify([SSlibKey(keyid, "ed25519", "ed25519", {"public": key.hex()})], 1)
    return {"subjects": [one["name"] for one in statement["subject"]], "index": proof["index"]}


def main(what, *args):
    if what == "log":
        return read_log(args[0], bytes.fromhex(args[1]), args[2])
    with open(args[0], encoding="utf-8") as file:
        text = file.read()
    if what == "cosignature":
        return read_cosignature(text, bytes.fromhex(args[1]), args[2])
    if what == "proof":
        return read_proof(text, args[1].encode(), bytes.fromhex(args[2]))
    if what == "receipt":
        form, statement, proof = read_receipt(text, bytes.fromhex(args[1]))
        return {"subjects": [one["name"] for one in statement["subject"]], "index": proof["index"]}
    return read_dsse(text, bytes.fromhex(args[1]))


print(json.dumps(main(*sys.argv[1:])))
