"""CompleteMultipartUpload is answered 200 with an error inside, as S3 does when it fails after it began to answer; `times` times."""

from fake_s3 import *


class Peer(FakeS3):
    def __init__(self, times):
        super().__init__()
        self.times = times

    def meddle(self, r):
        if r.operation != "CompleteMultipartUpload" or self.count(r.operation) > self.times:
            return False
        r.body()
        return r.answer(200, b"  \n<?xml version=\"1.0\"?><Error><Code>InternalError</Code><Message>We encountered an internal error. Please try again.</Message></Error>")
