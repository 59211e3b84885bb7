"""Cuts the connection once (or always) at one step: 'begin' before any byte, 'middle' of the body, 'end' before the request is served, 'done' after that but before the response."""

from fake_s3 import *


class Peer(FakeS3):
    def __init__(self, operation, step, always=False):
        super().__init__()
        self.operation, self.step, self.always = operation, step, always

    def intercept(self, r):
        if r.operation != self.operation or (self.count(r.operation) > 1 and not self.always):
            return False
        if self.step == "middle":
            for _ in range(3):
                r.read(1000)
        if self.step == "end":
            r.body()
        if self.step == "done":
            r.answer = lambda *_, **__: None  # served, but without a response
            self.serve(r)
        raise Cut
