"""A store that encrypts with SSE-KMS: its ETags are no MD5s. The answer to the first CompleteMultipartUpload is lost."""

import secrets

from email.utils import formatdate
from fake_s3 import *


class Peer(FakeS3):
    checksums = False
    clock_off = 600
    created_before = 0  # seconds by which the object seems older

    def intercept(self, r):
        if r.operation == "CompleteMultipartUpload" and self.count(r.operation) == 1:
            r.answer = lambda *_, **__: None
            self.serve(r)
            made = self.objects[r.key]
            made.etag = secrets.token_hex(16) + "-" + made.etag.partition("-")[2]
            made.headers["Last-Modified"] = formatdate(time.time() + self.clock_off - self.created_before, usegmt=True)
            raise Cut
        return False

    def take(self, r, into):
        taken = super().take(r, into)
        return taken and (taken[0], taken[1], secrets.token_hex(16))
