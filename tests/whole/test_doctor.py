"""postern doctor and postern setup: each fault, planted, is named together with its remedy; nothing is left behind, and nothing secret is said."""

import importlib, os, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support", "peers"))
from whole_s3 import *
import hooks

ORIGIN = "https://app.example.com"
SERVER_SECRET = "a secret for the tests only"
CHECKS = ["configuration", "store", "clock", "credentials", "AssumeRole", "bucket", "probe object", "form", "CORS", "ledger", "public_url"]
KEYS = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
ROLE = "arn:aws:iam::444455556666:role/uploader"


def peer(name, *args, **more):
    return importlib.import_module(name).Peer(*args, **more)


class Said:
    """What a doctor said: its lines by check, and everything as one text without line ends."""

    def __init__(self, done):
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr
        self.marks = [(m.group(2).strip(), m.group(1)) for m in re.finditer(r"^([✓✗!–]) (.{16})", self.out, re.M)]
        self.text = " ".join((self.out + self.err).split())

    def mark(self, check):
        return [m for c, m in self.marks if c == check]


class Doctored(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="postern-test-")
        self.addCleanup(shutil.rmtree, self.folder)

    def run_it(self, *arguments, environment=None, cwd=None, **settings):
        environment = KEYS if environment is None else environment
        everything = {"PATH": os.environ["PATH"], "HOME": self.folder, "AWS_EC2_METADATA_DISABLED": "true", **environment,
                      **{"POSTERN_" + k.upper(): v for k, v in settings.items() if v is not None}}
        begin = time.monotonic()
        said = Said(subprocess.run([BINARY, *arguments], capture_output=True, text=True, cwd=cwd or self.folder, timeout=120, env=everything, check=False))
        self.assertLess(time.monotonic() - begin, 60)
        if os.environ.get("SHOW"):
            print(f"\n--- {self.id().split('.')[-1]}: exit {said.code}\n{said.out}{said.err}", flush=True)
        for secret in (SECRET_KEY, SERVER_SECRET, "the secret of", "the token of", "wrong secret that nobody knows"):
            self.assertNotIn(secret, said.out + said.err)
        self.assertNotRegex(said.out + said.err, r"/v1/complete/eyJ|X-Amz-Signature|[0-9a-f]{64}")  # claims, signatures
        self.assertNotIn("bug: ", said.err)
        for line in said.out.splitlines():
            if line.startswith(("✓", "✗", "!", "–")) or re.match(r" {4}\S", line) or re.match(r" {18}\S", line):
                self.assertLessEqual(len(line), 100, line)  # what is not to be copied fits a terminal
        return said

    def settings(self, s3, **more):
        endpoint = s3 if isinstance(s3, str) else s3.endpoint
        return {"store__type": "s3", "store__endpoint": endpoint, "store__bucket": "media", "store__path_style": "true", "store__region": rgw.REGION, "server__secrets": SERVER_SECRET,
                "server__public_url": "http://127.0.0.1:9", "auth__anonymous": "true", "ledger__url": f"sqlite:{self.folder}/doctor.db", **more}

    def examine(self, s3, environment=None, **more):
        return self.run_it("doctor", environment=environment, **self.settings(s3, **more))

    def names(self, said, check, *words, code=1, mark="✗"):
        """The check is marked so, and the words are said, wherever the lines end."""
        self.assertEqual(said.code, code, said.out + said.err)
        self.assertIn(mark, said.mark(check), said.out)
        for w in words:
            self.assertIn(" ".join(w.split()), said.text, said.out)
        return said

    def untried(self, said, *checks):
        for c in checks:
            self.assertEqual(said.mark(c), ["–"], said.out)


class AgainstRgw(Doctored):
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

    def test_all_right(self):
        with s3_server(self.s3, server__allowed_origins=f'["{ORIGIN}"]', store__bucket="media") as server:
            run = lambda *a, **more: self.run_it(*a, "--config", server.config, environment={**server.environment, **more}, cwd=server.folder)
            said = run("setup", "cors", "--apply")
            self.assertEqual(said.code, 0, said.err)
            self.assertIn(f'put the rule "postern": pages of {server.url}, {ORIGIN} may POST and PUT', said.text)
            said = run("setup", "cors", "--apply")
            self.assertEqual((said.code, said.out), (0, 'media: has the rule "postern" already, nothing changed.\n'))
            for more in ({}, {"POSTERN_STORE__CREDENTIALS__ROLE_ARN": self.role}):
                said = run("doctor", **more)
                self.assertEqual(said.code, 0, said.out)
                self.assertEqual([c for c, _ in said.marks], CHECKS[:9] + ["CORS"] + CHECKS[9:])
                self.assertEqual({m for c, m in said.marks if c != "AssumeRole"}, {"✓"})
                self.assertEqual(said.mark("AssumeRole"), ["✓" if more else "–"])
            self.assertEqual(server.admin("/v1/uploads")[2], b"")  # nobody's upload
            self.s3.request("DELETE", query="?cors=")

    def test_the_rules_of_others_stay(self):
        other = b"<CORSConfiguration><CORSRule><ID>theirs</ID><AllowedOrigin>https://other.example.com</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule></CORSConfiguration>"
        self.s3.request("PUT", query="?cors=", body=other, headers={"Content-MD5": base64.b64encode(hashlib.md5(other).digest()).decode()})
        apply = lambda **more: self.run_it("setup", "cors", "--apply", **self.settings(self.s3, **more))
        for words, origins in (("put the rule", "[]"), ("replaced the rule", f'["{ORIGIN}"]'), ("nothing changed", f'["{ORIGIN}"]')):
            said = apply(server__allowed_origins=origins)
            self.assertEqual(said.code, 0, said.err)
            self.assertIn(words, said.text)
            self.assertIn("the bucket's other rules (1) are unchanged", said.text)
        rules = self.s3.request("GET", query="?cors=")[1].decode()
        self.assertEqual(rules.count("<CORSRule>"), 2)
        self.assertIn("https://other.example.com", rules)
        self.assertIn(ORIGIN, rules)
        self.s3.request("DELETE", query="?cors=")

    def test_no_credentials(self):
        said = self.names(self.examine(self.s3, environment={}), "credentials", "environment: no AWS_ACCESS_KEY_ID", f"{self.folder}/.aws/credentials", "instance metadata: switched off", "aws configure",
                          "[store.credentials]")
        self.untried(said, "AssumeRole", "bucket", "probe object", "form")

    def test_half_a_pair_of_keys(self):
        self.names(self.examine(self.s3, environment={"AWS_ACCESS_KEY_ID": "AKIA"}), "credentials", "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must both be set")

    def test_a_wrong_secret(self):
        wrong = {**KEYS, "AWS_SECRET_ACCESS_KEY": "wrong secret that nobody knows"}
        said = self.names(self.examine(self.s3, environment=wrong), "bucket", "SignatureDoesNotMatch", f'the secret key does not belong to the access key "{ACCESS_KEY}"', "region", "new pair")
        self.untried(said, "probe object", "form")
        said = self.examine(self.s3, environment=wrong, store__credentials__role_arn=self.role)
        self.names(said, "AssumeRole", "SignatureDoesNotMatch", f'"{ACCESS_KEY}"')

    def test_an_access_key_that_nobody_knows(self):
        self.names(self.examine(self.s3, environment={**KEYS, "AWS_ACCESS_KEY_ID": "AKIANOBODY"}), "bucket", 'does not know the access key "AKIANOBODY"', "InvalidAccessKeyId")

    def test_a_role_that_does_not_trust(self):
        role = self.s3.make_role("closed", principal="arn:aws:iam:::user/somebody-else")
        said = self.examine(self.s3, store__credentials__role_arn=role)
        self.names(said, "AssumeRole", "is not authorized to perform: sts:AssumeRole", "1. The caller's policy", f'"Resource": "{role}"', "2. The role's trust policy", '"Action": "sts:AssumeRole"', "3. The external id")
        self.untried(said, "bucket", "probe object", "form")

    def test_a_role_that_is_not_there(self):
        self.names(self.examine(self.s3, store__credentials__role_arn="arn:aws:iam:::role/nobody"), "AssumeRole", "there is no role arn:aws:iam:::role/nobody", "store.credentials.role_arn")

    def test_no_bucket(self):
        said = self.names(self.examine(self.s3, store__bucket="medla"), "bucket", 'there is no bucket "medla"', f"aws s3 mb s3://medla --region us-east-1 --endpoint-url {self.s3.endpoint}", "store.bucket")
        self.untried(said, "probe object", "form", "CORS")

    def test_no_permission_to_put(self):
        allowed = ("s3:GetObject", "s3:ListBucket", "s3:DeleteObject")
        for missing in ("s3:PutObject", "s3:DeleteObject", "s3:GetObject"):
            with self.subTest(missing):
                role = self.s3.make_role("no-" + missing[3:], allow='","'.join(a for a in {*allowed, "s3:PutObject"} if a != missing))
                said = self.examine(self.s3, store__credentials__role_arn=role)
                self.names(said, "probe object", f"the role {role} may not do {missing} in \"media\"", '"arn:aws:s3:::media/uploads/*"', f'"{missing}"', "postern setup iam")
                self.untried(said, "form")
                self.assertEqual(self.s3.keys(), [])

    def test_the_bucket_of_somebody_else(self):
        self.s3.make_user("stranger", "AKIASTRANGER", "the secret of the stranger")
        said = self.examine(self.s3, environment={"AWS_ACCESS_KEY_ID": "AKIASTRANGER", "AWS_SECRET_ACCESS_KEY": "the secret of the stranger"})
        self.names(said, "bucket", "s3:ListBucket", mark="!")
        self.names(said, "probe object", 'the user of the access key "AKIASTRANGER" may not do s3:DeleteObject', "the bucket's policy must allow it")
        said = self.run_it("setup", "cors", "--apply", environment={"AWS_ACCESS_KEY_ID": "AKIASTRANGER", "AWS_SECRET_ACCESS_KEY": "the secret of the stranger"}, **self.settings(self.s3))
        self.assertEqual(said.code, 1)
        self.assertIn("may not do s3:GetBucketCORS", said.text)

    def test_no_cors(self):
        said = self.examine(self.s3, server__allowed_origins=f'["{ORIGIN}"]')
        self.names(said, "CORS", "No 'Access-Control-Allow-Origin' header", "postern setup cors --apply", f'"AllowedOrigins": ["http://127.0.0.1:9", "{ORIGIN}"]', '"ExposeHeaders": ["ETag", "Location"]')
        self.assertEqual(said.mark("CORS"), ["✗", "✗"])
        self.assertEqual(said.out.count("AllowedOrigins"), 1)  # the document is shown once
        self.assertEqual(said.mark("form"), ["✓"])

    def test_a_ledger_that_cannot_be_written(self):
        os.mkdir(os.path.join(self.folder, "folder.db"))
        with open(os.path.join(self.folder, "text.db"), "w") as f:
            f.write("not a database at all, but long enough to be looked at as one\n" * 20)
        for url in ("sqlite:/proc/nowhere/x.db", f"sqlite:{self.folder}/folder.db", f"sqlite:{self.folder}/text.db"):
            with self.subTest(url):
                said = self.examine(self.s3, ledger__url=url)
                self.names(said, "ledger", "ledger.url: the database", "cannot be used", "The user that runs Postern", "working directory")
                self.assertEqual(said.mark("form"), ["✓"])

    def test_a_database_that_cannot_be_reached(self):
        at = f"127.0.0.1:{free_port()}/db"
        for url in (f"postgresql://{at}?user=postern&password=hunter2&connect_timeout=2", f"postgresql://postern:hunter2@{at}", f"postgresql://postern:hunter2@hunter2@{at}"):
            with self.subTest(url):
                said = self.names(self.examine(self.s3, ledger__url=url), "ledger", "ledger.url: the database postgresql://", "name the primary server")
                self.assertNotIn("hunter2", said.out + said.err)

    def test_nobody_at_the_redirect_url(self):
        port = free_port()
        said = self.examine(self.s3, server__public_url=f"http://127.0.0.1:{port}")
        self.names(said, "public_url", f"nothing answers at http://127.0.0.1:{port}", "`postern serve` must be running", "success_action_redirect")
        said = self.examine(self.s3, server__public_url=self.s3.endpoint)  # somebody, but not Postern
        self.names(said, "public_url", f"{self.s3.endpoint}/postern.js answers 404", "Another program listens at server.public_url")
        said = self.examine(self.s3, server__public_url="http://nobody.invalid")
        self.names(said, "public_url", "cannot be resolved", "server.public_url")
        self.assertNotIn("path_style", said.text)

    def test_the_store_cannot_be_reached(self):
        port = free_port()
        said = self.names(self.examine(f"http://127.0.0.1:{port}"), "store", f"nothing answers at http://127.0.0.1:{port}: Connection refused", "store.endpoint")
        self.untried(said, "clock", "credentials", "AssumeRole", "bucket", "probe object", "form", "CORS")
        self.names(self.examine("http://store.invalid"), "store", "cannot be resolved", "path_style = true")
        self.names(self.examine(self.s3.endpoint.replace("http:", "https:")), "store", "TLS handshake", "http://")

    def test_a_usage_that_is_refused(self):
        for what in ("iam", "trust"):
            said = self.run_it("setup", what, "--apply", **self.settings(self.s3))
            self.assertEqual((said.code, said.out), (2, ""))
            self.assertIn("only `setup cors` has --apply", said.err)
        self.assertEqual(self.run_it("setup", "trust", **self.settings(self.s3)).code, 2)
        self.assertEqual(self.run_it("setup", **self.settings(self.s3)).code, 2)
        said = self.run_it("setup", "cors", server__secrets=SERVER_SECRET)
        self.assertEqual(said.code, 2)
        self.assertIn("a directory has no", said.err)
        said = self.run_it("doctor", **self.settings(self.s3, store__bucket=""))
        self.names(said, "configuration", "store.bucket: is empty; name the bucket", code=2)

    def test_what_setup_prints_is_json(self):
        role = self.settings(self.s3, store__credentials__role_arn=self.role, store__credentials__external_id="tenant 42")
        self.assertEqual(json.loads(self.run_it("setup", "iam", **self.settings(self.s3)).out)["Statement"][0]["Resource"], ["arn:aws:s3:::media/uploads/*"])
        self.assertEqual(json.loads(self.run_it("setup", "cors", **self.settings(self.s3)).out)["CORSRules"][0]["AllowedMethods"], ["POST", "PUT"])
        trust = json.loads(self.run_it("setup", "trust", **role).out)
        self.assertEqual(trust["Statement"][0]["Condition"], {"StringEquals": {"sts:ExternalId": "tenant 42"}})
        self.assertIn(self.role, self.run_it("setup", "iam", **role).out)


class AgainstPeers(Doctored):
    def test_external_id_and_trust_as_aws_says_them(self):
        with peer("sts_refuses", external_id="tenant-42") as s3:
            plain = lambda **more: self.examine(s3, store__credentials__role_arn=ROLE, **more)
            said = self.names(plain(), "AssumeRole", "arn:aws:iam::111122223333:user/bob is not authorized to perform: sts:AssumeRole", "in the account 111122223333, the role in 444455556666", f'"Resource": "{ROLE}"',
                              '"AWS": "arn:aws:iam::111122223333:user/bob"', "3. The external id: store.credentials.external_id is empty", 'external_id = "…"')
            said = self.names(plain(store__credentials__external_id="tenant-43"), "AssumeRole", 'store.credentials.external_id is "tenant-43"', '"sts:ExternalId": "tenant-43"')
            self.untried(said, "bucket", "probe object", "form")
            said = plain(store__credentials__external_id="tenant-42")
            self.assertEqual((said.mark("AssumeRole"), said.mark("form")), (["✓"], ["✓"]), said.out)
            self.assertEqual(s3.objects, {})

    def test_which_policy_is_missing_where_aws_says_it(self):
        for because, words, others in ((" because no identity-based policy allows the sts:AssumeRole action", "the caller's policy does not allow it", "trust policy"),
                                       (" because no role trust policy allows the sts:AssumeRole action", "the role's trust policy does not allow it, or its external id is another", "The caller's policy"),
                                       (" with an explicit deny in a service control policy", "a policy denies it explicitly", "The caller's policy"),
                                       (" because no permissions boundary allows the sts:AssumeRole action", "a permissions boundary does not allow it", "The caller's policy")):
            with self.subTest(because), peer("sts_refuses", because) as s3:
                said = self.names(self.examine(s3, store__credentials__role_arn=ROLE), "AssumeRole", words)
                self.assertNotIn(others, said.text)

    def test_who_asks_is_found_out(self):
        session = "arn:aws:sts::444455556666:assumed-role/app/i-0123"
        with peer("sts_refuses", message="Access denied", identity=session) as s3:
            said = self.names(self.examine(s3, store__credentials__role_arn=ROLE), "AssumeRole", '"AWS": "arn:aws:iam::444455556666:role/app"', "in one account (444455556666)")
            said = self.run_it("setup", "trust", **self.settings(s3, store__credentials__role_arn=ROLE))
            self.assertEqual(json.loads(said.out)["Statement"][0]["Principal"], {"AWS": "arn:aws:iam::444455556666:role/app"})

    def test_other_refusals_of_sts(self):
        for code, message, words in (("ExpiredToken", "The security token included in the request is expired", "the keys are no longer valid"),
                                     ("InvalidClientTokenId", "The security token included in the request is invalid.", "does not know the access key"),
                                     ("SignatureDoesNotMatch", "Signature expired: 20261123T180000Z is now earlier than 20261123T181500Z", "timedatectl"),
                                     ("ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.", "duration = \"1h\"")):
            with self.subTest(code), peer("sts_refuses", code=code, message=message) as s3:
                self.names(self.examine(s3, store__credentials__role_arn=ROLE), "AssumeRole", words)

    def test_another_region(self):
        with peer("other_region") as s3:
            said = self.names(self.examine(s3), "bucket", 'the bucket "media" is in the region "eu-west-3", and store.region is "us-east-1"', 'region = "eu-west-3"')
            self.untried(said, "probe object", "form")

    def test_a_clock_that_is_off(self):
        with peer("clock_off") as s3:
            said = self.names(self.examine(s3), "clock", "this machine's clock is 20 min", "behind the store's", "timedatectl set-ntp true", "RequestTimeTooSkewed")
            self.untried(said, "credentials", "AssumeRole", "bucket", "probe object", "form")
            for off, mark in ((-20 * 60, "✗"), (5 * 60, "!"), (-5 * 60, "!"), (20, "✓")):
                s3.clock_off = off
                self.assertEqual(self.examine(s3).mark("clock"), [mark], off)

    def test_what_was_signed_tells_secret_and_change_apart(self):
        with peer("verifies", "the secret of the peer") as s3:
            self.names(self.examine(s3), "bucket", f'the secret key does not belong to the access key "{ACCESS_KEY}"', "So the clock, the region and the request are right")
        with peer("verifies", SECRET_KEY) as s3:
            self.assertEqual(self.examine(s3).mark("probe object"), ["✓"])
            self.assertEqual(s3.objects, {})
        with peer("verifies", SECRET_KEY, host="backend:8080") as s3:
            self.names(self.examine(s3), "bucket", "the request was changed on its way", f'Host was changed on the way, from "127.0.0.1:{s3.port}" to "backend:8080"', "proxy_set_header Host $http_host")

    def test_a_form_that_is_refused(self):
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
                said = self.names(self.examine(s3), "form", words)
                self.assertEqual(said.mark("probe object"), ["✓"])
                self.assertEqual(s3.objects, {})

    def test_a_store_that_says_nothing(self):
        with peer("silent", "HeadBucket") as s3:
            self.names(self.examine(s3, store__timeout="300ms"), "store", "nothing answers", "firewall")

    def test_interrupted_it_removes_what_it_has_put(self):
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

    def test_a_certificate_that_nobody_trusts(self):
        import ssl
        certificate, key = os.path.join(self.folder, "certificate.pem"), os.path.join(self.folder, "key.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
                       check=True, capture_output=True)
        with peer("hashes") as s3:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, key)
            s3.server.socket = context.wrap_socket(s3.server.socket, server_side=True)
            url = f"https://localhost:{s3.port}"
            self.names(self.examine(url), "store", f"the TLS certificate of {url} is not trusted here", "ca_file")
            self.assertEqual(self.examine(url, store__ca_file=certificate).mark("form"), ["✓"])


class WithADirectory(Doctored):
    def files(self):
        return [n for _, _, names in os.walk(os.path.join(self.folder, "objects")) for n in names if n.startswith("postern-doctor")]

    def examine(self, **more):
        settings = {"server__secrets": SERVER_SECRET, "store__path": os.path.join(self.folder, "objects"), "ledger__url": f"sqlite:{self.folder}/doctor.db", "auth__anonymous": "true", **more}
        return self.run_it("doctor", environment={}, **settings)

    def test_beside_a_running_server(self):
        with Server(folder=self.folder) as server:
            said = self.run_it("doctor", "--config", server.config, environment=server.environment)
            self.assertEqual(said.code, 0, said.out)
            self.assertEqual({m for c, m in said.marks if c not in ("clock", "AssumeRole", "bucket", "CORS")}, {"✓"})
            self.untried(said, "clock", "AssumeRole", "bucket", "CORS")
            self.assertEqual((self.files(), server.leftovers()), ([], []))
            run = lambda **more: self.run_it("doctor", "--config", server.config, environment={**server.environment, **more})
            said = run(POSTERN_SERVER__SECRETS="another secret of the tests")
            self.names(said, "form", "the running server does not accept what this program signs", "server.secrets")
            said = run(POSTERN_STORE__PATH=os.path.join(self.folder, "elsewhere"))
            self.names(said, "form", "keeps its objects elsewhere", "store.path")
            said = run(POSTERN_STORE__BUCKET="unknown")
            self.names(said, "form", "the running server refuses the form", "NoSuchBucket")
            self.assertEqual((self.files(), server.leftovers()), ([], []))
            self.assertEqual([n for _, _, names in os.walk(os.path.join(self.folder, "elsewhere")) for n in names if n.startswith("postern-doctor")], [])

    def test_receivers_of_webhooks(self):
        moved = lambda request, n: request.say(308, Location="/new")
        faults = {"/moved": (moved, ["answers 308", '"/new"', "final URL"]), "/gone": (410, ["answers 410", "--retry-all"]), "/nowhere": (404, ["answers 404", "path"]),
                  "/login": (401, ["answers 401", "signature with the secret in"]), "/broken": (500, ["answers 500", "postern.test"])}
        says = {path: what for path, (what, _) in faults.items()}
        certificate = hooks.make_certificate(self.folder)
        with hooks.Receiver(says) as app, hooks.Receiver(certificate=certificate) as other:
            at, private = f"http://127.0.0.1:{app.port}", f"https://localhost:{other.port}/hooks"
            toml = lambda *sections: "[auth]\nanonymous = true\n" + "".join(sections)
            with Server(toml(hooks.endpoint(at + "/right?token=of+the+app"), hooks.endpoint(private, ca_file=certificate[0]))) as server:
                run = lambda: self.run_it("doctor", "--config", server.config, environment=server.environment, cwd=server.folder)
                said = run()
                self.assertEqual((said.code, said.mark("webhook")), (0, ["✓", "✓"]), said.out)
                self.assertTrue(app.at("/right")[0].signed_by(hooks.SECRET))
                self.assertEqual(app.at("/right")[0].json()["type"], "postern.test")
                self.assertNotIn("of+the+app", said.out)
                for path, (_, words) in faults.items():
                    with open(server.config, "w") as f:
                        f.write(toml(hooks.endpoint(at + path)))
                    self.names(run(), "webhook", f"{at}{path} answers", *words)
                with open(server.config, "w") as f:
                    f.write(toml(hooks.endpoint(private), hooks.endpoint(private + "/2", allow_private=False), hooks.endpoint(f"http://127.0.0.1:{free_port()}/")))
                said = self.names(run(), "webhook", "is not trusted here", "[[webhooks]]", "private addresses are not allowed here", "allow_private = true", "nothing listens on that port",
                                  "webhooks, number 3, url")
                self.assertEqual(said.mark("webhook"), ["✗", "✗", "✗"])

    def test_alone(self):
        said = self.examine(server__public_url=f"http://127.0.0.1:{free_port()}")
        self.names(said, "public_url", "must be running")
        self.assertEqual((said.mark("probe object"), said.mark("form")), (["✓"], ["–"]), said.out)
        self.assertEqual(self.files(), [])

    def test_a_directory_that_cannot_be_written(self):
        self.names(self.examine(store__path="/proc/nowhere"), "store", "/proc/nowhere", "cannot be used")

    def test_one_key_for_all_uploads_is_left_alone(self):
        os.makedirs(os.path.join(self.folder, "objects", "local"))
        logo = os.path.join(self.folder, "objects", "local", "logo.png")
        with open(logo, "w") as f:
            f.write("the logo")
        said = self.examine(profiles__default__key="logo.png", profiles__default__overwrite="true")
        self.assertEqual(said.mark("probe object"), ["–"], said.out)
        with open(logo) as f:
            self.assertEqual(f.read(), "the logo")


if __name__ == "__main__":
    need_rgw()
    main()
