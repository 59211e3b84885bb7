"""Signed requests to a real S3 server, and what tests ask of any of them."""

import hashlib, hmac, urllib.error, urllib.parse, urllib.request
from datetime import datetime, timezone
import xml.etree.ElementTree as xml

ACCESS_KEY, SECRET_KEY, REGION = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "us-east-1"


class Denied(Exception):
    def __init__(self, status, body):
        super().__init__(f"{status}: {body[:500]}")
        self.status, self.body = status, body


def signed(method, url, body=b"", headers=None, service="s3", access_key=ACCESS_KEY, secret_key=SECRET_KEY, token=None, payload_hash=None, timeout=60):
    """Sends one request signed with Signature Version 4. Returns (headers, body) or raises Denied."""
    parts = urllib.parse.urlsplit(url)
    now = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{now[:8]}/{REGION}/{service}/aws4_request"
    fields = {k.lower(): v for k, v in (headers or {}).items()}
    fields.update({"host": parts.netloc, "x-amz-date": now, "x-amz-content-sha256": payload_hash or hashlib.sha256(body).hexdigest()})
    if token:
        fields["x-amz-security-token"] = token
    query = sorted(urllib.parse.parse_qsl(parts.query, keep_blank_values=True))
    canonical_query = "&".join(f"{urllib.parse.quote(k, safe='-_.~')}={urllib.parse.quote(v, safe='-_.~')}" for k, v in query)
    names = ";".join(sorted(fields))
    canonical = "\n".join([method, parts.path or "/", canonical_query] + [f"{k}:{fields[k].strip()}" for k in sorted(fields)] + ["", names, fields["x-amz-content-sha256"]])
    to_sign = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = ("AWS4" + secret_key).encode()
    for piece in scope.split("/"):
        key = hmac.new(key, piece.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
    fields["authorization"] = f"AWS4-HMAC-SHA256 Credential={access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
    del fields["host"]
    request = urllib.request.Request(url, data=body if method in ("PUT", "POST") else None, method=method, headers=fields)
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return {k.lower(): v for k, v in answer.headers.items()}, answer.read()
    except urllib.error.HTTPError as e:
        raise Denied(e.code, e.read().decode(errors="replace")) from None


class S3Server:
    """A server with `endpoint` and `bucket`, that is reached by path."""

    endpoint, bucket = "", ""  # of the instance
    access_key, secret_key = ACCESS_KEY, SECRET_KEY

    def url(self, key="", bucket=None, query=""):
        return f"{self.endpoint}/{bucket or self.bucket}" + (("/" + urllib.parse.quote(key, safe="/-_.~")) if key else "") + query

    def request(self, method, key="", bucket=None, query="", body=b"", **more):
        return signed(method, self.url(key, bucket, query), body, **{"access_key": self.access_key, "secret_key": self.secret_key, **more})

    def make_bucket(self, name, **more):
        self.request("PUT", bucket=name, **more)
        return True

    def head(self, key, **more):
        return self.request("HEAD", key, **more)[0]

    def has(self, key, bucket=None):
        try:
            self.request("HEAD", key, bucket)
            return True
        except Denied as e:
            assert e.status == 404, e
            return False

    def get(self, key, bucket=None):
        return self.request("GET", key, bucket, timeout=600)[1]

    def hash_of(self, key, bucket=None):
        """SHA-256 of the object, read in pieces: it may be large."""
        size = int(self.head(key, bucket=bucket)["content-length"])
        digest, step = hashlib.sha256(), 64 << 20
        for at in range(0, size, step):
            digest.update(self.request("GET", key, bucket, headers={"Range": f"bytes={at}-{min(size, at + step) - 1}"}, timeout=600)[1])
        return digest.hexdigest()

    def keys(self, bucket=None):
        body = self.request("GET", bucket=bucket, query="?max-keys=1000")[1]
        return [e.text for e in xml.fromstring(body).iter() if e.tag.endswith("}Key")]

    def multiparts(self, bucket=None):
        """Multipart uploads that are neither completed nor aborted."""
        return self.request("GET", bucket=bucket, query="?uploads=")[1].count(b"<UploadId>")
