#!/usr/bin/env python3
"""An accept hook for Postern that scans each stored object with ClamAV. Python's standard library only.

Postern asks with the signed message upload.checking. The object is read through Postern and streamed to clamd; nothing is
written to disk. A scan that takes longer than the question goes on: its verdict is sent when it is known. Nothing is kept
across a restart, because Postern asks again.

Environment: HOOK_SECRET (profiles.NAME.accept.secret), POSTERN_URL, POSTERN_KEY (an API key with the rights read, manage
and user), CLAMD (clamd's socket, /run/clamav/clamd.ctl), LISTEN (127.0.0.1:8090).
"""

import base64, concurrent.futures, hmac, http.client, http.server, json, os, socket, struct, sys, threading, time
import urllib.parse

CLAMD = os.environ.get("CLAMD", "/run/clamav/clamd.ctl")
POSTERN, KEY, SECRET = (os.environ[name] for name in ("POSTERN_URL", "POSTERN_KEY", "HOOK_SECRET"))
PATIENCE = 20  # seconds: shorter than profiles.NAME.accept.timeout
MAX_QUESTION, MAX_KNOWN, MAX_WAITING = 64 << 10, 1000, 100
SILENCE = 60  # seconds without progress, of Postern, the store or clamd


def is_genuine(headers, body):
    """Verifies the signature as in Standard Webhooks."""
    key = base64.b64decode(SECRET.removeprefix("whsec_")) if SECRET.startswith("whsec_") else SECRET.encode()
    id, sent_at, signatures = (headers.get("webhook-" + name, "") for name in ("id", "timestamp", "signature"))
    mac = base64.b64encode(hmac.digest(key, f"{id}.{sent_at}.".encode() + body, "sha256")).decode()
    is_signed = any(hmac.compare_digest(one.encode(), b"v1," + mac.encode()) for one in signatures.split())
    return is_signed and sent_at.isdigit() and abs(time.time() - int(sent_at)) < 300


def send(method, url, headers=None, body=None):
    """One request, without following redirects: (connection, response)."""
    parts = urllib.parse.urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.netloc, timeout=SILENCE)
    connection.request(method, urllib.parse.urlunsplit(("", "", parts.path, parts.query, "")), body, headers or {})
    return connection, connection.getresponse()


def open_object(id, etag):
    """The bytes of the object with this ETag: the verdict is about no other one. The store is asked without Postern's key."""
    connection, response = send("GET", f"{POSTERN}/v1/uploads/{id}/download", {"Authorization": "Bearer " + KEY})
    if response.status == 302:
        connection.close()
        connection, response = send("GET", response.headers["Location"])
    if response.status != 200:
        raise OSError(f"the object cannot be read: {response.status} {response.read(300)}")
    if response.headers.get("ETag", "").strip('"') != etag:
        raise OSError("the object was replaced meanwhile")
    return response


def scan(id, etag):
    """None for a clean object, else what was found. Raises OSError if that cannot be said."""
    with open_object(id, etag) as content, socket.socket(socket.AF_UNIX) as clamd:
        clamd.settimeout(SILENCE)
        clamd.connect(CLAMD)
        clamd.sendall(b"zINSTREAM\0")
        while piece := content.read(64 << 10):
            clamd.sendall(struct.pack("!I", len(piece)) + piece)
        if content.length:  # the connection broke off before the end
            raise OSError(f"{content.length} bytes of the object are missing")
        clamd.sendall(struct.pack("!I", 0))
        said = clamd.recv(4096).rstrip(b"\0").decode(errors="replace")
    if said.endswith(" FOUND"):
        return said.removeprefix("stream: ").removesuffix(" FOUND")
    if said != "stream: OK":
        raise OSError(f"clamd says {said!r}")
    return None


def judge(id, etag):
    """Scans, and tells Postern, which may not wait for the answer any more."""
    found = scan(id, etag)
    verdict = {"verdict": "accept"} if found is None else {"verdict": "reject", "reason": "found by ClamAV: " + found}
    print(f"upload={id} verdict={verdict['verdict']} found={found or '-'}", file=sys.stderr, flush=True)
    path, body = ("accept" if found is None else "reject"), json.dumps({**{k: v for k, v in verdict.items() if k == "reason"}, "etag": etag})
    connection, response = send("POST", f"{POSTERN}/v1/uploads/{id}/{path}", {"Authorization": "Bearer " + KEY, "Content-Type": "application/json"}, body)
    response.read()
    connection.close()
    return verdict


pool = concurrent.futures.ThreadPoolExecutor(max_workers=4)
known, lock = {}, threading.Lock()  # running and finished scans, by id and ETag


def verdict_of(id, etag):
    """The scan of this very object. A failed one is begun anew."""
    with lock:
        running = known.get((id, etag))
        if running is None or (running.done() and running.exception()):
            if sum(not scan.done() for scan in known.values()) >= MAX_WAITING:
                raise OSError("too many scans wait")
            while len(known) >= MAX_KNOWN:
                del known[next(name for name, scan in known.items() if scan.done())]
            running = known[id, etag] = pool.submit(judge, id, etag)
    return running.result(PATIENCE)


class Hook(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = SILENCE

    def do_POST(self):
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > MAX_QUESTION:
            return self.answer(413, {"error": "the question is too large"})
        body = self.rfile.read(int(length))
        if not is_genuine(self.headers, body):
            return self.answer(401, {"error": "the signature is wrong"})
        upload = json.loads(body)["data"]
        try:
            self.answer(200, verdict_of(upload["id"], upload["etag"]))
        except concurrent.futures.TimeoutError:
            self.answer(503, {"error": "the scan still runs"})
        except (OSError, http.client.HTTPException) as e:
            print(f"upload={upload['id']} error={str(e)!r}", file=sys.stderr, flush=True)
            self.answer(503, {"error": str(e)})

    def answer(self, status, said):
        text = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    host, _, port = os.environ.get("LISTEN", "127.0.0.1:8090").rpartition(":")
    http.server.ThreadingHTTPServer((host, int(port)), Hook).serve_forever()
