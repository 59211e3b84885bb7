"""postern doctor and postern setup: each planted fault is found and its remedy is named. The doctor leaves nothing behind and prints no secret."""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from whole_s3 import *
import hooks

ORIGIN = "https://app.example.com"
SERVER_SECRET = "a secret for the tests only"
CHECKS = ["configuration", "store", "clock", "credentials", "AssumeRole", "bucket", "probe object", *["abilities"] * 6, "form", "lifecycle", "CORS", "ledger", "secrets", "public_url", "large form"]
KEYS = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
ROLE = "arn:aws:iam::444455556666:role/uploader"


class DoctorOutput:
    """The output of a command: the mark of each check, and all output as one text without line ends."""

    def __init__(self, done):
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr
        self.marks = [(m.group(2).strip(), m.group(1)) for m in re.finditer(r"^([✓✗!–]) (.{16})", self.out, re.M)]
        self.text = " ".join((self.out + self.err).split())

    def mark(self, check):
        return [m for c, m in self.marks if c == check]


class DoctorTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="postern-test-")
        self.addCleanup(shutil.rmtree, self.folder)

    def run_it(self, *arguments, environment=None, cwd=None, **settings):
        environment = KEYS if environment is None else environment
        everything = {"PATH": os.environ["PATH"], "HOME": self.folder, "AWS_EC2_METADATA_DISABLED": "true", **environment,
                      **{"POSTERN_" + k.upper(): v for k, v in settings.items() if v is not None}}
        begin = time.monotonic()
        output = DoctorOutput(subprocess.run([BINARY, *arguments], capture_output=True, text=True, cwd=cwd or self.folder, timeout=120, env=everything, check=False))
        self.assertLess(time.monotonic() - begin, 60)
        if os.environ.get("SHOW"):
            print(f"\n--- {self.id().split('.')[-1]}: exit {output.code}\n{output.out}{output.err}", flush=True)
        for secret in (SECRET_KEY, SERVER_SECRET, "the secret of", "the token of", "wrong secret that nobody knows"):
            self.assertNotIn(secret, output.out + output.err)
        self.assertNotRegex(output.out + output.err, r"/v1/complete/eyJ|X-Amz-Signature|[0-9a-f]{64}")  # claims, signatures
        self.assertNotIn("bug: ", output.err)
        for line in output.out.splitlines():
            if line.startswith(("✓", "✗", "!", "–")) or re.match(r" {4}\S", line) or re.match(r" {18}\S", line):
                self.assertLessEqual(len(line), 100, line)  # lines that are not for copying fit a terminal
        return output

    def settings(self, s3, **more):
        endpoint = s3 if isinstance(s3, str) else s3.endpoint
        return {"store__type": "s3", "store__endpoint": endpoint, "store__bucket": "media", "store__path_style": "true", "store__region": rgw.REGION, "server__secrets": SERVER_SECRET,
                "server__public_url": "http://127.0.0.1:9", "auth__anonymous": "true", "ledger__url": f"sqlite:{self.folder}/doctor.db", **more}

    def examine(self, s3, environment=None, **more):
        return self.run_it("doctor", environment=environment, **self.settings(s3, **more))

    def expect_finding(self, output, check, *words, code=1, mark="✗"):
        """Expects that mark for the check, and these words in the output, wherever lines are wrapped."""
        self.assertEqual(output.code, code, output.out + output.err)
        self.assertIn(mark, output.mark(check), output.out)
        for w in words:
            self.assertIn(" ".join(w.split()), output.text, output.out)
        return output

    def expect_skipped(self, output, *checks):
        for c in checks:
            self.assertEqual(output.mark(c), ["–"], output.out)


class AgainstRgw(DoctorTest):
    @classmethod
    def setUpClass(cls):
        cls.s3 = Rgw().__enter__()
        cls.role = cls.s3.make_role()

    @classmethod
    def tearDownClass(cls):
        cls.s3.close()

    def tearDown(self):
        self.assertEqual(self.s3.keys(), [])  # probe objects never remain
        self.assertEqual(self.s3.multiparts(), 0)

    def test_a_right_configuration_passes_every_check(self):
        with s3_server(self.s3, server__allowed_origins=f'["{ORIGIN}"]', store__bucket="media") as server:
            run = lambda *a, **more: self.run_it(*a, "--config", server.config, environment={**server.environment, **more}, cwd=server.folder)
            output = run("setup", "cors", "--apply")
            self.assertEqual(output.code, 0, output.err)
            self.assertIn(f'put the rule "postern": pages of {server.url}, {ORIGIN} may POST and PUT', output.text)
            output = run("setup", "cors", "--apply")
            self.assertEqual((output.code, output.out), (0, 'media: has the rule "postern" already, nothing changed.\n'))
            self.assertEqual(run("setup", "lifecycle", "--apply").code, 0)
            for more in ({}, {"POSTERN_STORE__CREDENTIALS__ROLE_ARN": self.role}):
                output = run("doctor", **more)
                self.assertEqual(output.code, 0, output.out)
                second_origin = CHECKS.index("CORS")
                self.assertEqual([c for c, _ in output.marks], CHECKS[:second_origin] + ["CORS"] + CHECKS[second_origin:])
                for words in ("POST Object: browsers post forms straight to the store", "If-None-Match: the store can refuse to replace an object", "no checksums: the store ignores x-amz-checksum-*",
                              'multipart uploads in "media" that nobody ends are aborted after 7 days'):
                    self.assertIn(words, output.text)
                # With temporary keys, Ceph RGW refuses a browser's preflight of a presigned PUT.
                wrong = [(c, m) for c, m in output.marks if c != "AssumeRole" and m != "✓"]
                self.assertEqual(wrong, [("abilities", "!")] if more else [])
                self.assertEqual("no presigned PUT from browsers" in output.text, bool(more))
                self.assertEqual(output.mark("AssumeRole"), ["✓" if more else "–"])
            self.assertEqual([(u["user"], u["size"] > MIB) for u in server.uploads()], [("doctor", True)] * 2)  # only the large forms were posted to Postern
            self.s3.request("DELETE", query="?cors=")
            self.s3.request("DELETE", query="?lifecycle=")

    def put_document(self, what, text):
        self.s3.request("PUT", query=f"?{what}=", body=text, headers={"Content-MD5": base64.b64encode(hashlib.md5(text).digest()).decode()})

    def test_setup_keeps_other_lifecycle_rules(self):
        self.expect_finding(self.examine(self.s3), "lifecycle", 'no lifecycle rule of "media" aborts multipart uploads that nobody ends', "postern setup lifecycle --apply", mark="!")
        self.put_document("lifecycle", b"<LifecycleConfiguration><Rule><ID>theirs</ID><Filter><Prefix>logs/</Prefix></Filter><Status>Enabled</Status><Expiration><Days>30</Days></Expiration></Rule></LifecycleConfiguration>")
        apply = lambda: self.run_it("setup", "lifecycle", "--apply", **self.settings(self.s3))
        for words in ('put the rule "postern": multipart uploads under uploads/ are aborted after 7 days', "nothing changed"):
            output = apply()
            self.assertEqual(output.code, 0, output.err)
            self.assertIn(words, output.text)
            self.assertIn("the bucket's other rules (1) are unchanged", output.text)
        rules = self.s3.request("GET", query="?lifecycle=")[1].decode()
        self.assertEqual(rules.count("<Rule>"), 2)
        self.assertIn("<Days>30</Days>", rules)
        self.assertIn("<DaysAfterInitiation>7</DaysAfterInitiation>", rules)
        self.put_document("lifecycle", rules.replace("<DaysAfterInitiation>7<", "<DaysAfterInitiation>3<").encode())
        self.expect_finding(self.examine(self.s3), "lifecycle", "are aborted after 3 days", mark="✓", code=1)
        self.assertIn('replaced the rule "postern"', apply().text)
        self.s3.request("DELETE", query="?lifecycle=")
        output = self.run_it("setup", "lifecycle", **self.settings(self.s3))
        self.assertIn('"DaysAfterInitiation": 7', output.out)
        self.assertIn("aws s3api put-bucket-lifecycle-configuration --bucket media", output.err)
        json.loads(output.out)

    def test_settings_that_the_store_cannot_fulfil_are_found(self):
        output = self.examine(self.s3, store__ways='["put"]')
        self.assertIn('POST Object: store.ways leaves "form" out', output.text)
        self.assertEqual(output.mark("presigned PUT"), ["✓"])
        self.assertEqual(output.mark("form"), [])
        output = self.examine(self.s3, store__ways="[]", store__checksums="none")
        self.assertIn('checksums: store.checksums is "none"', output.text)
        self.assertEqual((output.mark("form"), output.mark("CORS")), (["–"], ["–"]))

    def test_setup_keeps_other_cors_rules(self):
        other = b"<CORSConfiguration><CORSRule><ID>theirs</ID><AllowedOrigin>https://other.example.com</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule></CORSConfiguration>"
        self.s3.request("PUT", query="?cors=", body=other, headers={"Content-MD5": base64.b64encode(hashlib.md5(other).digest()).decode()})
        apply = lambda **more: self.run_it("setup", "cors", "--apply", **self.settings(self.s3, **more))
        for words, origins in (("put the rule", "[]"), ("replaced the rule", f'["{ORIGIN}"]'), ("nothing changed", f'["{ORIGIN}"]')):
            output = apply(server__allowed_origins=origins)
            self.assertEqual(output.code, 0, output.err)
            self.assertIn(words, output.text)
            self.assertIn("the bucket's other rules (1) are unchanged", output.text)
        rules = self.s3.request("GET", query="?cors=")[1].decode()
        self.assertEqual(rules.count("<CORSRule>"), 2)
        self.assertIn("https://other.example.com", rules)
        self.assertIn(ORIGIN, rules)
        self.s3.request("DELETE", query="?cors=")

    def test_missing_credentials_are_found(self):
        output = self.expect_finding(self.examine(self.s3, environment={}), "credentials", "environment: no AWS_ACCESS_KEY_ID", f"{self.folder}/.aws/credentials", "instance metadata: switched off", "aws configure",
                          "[store.credentials]")
        self.expect_skipped(output, "AssumeRole", "bucket", "probe object", "form")

    def test_a_missing_secret_key_is_found(self):
        self.expect_finding(self.examine(self.s3, environment={"AWS_ACCESS_KEY_ID": "AKIA"}), "credentials", "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must both be set")

    def test_a_wrong_secret_key_is_found(self):
        wrong = {**KEYS, "AWS_SECRET_ACCESS_KEY": "wrong secret that nobody knows"}
        output = self.expect_finding(self.examine(self.s3, environment=wrong), "bucket", "SignatureDoesNotMatch", f'the secret key does not belong to the access key "{ACCESS_KEY}"', "region", "new pair")
        self.expect_skipped(output, "probe object", "form")
        output = self.examine(self.s3, environment=wrong, store__credentials__role_arn=self.role)
        self.expect_finding(output, "AssumeRole", "SignatureDoesNotMatch", f'"{ACCESS_KEY}"')

    def test_an_unknown_access_key_is_found(self):
        self.expect_finding(self.examine(self.s3, environment={**KEYS, "AWS_ACCESS_KEY_ID": "AKIANOBODY"}), "bucket", 'does not know the access key "AKIANOBODY"', "InvalidAccessKeyId")

    def test_a_role_that_does_not_trust_the_caller_is_found(self):
        role = self.s3.make_role("closed", principal="arn:aws:iam:::user/somebody-else")
        output = self.examine(self.s3, store__credentials__role_arn=role)
        self.expect_finding(output, "AssumeRole", "is not authorized to perform: sts:AssumeRole", "1. The caller's policy", f'"Resource": "{role}"', "2. The role's trust policy", '"Action": "sts:AssumeRole"', "3. The external id")
        self.expect_skipped(output, "bucket", "probe object", "form")

    def test_an_absent_role_is_found(self):
        self.expect_finding(self.examine(self.s3, store__credentials__role_arn="arn:aws:iam:::role/nobody"), "AssumeRole", "there is no role arn:aws:iam:::role/nobody", "store.credentials.role_arn")

    def test_an_absent_bucket_is_found(self):
        output = self.expect_finding(self.examine(self.s3, store__bucket="medla"), "bucket", 'there is no bucket "medla"', f"aws s3 mb s3://medla --region us-east-1 --endpoint-url {self.s3.endpoint}", "store.bucket")
        self.expect_skipped(output, "probe object", "form", "CORS")

    def test_a_missing_permission_to_put_is_found(self):
        allowed = ("s3:GetObject", "s3:ListBucket", "s3:DeleteObject")
        for missing in ("s3:PutObject", "s3:DeleteObject", "s3:GetObject"):
            with self.subTest(missing):
                role = self.s3.make_role("no-" + missing[3:], allow='","'.join(a for a in {*allowed, "s3:PutObject"} if a != missing))
                output = self.examine(self.s3, store__credentials__role_arn=role)
                self.expect_finding(output, "probe object", f"the role {role} may not do {missing} in \"media\"", '"arn:aws:s3:::media/uploads/*"', f'"{missing}"', "postern setup iam")
                self.expect_skipped(output, "form")
                self.assertEqual(self.s3.keys(), [])

    def test_a_bucket_of_another_owner_is_found(self):
        self.s3.make_user("stranger", "AKIASTRANGER", "the secret of the stranger")
        output = self.examine(self.s3, environment={"AWS_ACCESS_KEY_ID": "AKIASTRANGER", "AWS_SECRET_ACCESS_KEY": "the secret of the stranger"})
        self.expect_finding(output, "bucket", "s3:ListBucket", mark="!")
        self.expect_finding(output, "probe object", 'the user of the access key "AKIASTRANGER" may not do s3:DeleteObject', "the bucket's policy must allow it")
        output = self.run_it("setup", "cors", "--apply", environment={"AWS_ACCESS_KEY_ID": "AKIASTRANGER", "AWS_SECRET_ACCESS_KEY": "the secret of the stranger"}, **self.settings(self.s3))
        self.assertEqual(output.code, 1)
        self.assertIn("may not do s3:GetBucketCORS", output.text)

    def test_missing_cors_rules_are_found(self):
        output = self.examine(self.s3, server__allowed_origins=f'["{ORIGIN}"]')
        self.expect_finding(output, "CORS", "No 'Access-Control-Allow-Origin' header", "postern setup cors --apply", f'"AllowedOrigins": ["http://127.0.0.1:9", "{ORIGIN}"]', '"ExposeHeaders": ["ETag", "Location", "Retry-After"]')
        self.assertEqual(output.mark("CORS"), ["✗", "✗"])
        self.assertEqual(output.out.count("AllowedOrigins"), 1)  # the document is shown once
        self.assertEqual(output.mark("form"), ["✓"])

    def test_a_read_only_ledger_is_found(self):
        os.mkdir(os.path.join(self.folder, "folder.db"))
        with open(os.path.join(self.folder, "text.db"), "w") as f:
            f.write("not a database at all, but long enough to be looked at as one\n" * 20)
        for url in ("sqlite:/proc/nowhere/x.db", f"sqlite:{self.folder}/folder.db", f"sqlite:{self.folder}/text.db"):
            with self.subTest(url):
                output = self.examine(self.s3, ledger__url=url)
                self.expect_finding(output, "ledger", "ledger.url: the database", "cannot be used", "The user that runs Postern", "working directory")
                self.assertEqual(output.mark("form"), ["✓"])

    def test_an_unreachable_database_is_found(self):
        at = f"127.0.0.1:{free_port()}/db"
        for url in (f"postgresql://{at}?user=postern&password=hunter2&connect_timeout=2", f"postgresql://postern:hunter2@{at}", f"postgresql://postern:hunter2@hunter2@{at}"):
            with self.subTest(url):
                output = self.expect_finding(self.examine(self.s3, ledger__url=url), "ledger", "ledger.url: the database postgresql://", "name the primary server")
                self.assertNotIn("hunter2", output.out + output.err)

    def test_an_unreachable_public_url_is_found(self):
        port = free_port()
        output = self.examine(self.s3, server__public_url=f"http://127.0.0.1:{port}")
        self.expect_finding(output, "public_url", f"nothing answers at http://127.0.0.1:{port}", "`postern serve` must be running", "success_action_redirect")
        output = self.examine(self.s3, server__public_url=self.s3.endpoint)  # a server, but not Postern
        self.expect_finding(output, "public_url", f"{self.s3.endpoint}/postern.js answers 404", "Another program listens at server.public_url")
        output = self.examine(self.s3, server__public_url="http://nobody.invalid")
        self.expect_finding(output, "public_url", "cannot be resolved", "server.public_url")
        self.assertNotIn("path_style", output.text)

    def test_an_unreachable_store_is_found(self):
        port = free_port()
        output = self.expect_finding(self.examine(f"http://127.0.0.1:{port}"), "store", f"nothing answers at http://127.0.0.1:{port}: Connection refused", "store.endpoint")
        self.expect_skipped(output, "clock", "credentials", "AssumeRole", "bucket", "probe object", "form", "CORS")
        self.expect_finding(self.examine("http://store.invalid"), "store", "cannot be resolved", "path_style = true")
        self.expect_finding(self.examine(self.s3.endpoint.replace("http:", "https:")), "store", "TLS handshake", "http://")

    def test_wrong_usage_of_setup_is_rejected(self):
        for what in ("iam", "trust"):
            output = self.run_it("setup", what, "--apply", **self.settings(self.s3))
            self.assertEqual((output.code, output.out), (2, ""))
            self.assertIn("only `setup cors` and `setup lifecycle` have --apply", output.err)
        self.assertEqual(self.run_it("setup", "trust", **self.settings(self.s3)).code, 2)
        self.assertEqual(self.run_it("setup", **self.settings(self.s3)).code, 2)
        output = self.run_it("setup", "cors", server__secrets=SERVER_SECRET)
        self.assertEqual(output.code, 2)
        self.assertIn("a directory has no", output.err)
        output = self.run_it("doctor", **self.settings(self.s3, store__bucket=""))
        self.expect_finding(output, "configuration", "POSTERN_STORE__BUCKET: is empty; name the bucket", code=2)

    def test_setup_prints_json(self):
        role = self.settings(self.s3, store__credentials__role_arn=self.role, store__credentials__external_id="tenant 42")
        self.assertEqual(json.loads(self.run_it("setup", "iam", **self.settings(self.s3)).out)["Statement"][0]["Resource"], ["arn:aws:s3:::media/uploads/*"])
        self.assertEqual(json.loads(self.run_it("setup", "cors", **self.settings(self.s3)).out)["CORSRules"][0]["AllowedMethods"], ["POST", "PUT"])
        trust = json.loads(self.run_it("setup", "trust", **role).out)
        self.assertEqual(trust["Statement"][0]["Condition"], {"StringEquals": {"sts:ExternalId": "tenant 42"}})
        self.assertIn(self.role, self.run_it("setup", "iam", **role).out)


class AgainstPeers(DoctorTest):
    def test_errors_of_aws_about_external_id_and_trust_are_explained(self):
        with peer("sts_refuses", external_id="tenant-42") as s3:
            plain = lambda **more: self.examine(s3, store__credentials__role_arn=ROLE, **more)
            output = self.expect_finding(plain(), "AssumeRole", "arn:aws:iam::111122223333:user/bob is not authorized to perform: sts:AssumeRole", "in the account 111122223333, the role in 444455556666", f'"Resource": "{ROLE}"',
                              '"AWS": "arn:aws:iam::111122223333:user/bob"', "3. The external id: store.credentials.external_id is empty", 'external_id = "…"')
            output = self.expect_finding(plain(store__credentials__external_id="tenant-43"), "AssumeRole", 'store.credentials.external_id is "tenant-43"', '"sts:ExternalId": "tenant-43"')
            self.expect_skipped(output, "bucket", "probe object", "form")
            output = plain(store__credentials__external_id="tenant-42")
            self.assertEqual((output.mark("AssumeRole"), output.mark("form")), (["✓"], ["✓"]), output.out)
            self.assertEqual(s3.objects, {})

    def test_the_missing_policy_that_aws_names_is_explained(self):
        for because, words, others in ((" because no identity-based policy allows the sts:AssumeRole action", "the caller's policy does not allow it", "trust policy"),
                                       (" because no role trust policy allows the sts:AssumeRole action", "the role's trust policy does not allow it, or its external id is another", "The caller's policy"),
                                       (" with an explicit deny in a service control policy", "a policy denies it explicitly", "The caller's policy"),
                                       (" because no permissions boundary allows the sts:AssumeRole action", "a permissions boundary does not allow it", "The caller's policy")):
            with self.subTest(because), peer("sts_refuses", because) as s3:
                output = self.expect_finding(self.examine(s3, store__credentials__role_arn=ROLE), "AssumeRole", words)
                self.assertNotIn(others, output.text)

    def test_the_callers_identity_is_shown(self):
        session = "arn:aws:sts::444455556666:assumed-role/app/i-0123"
        with peer("sts_refuses", message="Access denied", identity=session) as s3:
            output = self.expect_finding(self.examine(s3, store__credentials__role_arn=ROLE), "AssumeRole", '"AWS": "arn:aws:iam::444455556666:role/app"', "in one account (444455556666)")
            output = self.run_it("setup", "trust", **self.settings(s3, store__credentials__role_arn=ROLE))
            self.assertEqual(json.loads(output.out)["Statement"][0]["Principal"], {"AWS": "arn:aws:iam::444455556666:role/app"})

    def test_other_errors_of_sts_are_explained(self):
        for code, message, words in (("ExpiredToken", "The security token included in the request is expired", "the keys are no longer valid"),
                                     ("InvalidClientTokenId", "The security token included in the request is invalid.", "does not know the access key"),
                                     ("SignatureDoesNotMatch", "Signature expired: 20261123T180000Z is now earlier than 20261123T181500Z", "timedatectl"),
                                     ("ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.", "duration = \"1h\"")):
            with self.subTest(code), peer("sts_refuses", code=code, message=message) as s3:
                self.expect_finding(self.examine(s3, store__credentials__role_arn=ROLE), "AssumeRole", words)

    def test_another_region_is_found(self):
        with peer("other_region") as s3:
            output = self.expect_finding(self.examine(s3), "bucket", 'the bucket "media" is in the region "eu-west-3", and store.region is "us-east-1"', 'region = "eu-west-3"')
            self.expect_skipped(output, "probe object", "form")

    def test_a_wrong_clock_is_found(self):
        with peer("clock_off") as s3:
            output = self.expect_finding(self.examine(s3), "clock", "this machine's clock is 20 min", "behind the store's", "timedatectl set-ntp true", "RequestTimeTooSkewed")
            self.expect_skipped(output, "credentials", "AssumeRole", "bucket", "probe object", "form")
            for off, mark in ((-20 * 60, "✗"), (5 * 60, "!"), (-5 * 60, "!"), (20, "✓")):
                s3.clock_off = off
                self.assertEqual(self.examine(s3).mark("clock"), [mark], off)

    def test_a_wrong_secret_is_distinguished_from_a_changed_request(self):
        with peer("verifies", "the secret of the peer") as s3:
            self.expect_finding(self.examine(s3), "bucket", f'the secret key does not belong to the access key "{ACCESS_KEY}"', "So the clock, the region and the request are right")
        with peer("verifies", SECRET_KEY) as s3:
            self.assertEqual(self.examine(s3).mark("probe object"), ["✓"])
            self.assertEqual(s3.objects, {})
        with peer("verifies", SECRET_KEY, host="backend:8080") as s3:
            self.expect_finding(self.examine(s3), "bucket", "the request was changed on its way", f'Host was changed on the way, from "127.0.0.1:{s3.port}" to "backend:8080"', "proxy_set_header Host $http_host")

    def test_a_rejected_form_is_explained(self):
        redirect = lambda form: re.search(r'name="success_action_redirect"\r\n\r\n([^\r]+)', form).group(1)
        policy = lambda form: re.search(r'name="policy"\r\n\r\n([^\r]+)', form).group(1)
        cases = ((lambda f: (403, "AccessDenied", f'Invalid according to Policy: Policy Condition failed: ["eq", "$success_action_redirect", "{redirect(f)}"]'), 'the field "success_action_redirect" is not the one that was signed'),
                 (lambda f: (403, "AccessDenied", "Invalid according to Policy: Extra input fields: x-amz-meta-extra"), 'the field "x-amz-meta-extra"'),
                 (lambda f: (403, "AccessDenied", "Invalid according to Policy: Policy expired."), "the form has expired"),
                 (lambda f: (403, "SignatureDoesNotMatch", "no", f"<StringToSign>{policy(f)}</StringToSign>"), "Either store.region"),
                 (lambda f: (403, "SignatureDoesNotMatch", "no", "<StringToSign>e30=</StringToSign>"), 'field "policy" was changed on its way'),
                 (lambda f: (403, "AccessDenied", "Access Denied"), "acl, tags or sse"),
                 (lambda f: (501, "NotImplemented", "Not implemented"), "the store does not support POST Object"))
        for because, words in cases:
            with self.subTest(words), peer("refuses_forms", because) as s3:
                output = self.expect_finding(self.examine(s3), "form", words)
                self.assertEqual(output.mark("probe object"), ["✓"])
                self.assertEqual(s3.objects, {})

    def test_a_silent_store_is_found(self):
        with peer("silent", "HeadBucket") as s3:
            self.expect_finding(self.examine(s3, store__timeout="300ms"), "store", "nothing answers", "firewall")

    def test_an_interrupted_doctor_removes_its_object(self):
        with peer("silent", "HeadObject") as s3:
            environment = {"PATH": os.environ["PATH"], "HOME": self.folder, **KEYS, **{"POSTERN_" + k.upper(): v for k, v in self.settings(s3, store__timeout="500ms").items()}}
            doctor = subprocess.Popen([BINARY, "doctor"], env=environment, cwd=self.folder, stdout=subprocess.PIPE, text=True)
            try:
                wait_until(lambda: len(s3.objects) == 1, "the doctor's object in the store")
                doctor.send_signal(signal.SIGINT)
                self.assertEqual(doctor.wait(30), 128 + signal.SIGINT)
                self.assertEqual(s3.objects, {})
            finally:
                doctor.kill()
                doctor.wait()
                doctor.stdout.close()

    def test_an_untrusted_certificate_is_found(self):
        import ssl
        certificate, key = os.path.join(self.folder, "certificate.pem"), os.path.join(self.folder, "key.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
                       check=True, capture_output=True)
        with peer("hashes") as s3:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, key)
            s3.server.socket = context.wrap_socket(s3.server.socket, server_side=True)
            url = f"https://localhost:{s3.port}"
            self.expect_finding(self.examine(url), "store", f"the TLS certificate of {url} is not trusted here", "ca_file")
            self.assertEqual(self.examine(url, store__ca_file=certificate).mark("form"), ["✓"])


class WithTheFileStore(DoctorTest):
    def files(self):
        return [n for _, _, names in os.walk(os.path.join(self.folder, "objects")) for n in names if n.startswith("postern-doctor")]

    def examine(self, **more):
        settings = {"server__secrets": SERVER_SECRET, "store__path": os.path.join(self.folder, "objects"), "ledger__url": f"sqlite:{self.folder}/doctor.db", "auth__anonymous": "true", **more}
        return self.run_it("doctor", environment={}, **settings)

    def test_the_file_store_beside_a_running_server(self):
        with Server(folder=self.folder) as server:
            output = self.run_it("doctor", "--config", server.config, environment=server.environment)
            self.assertEqual(output.code, 0, output.out)
            self.assertEqual({m for c, m in output.marks if c not in ("clock", "AssumeRole", "bucket", "abilities", "CORS")}, {"✓"})
            self.expect_skipped(output, "clock", "AssumeRole", "bucket", "abilities", "CORS")
            self.assertEqual((self.files(), server.leftovers()), ([], []))
            run = lambda **more: self.run_it("doctor", "--config", server.config, environment={**server.environment, **more})
            output = run(POSTERN_SERVER__SECRETS="another secret of the tests")
            self.expect_finding(output, "form", "the running server does not accept what this program signs", "server.secrets")
            output = run(POSTERN_STORE__PATH=os.path.join(self.folder, "elsewhere"))
            self.expect_finding(output, "form", "keeps its objects elsewhere", "store.path")
            output = run(POSTERN_STORE__BUCKET="unknown")
            self.expect_finding(output, "form", "the running server refuses the form", "NoSuchBucket")
            self.assertEqual((self.files(), server.leftovers()), ([], []))
            self.assertEqual([n for _, _, names in os.walk(os.path.join(self.folder, "elsewhere")) for n in names if n.startswith("postern-doctor")], [])

    def test_faults_of_webhook_receivers_are_explained(self):
        moved = lambda request, n: request.respond(308, Location="/new")
        faults = {"/moved": (moved, ["answers 308", '"/new"', "final URL"]), "/gone": (410, ["answers 410", "--retry-all"]), "/nowhere": (404, ["answers 404", "path"]),
                  "/login": (401, ["answers 401", "signature with the secret in"]), "/broken": (500, ["answers 500", "postern.test"])}
        responses = {path: what for path, (what, _) in faults.items()}
        certificate = hooks.make_certificate(self.folder)
        with hooks.Receiver(responses) as app, hooks.Receiver(certificate=certificate) as other:
            at, private = f"http://127.0.0.1:{app.port}", f"https://localhost:{other.port}/hooks"
            toml = lambda *sections: "[auth]\nanonymous = true\n" + "".join(sections)
            with Server(toml(hooks.endpoint(at + "/right?token=of+the+app"), hooks.endpoint(private, ca_file=certificate[0]))) as server:
                run = lambda: self.run_it("doctor", "--config", server.config, environment=server.environment, cwd=server.folder)
                output = run()
                self.assertEqual((output.code, output.mark("webhook")), (0, ["✓", "✓"]), output.out)
                self.assertTrue(app.at("/right")[0].signed_by(hooks.SECRET))
                self.assertEqual(app.at("/right")[0].json()["type"], "postern.test")
                self.assertNotIn("of+the+app", output.out)
                for path, (_, words) in faults.items():
                    with open(server.config, "w") as f:
                        f.write(toml(hooks.endpoint(at + path)))
                    self.expect_finding(run(), "webhook", f"{at}{path} answers", *words)
                with open(server.config, "w") as f:
                    f.write(toml(hooks.endpoint(private), hooks.endpoint(private + "/2", allow_private=False), hooks.endpoint(f"http://127.0.0.1:{free_port()}/")))
                output = self.expect_finding(run(), "webhook", "is not trusted here", "[[webhooks]]", "private addresses are not allowed here", "allow_private = true", "nothing listens on that port",
                                  "webhooks, number 3, url")
                self.assertEqual(output.mark("webhook"), ["✗", "✗", "✗"])

    def test_the_file_store_without_a_running_server(self):
        output = self.examine(server__public_url=f"http://127.0.0.1:{free_port()}")
        self.expect_finding(output, "public_url", "must be running")
        self.assertEqual((output.mark("probe object"), output.mark("form")), (["✓"], ["–"]), output.out)
        self.assertEqual(self.files(), [])

    def test_an_unwritable_directory_is_found(self):
        self.expect_finding(self.examine(store__path="/proc/nowhere"), "store", "/proc/nowhere", "cannot be used")

    def test_an_object_under_a_fixed_key_is_not_touched(self):
        os.makedirs(os.path.join(self.folder, "objects", "local"))
        logo = os.path.join(self.folder, "objects", "local", "logo.png")
        with open(logo, "w") as f:
            f.write("the logo")
        output = self.examine(profiles__default__key="logo.png", profiles__default__overwrite="true")
        self.assertEqual(output.mark("probe object"), ["–"], output.out)
        with open(logo) as f:
            self.assertEqual(f.read(), "the logo")


if __name__ == "__main__":
    need_rgw()
    main()
