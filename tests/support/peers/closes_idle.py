"""Closes every connection half a second after its last request, without notice, as S3 closes idle connections."""

from fake_s3 import *


class Peer(FakeS3):
    def __init__(self):
        super().__init__()
        self.server.RequestHandlerClass.timeout = 0.5
