"""Supports CRC32C of whole objects and requires a checksum with each part, in a trailer, as AWS does since 2025. `spoil`: responds with a wrong checksum."""

from fake_s3 import *


class Peer(FakeS3):
    checksums = True

    def __init__(self, spoil=False):
        super().__init__()
        self.spoil = spoil

    def intercept(self, r):
        if self.spoil and r.operation in ("PutObject", "CompleteMultipartUpload"):
            plain = r.answer

            def answer(status, body=b"", **h):
                if "x-amz-checksum-crc32c" in h:
                    h["x-amz-checksum-crc32c"] = "AAAAAA=="
                return plain(status, re.sub(rb"<ChecksumCRC32C>.*</ChecksumCRC32C>", b"<ChecksumCRC32C>AAAAAA==</ChecksumCRC32C>", body), **h)
            r.answer = answer
        return False
