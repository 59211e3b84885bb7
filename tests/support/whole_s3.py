"""Postern in front of a real S3 (Ceph RGW): starting it, and sending large forms."""

# pylint: disable=unused-import  # the tests take these names from here
import importlib, itertools, os, sys
from whole import *
import crc32c, rgw
from rgw import Rgw, Denied

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "peers"))

MIB = 1 << 20


def peer(name, *args, **more):
    """An S3 that misbehaves: the Peer of that file in peers/."""
    return importlib.import_module(name).Peer(*args, **more)


def need_rgw():
    if not rgw.is_installed():
        skip_all("Ceph RGW is not installed; tests/run installs it")


def s3_server(s3, config="", **settings):
    """A Postern whose store is `s3`: an Rgw, or a URL. Settings as for Server; None leaves a setting out."""
    endpoint = s3 if isinstance(s3, str) else s3.endpoint
    all_settings = {"store__type": "s3", "store__endpoint": endpoint, "store__bucket": getattr(s3, "bucket", "media"), "store__path_style": "true", "store__region": rgw.REGION}
    all_settings.update(settings)
    text = config or "[auth]\nanonymous = true\n"
    return Server(text, **{k: v for k, v in all_settings.items() if v is not None})


def what_the_store_can_do(server):
    """The log line that says what the node has found out about its store at its start. Waits for it."""
    event = 'event="the store was asked what it can do"'
    return wait_until(lambda: next((line for line in server.log_text().splitlines() if event in line), None), "the store says what it can do", 30)


def check_taken_by_fallback(test, s3, server, form, data):
    """The object is whole, the ledger agrees with it, and no multipart upload is left."""
    recorded = server.status(form["id"])
    test.assertEqual((recorded["state"], recorded["size"], recorded["completed_by"]), ("completed", data.size, "fallback"))
    test.assertEqual(s3.hash_of(form["key"]), data.sha256())
    test.assertEqual(recorded["checksum_crc32c"], crc32c.of(data))
    test.assertEqual('"' + recorded["etag"] + '"', s3.head(form["key"])["etag"])
    test.assertEqual(s3.multiparts(), 0)


def curl_form(url, fields, path, follow=False, filename=None):
    """Posts a form with curl, as a newcomer would: (status, headers, body) of the first answer, or of the last when followed."""
    command = ["curl", "-sS", "-i", "--max-time", "300", "-H", "Expect:"] + (["-L", "-H", "Accept: application/json"] if follow else [])
    for name, value in fields.items():
        command += ["--form-string", f"{name}={value}"]
    done = subprocess.run(command + ["-F", f"file=@{path}" + (f';filename="{filename}"' if filename else ""), url], capture_output=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    while follow and body.startswith(b"HTTP/1.1"):
        head, _, body = body.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    return int(lines[0].split()[1]), {k.lower(): v for k, v in (l.split(": ", 1) for l in lines[1:] if ": " in l)}, body


def post_to_s3(form, data=b"hello", filename="a b.bin", fields=None):
    """Posts a form straight to S3, as a browser does, and does not follow the redirect: (status, headers, body)."""
    body, content_type = form_body(form["fields"] if fields is None else fields, data, filename)
    url = urlsplit(form["url"])
    c = http.client.HTTPConnection(url.hostname, url.port, timeout=60)
    try:
        c.request("POST", url.path or "/", body, {"Content-Type": content_type})
        r = c.getresponse()
        return r.status, {k.lower(): v for k, v in r.getheaders()}, r.read()
    finally:
        c.close()


class Pattern:
    """Bytes that are never held whole: `size` of them, other ones for each seed."""

    def __init__(self, size, seed=1):
        self.size = size
        self.block = hashlib.shake_128(str(seed).encode()).digest(MIB)

    def __iter__(self):
        for at in range(0, self.size, MIB):
            yield self.block[:min(MIB, self.size - at)]

    def sha256(self):
        digest = hashlib.sha256()
        for piece in self:
            digest.update(piece)
        return digest.hexdigest()


def send_large(server, form, data, behind=b"", bucket="media", on_piece=None, chunked=False, source="127.0.0.1"):
    """One form with a file that is made as it is sent; answers what read_answer does."""
    begin, end = form_begin(form["fields"], "a b.bin"), form_end(behind)
    with server.raw(timeout=600, source=source) as s:
        s.sendall(form_header(None if chunked else len(begin) + data.size + len(end), bucket))
        wrap = (lambda b: b"%x\r\n%b\r\n" % (len(b), b)) if chunked else (lambda b: b)
        try:
            for piece in itertools.chain([begin], data, [end]):
                if piece:
                    s.sendall(wrap(piece))
                if on_piece:
                    on_piece()
            if chunked:
                s.sendall(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            pass  # rejected early: the response has the reason
        return read_answer(s)


def send_until_taken(server, form, data, source="127.0.0.1", seconds=600):
    """Sends as send_large does, and again while the server is too busy. Answers the last status and how often it was too busy."""
    end = time.monotonic() + seconds
    for busy in itertools.count():
        status, headers, _ = send_large(server, form, data, source=source) or (503, {"retry-after": "1"}, b"")  # a reset can overtake the answer
        if status != 503 or time.monotonic() > end:
            return status, busy
        time.sleep(int(headers["retry-after"]))
