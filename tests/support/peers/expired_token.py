"""Answers ExpiredToken to the first access key. Accepts every other key."""

from fake_s3 import *


class Peer(FakeS3):
    first = None

    def intercept(self, r):
        if r.operation == "Post" or not r.key:
            return self.sts(r)
        key = re.search(r"Credential=([^/]+)/", r.headers["authorization"]).group(1)
        self.first = self.first or key
        return key == self.first and r.refuse(400, "ExpiredToken", "The provided token has expired.")

    def sts(self, r):
        r.body()
        n = self.count("Post")
        return r.answer(200, f"""<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials><AccessKeyId>ASIA{n}</AccessKeyId>
<SecretAccessKey>secret{n}</SecretAccessKey><SessionToken>token{n}</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>""".encode())
