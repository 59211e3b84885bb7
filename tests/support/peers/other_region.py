"""A bucket in eu-west-3. A request that is signed for another region is rejected, and the error names the right region."""

from fake_s3 import *


class Peer(FakeS3):
    def intercept(self, r):
        if "/eu-west-3/s3/" in r.headers.get("authorization", ""):
            return False
        return r.refuse(400, "AuthorizationHeaderMalformed", "the region 'us-east-1' is wrong; expecting 'eu-west-3'", "<Region>eu-west-3</Region>", **{"x-amz-bucket-region": "eu-west-3"})
