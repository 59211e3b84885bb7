"""Serves as S3 until `is_hanging` is set. Then it accepts connections and requests, and says nothing."""

from fake_s3 import *


class Peer(FakeS3):
    def __init__(self):
        super().__init__()
        self.is_hanging = threading.Event()

    def intercept(self, r):
        if not self.is_hanging.is_set():
            return False
        r.body()
        self.ending.wait(600)
        raise Cut

    def put(self, form, data):
        """Stores an object as a browser's direct upload of this form does. Returns the ETag."""
        made = Object({"x-amz-meta-postern-id": form["id"]})
        made.size, made.etag = len(data), hashlib.md5(data).hexdigest()
        with self.lock:
            self.objects[form["key"]] = made
        return made.etag
