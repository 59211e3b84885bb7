"""Sends one form with a file of so many GB: put.py SIGNER PORT BUCKET GIGABYTES. The form is signed by SIGNER and posted to PORT, which may be a proxy."""

import json, socket, sys, urllib.request

signer, port, bucket, size = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(float(sys.argv[4]) * 1e9)
ask = urllib.request.Request(signer + "/v1/uploads", b'{"filename":"a"}', {"Content-Type": "application/json"})
form = json.load(urllib.request.urlopen(ask))
b = "B" * 40
begin = "".join(f'--{b}\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n' for n, v in form["fields"].items())
begin = (begin + f'--{b}\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n').encode()
end, piece = f"\r\n--{b}--\r\n".encode(), bytes(range(256)) * 4096
s = socket.create_connection(("127.0.0.1", port))
head = f"POST /upload/{bucket} HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary={b}\r\nContent-Length: {len(begin) + size + len(end)}\r\n\r\n"
s.sendall(head.encode() + begin)
for left in range(size, 0, -len(piece)):
    s.sendall(piece[:left] if left < len(piece) else piece)
s.sendall(end)
answer = s.recv(4096)
if b" 303 " not in answer and b" 200 " not in answer:
    sys.exit(f"not stored: {answer!r}")
