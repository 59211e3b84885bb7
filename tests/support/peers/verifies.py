"""Verifies the signature of each request as AWS does. If the signatures differ, the error has the text that the server signed. `host`: the Host field as a proxy in front has changed it."""

import hmac

from fake_s3 import *


class Peer(FakeS3):
    def __init__(self, secret, host=None):
        super().__init__()
        self.secret, self.host = secret, host

    def intercept(self, r):
        authorization = r.headers.get("authorization")
        if not authorization:
            return False
        scope, names, signature = re.search(r"Credential=[^/]+/([^,]+), ?SignedHeaders=([^,]+), ?Signature=(\w+)", authorization).groups()
        headers = dict(r.headers, host=self.host or r.headers["host"])
        query = "&".join(f"{urllib.parse.quote(k, safe='-_.~')}={urllib.parse.quote(v, safe='-_.~')}" for k, v in sorted(r.query.items()))
        canonical = "\n".join([r.method, r.raw_path, query] + [f"{n}:{headers[n].strip()}" for n in names.split(";")] + ["", names, r.headers["x-amz-content-sha256"]])
        to_sign = "\n".join(["AWS4-HMAC-SHA256", r.headers["x-amz-date"], scope, hashlib.sha256(canonical.encode()).hexdigest()])
        key = ("AWS4" + self.secret).encode()
        for piece in scope.split("/"):
            key = hmac.new(key, piece.encode(), hashlib.sha256).digest()
        if hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest() == signature:
            return False
        return r.refuse(403, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided. Check your key and signing method.",
                        f"<StringToSign>{escape(to_sign)}</StringToSign><SignatureProvided>{signature}</SignatureProvided><CanonicalRequest>{escape(canonical)}</CanonicalRequest>")
