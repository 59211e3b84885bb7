"""An STS that refuses the role with AWS's error message, unless the external id is right. `because` is appended to the message; `identity` is the ARN that GetCallerIdentity returns."""

from fake_s3 import *

CALLER, ROLE = "arn:aws:iam::111122223333:user/bob", "arn:aws:iam::444455556666:role/uploader"
KEYS = """<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials><AccessKeyId>ASIAROLE</AccessKeyId>
<SecretAccessKey>the secret of the role</SecretAccessKey><SessionToken>the token of the role</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"""


class Peer(FakeS3):
    def __init__(self, because="", external_id=None, code="AccessDenied", message=None, identity=None):
        super().__init__()
        self.external_id, self.code, self.identity = external_id, code, identity
        self.message = f"User: {CALLER} is not authorized to perform: sts:AssumeRole on resource: {ROLE}{because}" if message is None else message

    def intercept(self, r):
        if r.operation != "Post":
            return False
        ask = dict(urllib.parse.parse_qsl(r.body().decode()))
        if ask["Action"] == "GetCallerIdentity" and self.identity:
            return r.answer(200, f"<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>{self.identity}</Arn></GetCallerIdentityResult></GetCallerIdentityResponse>".encode())
        if ask["Action"] == "AssumeRole" and self.external_id and ask.get("ExternalId") == self.external_id:
            return r.answer(200, KEYS.encode())
        return r.answer(403, f"<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type><Code>{self.code}</Code><Message>{escape(self.message)}</Message></Error></ErrorResponse>".encode())
