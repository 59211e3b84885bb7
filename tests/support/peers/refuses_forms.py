"""Accepts requests but rejects forms. `because` is called with the form's text and returns (status, code, message, more XML)."""

from fake_s3 import *


class Peer(FakeS3):
    def __init__(self, because):
        super().__init__()
        self.because = because

    def intercept(self, r):
        return r.operation == "PostObject" and r.refuse(*self.because(r.body().decode()), **self.allowed(r))
