"""A fake S3 for behaviour that a real S3 does not show on demand. It has objects and multipart uploads, verifies checksums as AWS does, and stores hashes instead of bytes.

A misbehaviour is a class in a file of its own in peers/, which overrides `intercept`: called with each request before it is answered, it may answer itself (return True), cut the
connection (raise Cut), or wait.
"""

import hashlib, http.server, re, socket, struct, threading, time, urllib.parse
from xml.sax.saxutils import escape

import crc32c


class Cut(Exception):
    """Raised to cut the connection now."""


class Request:
    """One request and its response."""

    def __init__(self, handler):
        self.handler = handler
        parts = urllib.parse.urlsplit(handler.path)
        self.method, self.raw_path = handler.command, parts.path
        self.query = dict(urllib.parse.parse_qsl(parts.query, keep_blank_values=True))
        _, self.bucket, *rest = urllib.parse.unquote(parts.path).split("/", 2)
        self.key = rest[0] if rest else ""
        self.headers = {k.lower(): v for k, v in handler.headers.items()}
        self.length = int(self.headers.get("content-length", 0))
        self.left, self.continued = self.length, False

    @property
    def operation(self):
        q = self.query
        if self.method == "PUT":
            return "UploadPart" if "partNumber" in q else "PutBucketCors" if "cors" in q else "PutObject"
        if self.method == "OPTIONS":
            return "Preflight"
        if self.method == "POST" and self.headers.get("content-type", "").startswith("multipart/form-data"):
            return "PostObject"
        if self.method == "POST":
            return "CreateMultipartUpload" if "uploads" in q else "CompleteMultipartUpload" if "uploadId" in q else "Post"
        if self.method == "DELETE":
            return "AbortMultipartUpload" if "uploadId" in q else "DeleteObject"
        if self.method == "HEAD":
            return "HeadObject" if self.key else "HeadBucket"
        if "uploads" in q:
            return "ListMultipartUploads"
        return "ListParts" if "uploadId" in q else "GetBucketLocation" if "location" in q else "GetBucketLifecycle" if "lifecycle" in q else "GetObject"

    @property
    def asks_for_abilities(self):
        """Postern asks at its start what the store can do (io/s3/s3_abilities)."""
        return "postern-abilities-" in self.key or self.headers.get("content-type", "").endswith("boundary=----postern-abilities") or (self.method == "GET" and "cors" in self.query)

    def go_on(self):
        """Sends 100 Continue, once, if the request expects it."""
        if not self.continued and self.headers.get("expect", "").lower() == "100-continue":
            self.handler.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.continued = True

    def read(self, most=1 << 20):
        """The next bytes of the body; empty at its end. The first call sends 100 Continue if the request expects it."""
        self.go_on()
        data = self.handler.rfile.read1(min(most, self.left)) if self.left else b""
        if self.left and not data:
            raise Cut
        self.left -= len(data)
        return data

    def body(self):
        return b"".join(iter(self.read, b""))

    def answer(self, status, body=b"", close=False, **headers):
        lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {headers.pop('length', len(body))}", "Date: " + time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + self.handler.s3.clock_off))]
        lines += [f"{k.replace('_', '-')}: {v}" for k, v in headers.items()]
        unread = self.left > 0
        if close or unread:
            lines.append("Connection: close")
            self.handler.close_connection = True
        self.handler.wfile.write("\r\n".join(lines).encode() + b"\r\n\r\n" + (b"" if self.method == "HEAD" else body))
        return True

    def refuse(self, status, code, message="", extra="", **headers):
        return self.answer(status, f"<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{escape(message)}</Message>{extra}</Error>".encode(), content_type="application/xml", **headers)


class Object:
    def __init__(self, headers):
        self.headers = {k: v for k, v in headers.items() if k.startswith("x-amz-meta-") or k == "content-type"}
        self.size, self.sha256, self.crc, self.etag = 0, hashlib.sha256(), None, ""


class Multipart(Object):
    def __init__(self, key, headers):
        super().__init__(headers)
        self.key = key
        self.parts, self.turn = {}, threading.Condition()
        self.next = 1


class FakeS3:
    checksums = False  # supports CRC32C of whole objects, as AWS does and Debian 12's RGW does not
    clock_off = 0
    bucket = "media"

    def __init__(self):
        self.objects, self.uploads, self.log, self.lock = {}, {}, [], threading.Lock()
        self.ending = threading.Event()  # set when the test ends, so that delayed responses stop waiting
        s3 = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            rbufsize = 1 << 20

            def handle_one_request(self):
                try:
                    super().handle_one_request()
                except (Cut, ConnectionError):
                    self.close_connection = True
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # as a crash would: RST

            def handle_expect_100(self):
                return True  # 100 Continue is sent when the body is read

            def dispatch(self):
                self.s3, request = s3, Request(self)
                if request.asks_for_abilities:
                    return s3.answer_about_abilities(request)
                with s3.lock:
                    s3.log.append((request.operation, request.key, self.client_address[1]))
                if not s3.intercept(request):
                    s3.serve(request)
                while request.left and not self.close_connection:
                    request.read()

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = do_OPTIONS = dispatch

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.endpoint = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ending.set()
        self.server.shutdown()
        self.server.server_close()

    def count(self, operation):
        with self.lock:
            return sum(1 for o, _, _ in self.log if o == operation)

    def intercept(self, request):
        return False

    def answer_about_abilities(self, r):
        """As S3 does. No misbehaviour meets these questions, and they are not in the log: when they come is a matter of chance."""
        r.body()
        if r.method == "POST" and "uploads" in r.query:
            known = {"x-amz-checksum-algorithm": "CRC32C", "x-amz-checksum-type": r.headers["x-amz-checksum-type"]} if self.checksums else {}
            r.answer(200, b"<InitiateMultipartUploadResult><UploadId>asked</UploadId></InitiateMultipartUploadResult>", **known)
        elif r.method == "DELETE":
            r.answer(204)
        elif r.method == "PUT":
            r.refuse(400, "BadDigest")
        elif r.method == "GET":
            r.refuse(404, "NoSuchCORSConfiguration")
        else:
            r.refuse(400, "EntityTooLarge")

    # --- as S3 ----------------------------------------------------------------------------------

    def serve(self, r):
        getattr(self, r.operation)(r)

    def take(self, r, into):
        """Reads the body into the object's hash, without its aws-chunked framing. Returns (size, crc, etag)."""
        md5, crc, size, trailer = hashlib.md5(), 0, 0, {}

        def add(data):
            nonlocal crc, size
            md5.update(data)
            into.sha256.update(data)
            size += len(data)
            if self.checksums:
                crc = crc32c.add(crc, data)

        if r.headers.get("x-amz-content-sha256") == "STREAMING-UNSIGNED-PAYLOAD-TRAILER":
            raw = r.body()
            while True:
                head, raw = raw.split(b"\r\n", 1)
                n = int(head, 16)
                if n == 0:
                    break
                add(raw[:n])
                assert raw[n:n + 2] == b"\r\n"
                raw = raw[n + 2:]
            trailer = dict(line.split(":", 1) for line in raw.decode().split("\r\n") if line)
            assert size == int(r.headers["x-amz-decoded-content-length"]), "x-amz-decoded-content-length"
        else:
            for data in iter(r.read, b""):
                add(data)
        text = crc32c.text(crc)
        sent = r.headers.get("x-amz-checksum-crc32c") or trailer.get("x-amz-checksum-crc32c")
        if self.checksums and sent and sent != text:
            r.refuse(400, "BadDigest", "The CRC32C you specified did not match the calculated checksum.")
            return None
        return size, sent or text, md5.hexdigest()

    def PutObject(self, r):
        made = Object(r.headers)
        taken = self.take(r, made)
        if taken:
            made.size, made.crc, made.etag = taken
            with self.lock:
                self.objects[r.key] = made
            r.answer(200, ETag=f'"{made.etag}"', **({"x-amz-checksum-crc32c": made.crc} if self.checksums else {}))

    def CreateMultipartUpload(self, r):
        r.body()
        with self.lock:
            upload_id = f"upload{len(self.log)}"
            self.uploads[upload_id] = Multipart(r.key, r.headers)
        known = {"x-amz-checksum-algorithm": "CRC32C", "x-amz-checksum-type": r.headers["x-amz-checksum-type"]} if self.checksums else {}
        r.answer(200, f"<InitiateMultipartUploadResult><UploadId>{upload_id}</UploadId></InitiateMultipartUploadResult>".encode(), **known)

    def ListMultipartUploads(self, r):
        with self.lock:
            found = [(id, one.key) for id, one in self.uploads.items() if one.key.startswith(r.query["prefix"])]
        listed = "".join(f"<Upload><Key>{escape(key)}</Key><UploadId>{id}</UploadId></Upload>" for id, key in found)
        r.answer(200, f"<ListMultipartUploadsResult>{listed}</ListMultipartUploadsResult>".encode())

    def UploadPart(self, r):
        upload = self.uploads.get(r.query["uploadId"])
        if not upload:
            return r.refuse(404, "NoSuchUpload")
        number = int(r.query["partNumber"])
        if self.checksums and not (r.headers.get("x-amz-checksum-crc32c") or r.headers.get("x-amz-trailer")):
            return r.refuse(400, "InvalidRequest", "The upload was created with a checksum algorithm")
        with upload.turn:  # bytes are hashed in the order of their parts
            if not upload.turn.wait_for(lambda: upload.next >= number, 5):
                return r.refuse(400, "InvalidRequest", "out of order")
        so_far = upload.sha256.copy()
        try:
            taken = self.take(r, upload)
        except Cut:
            upload.sha256 = so_far  # an interrupted part does not exist
            raise
        if not taken:
            return
        with upload.turn:
            upload.parts[number] = taken
            upload.next = number + 1
            upload.turn.notify_all()
        r.answer(200, ETag=f'"{taken[2]}"')

    def ListParts(self, r):
        upload = self.uploads.get(r.query["uploadId"])
        if not upload:
            return r.refuse(404, "NoSuchUpload")
        sum_of = (lambda crc: f"<ChecksumCRC32C>{crc}</ChecksumCRC32C>") if self.checksums else (lambda _: "")
        listed = "".join(f"<Part><PartNumber>{n}</PartNumber><ETag>{etag}</ETag><Size>{size}</Size>{sum_of(crc)}</Part>" for n, (size, crc, etag) in sorted(upload.parts.items()))
        return r.answer(200, f"<ListPartsResult>{listed}</ListPartsResult>".encode())

    def CompleteMultipartUpload(self, r):
        body = r.body().decode()
        upload = self.uploads.get(r.query["uploadId"])
        if not upload:
            return r.refuse(404, "NoSuchUpload")
        listed = re.findall(r"<PartNumber>(\d+)</PartNumber><ETag>(?:&quot;|\")(\w+)(?:&quot;|\")</ETag>(?:<ChecksumCRC32C>([^<]+)</ChecksumCRC32C>)?", body)
        if [(int(n), e) for n, e, _ in listed] != [(n, p[2]) for n, p in sorted(upload.parts.items())]:
            return r.refuse(400, "InvalidPart")
        if any(p[0] < 5 << 20 for n, p in upload.parts.items() if n != len(upload.parts)):
            return r.refuse(400, "EntityTooSmall")
        if self.checksums and any(c != upload.parts[int(n)][1] for n, _, c in listed):
            return r.refuse(400, "InvalidPart", "checksum of a part")
        upload.size = sum(p[0] for p in upload.parts.values())
        upload.etag, upload.crc = f"{hashlib.md5(b''.join(bytes.fromhex(e) for _, e, _ in listed)).hexdigest()}-{len(listed)}", r.headers.get("x-amz-checksum-crc32c")
        with self.lock:
            self.objects[r.key] = self.uploads.pop(r.query["uploadId"])
        r.answer(200, (f"<?xml version=\"1.0\"?><CompleteMultipartUploadResult><ETag>&quot;{upload.etag}&quot;</ETag>" +
                       (f"<ChecksumCRC32C>{upload.crc}</ChecksumCRC32C>" if self.checksums else "") + "</CompleteMultipartUploadResult>").encode())

    def AbortMultipartUpload(self, r):
        with self.lock:
            gone = self.uploads.pop(r.query["uploadId"], None)
        return r.answer(204) if gone else r.refuse(404, "NoSuchUpload")

    def HeadObject(self, r):
        found = self.objects.get(r.key)
        if not found:
            return r.answer(404)
        extra = {"x-amz-checksum-crc32c": found.crc, "x-amz-checksum-type": "FULL_OBJECT"} if self.checksums and r.headers.get("x-amz-checksum-mode") else {}
        r.answer(200, length=found.size, ETag=f'"{found.etag}"', **found.headers, **extra)

    def PostObject(self, r):
        """Stores the file of a form without checking the signature. Tests of signatures use a real S3."""
        body = r.body()
        boundary = re.search("boundary=(.*)", r.headers["content-type"]).group(1).encode()
        parts = [p.split(b"\r\n\r\n", 1) for p in body.split(b"--" + boundary)[1:-1]]
        fields = {re.search(rb' name="([^"]*)"', head).group(1).decode(): data[:-2] for head, data in parts}
        if "file" not in fields:
            return r.refuse(400, "InvalidArgument", "POST requires exactly one file upload per request.", **self.allowed(r))
        made = Object({})
        made.sha256.update(fields["file"])
        made.size, made.etag = len(fields["file"]), hashlib.md5(fields["file"]).hexdigest()
        key = fields["key"].decode()
        with self.lock:
            self.objects[key] = made
        where = fields["success_action_redirect"].decode() + "?" + urllib.parse.urlencode({"bucket": self.bucket, "key": key, "etag": f'"{made.etag}"'}, quote_via=urllib.parse.quote)
        return r.answer(303, Location=where, **self.allowed(r))

    def allowed(self, r):
        return {"Access-Control-Allow-Origin": r.headers["origin"], "Access-Control-Allow-Methods": "POST, PUT", "Access-Control-Expose-Headers": "ETag, Location"} if "origin" in r.headers else {}

    def Preflight(self, r):
        return r.answer(200, **self.allowed(r))

    def HeadBucket(self, r):
        r.answer(200)

    def DeleteObject(self, r):
        with self.lock:
            self.objects.pop(r.key, None)
        r.answer(204)

    def GetBucketLifecycle(self, r):
        r.refuse(404, "NoSuchLifecycleConfiguration")

    def GetBucketLocation(self, r):
        r.answer(200, b"<LocationConstraint/>")
