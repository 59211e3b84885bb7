"""The command line: output and exit codes."""

import os, sys, tomllib

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from whole import *


class CommandLine(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="postern-test-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.config = os.path.join(self.folder, "postern.toml")

    def run_it(self, *arguments, config=None, **environment):
        if config is not None:
            with open(self.config, "w") as f:
                f.write(config)
        done = subprocess.run([BINARY, *arguments], capture_output=True, text=True, cwd=self.folder, timeout=30, env={"PATH": os.environ["PATH"], **environment}, check=False)
        return done.returncode, done.stdout, done.stderr

    def test_help_and_version(self):
        code, out, _ = self.run_it("--help")
        self.assertEqual(code, 0)
        for word in ("serve", "sign", "uploads", "doctor", "setup", "config"):
            self.assertIn(word, out)
        code, out, _ = self.run_it("setup", "--help")
        self.assertEqual(code, 0)
        for word in ("iam", "trust", "cors", "lifecycle"):
            self.assertIn(word, out)
            self.assertIn("--apply", self.run_it("setup", word, "--help")[1])
        code, out, _ = self.run_it("--version")
        self.assertEqual(code, 0)
        self.assertRegex(out, r"^postern \d+\.\d+\.\d+\n$")

    def test_wrong_usage_ends_with_exit_code_2(self):
        for arguments in ((), ("nonsense",), ("serve", "--nonsense"), ("serve", "--config", "absent.toml"), ("uploads", "--limit", "0"), ("sign",), ("setup",), ("setup", "nonsense"), ("doctor", "--config", "absent.toml")):
            code, _, err = self.run_it(*arguments)
            self.assertEqual(code, 2, arguments)
            self.assertTrue(err, arguments)

    def test_wrong_usage_says_what_is_wanted(self):
        cases = [(("serv",), "there is no command serv; did you mean serve? The commands are: serve, sign, uploads, doctor, setup, config"), (("doctr",), "there is no command doctr; did you mean doctor?"),
                 (("setup", "foo"), "there is no command foo; the commands are: iam, trust, cors, lifecycle"), (("uploads", "webhook"), "there is no command webhook; did you mean webhooks?"), ((), "a command is missing after postern; the commands are: serve,"),
                 (("setup",), "a command is missing after setup; the commands are: iam, trust, cors, lifecycle"), (("serve", "--nonsense"), "--nonsense"),
                 (("sign", "--size", "big"), '--size: "big" is not a whole number of bytes'), (("uploads", "--limit", "0"), '--limit: "0" is not a whole number from 1 to 100000'), (("serve", "--config"), "--config needs a value: the TOML file"),
                 (("serve", "--config", "absent.toml"), "absent.toml")]
        for arguments, words in cases:
            with self.subTest(arguments):
                code, out, err = self.run_it(*arguments)
                self.assertEqual((code, out), (2, ""))
                self.assertIn(words, err)

    def test_sign_without_credentials_names_the_setting(self):
        config = "[server]\nsecrets = ['a secret of the server']\n[store]\ntype = 's3'\nbucket = 'media'\n"
        code, _, err = self.run_it("sign", "--filename", "a", "--config", self.config, config=config, AWS_EC2_METADATA_DISABLED="true", HOME=self.folder)
        self.assertEqual(code, 1)
        self.assertTrue(err.startswith("postern: store.credentials: no credentials for S3 anywhere: "), err)
        self.assertTrue(err.endswith("; set them, or run postern doctor\n"), err)

    def test_a_new_key_signs(self):
        code, out, err = self.run_it("keys", "new", 'the "app"')
        self.assertEqual((code, err), (0, ""))
        _, key, _, line = (l.strip() for l in out.splitlines())
        self.assertRegex(key, r"^[0-9a-f]{64}$")
        self.assertNotIn(key, line)
        self.assertNotEqual(self.run_it("keys", "new", "app")[1], out)
        with Server(f"[auth]\napi_keys = [{line}]\n") as server:
            self.assertTrue(server.sign(headers={"Authorization": "Bearer " + key})["id"])
        for name, words in (("a/b", "cannot be a part of an object key"), ("..", "cannot be a part"), ("a" * 201, "has 201 bytes"), ("jwt", "choose another")):
            code, out, err = self.run_it("keys", "new", name)
            self.assertEqual((code, out), (2, ""))
            self.assertIn(words, err)
        self.assertEqual(self.run_it("keys")[0], 2)
        self.assertEqual(self.run_it("keys", "new")[0], 2)

    def test_configuration_errors_name_the_setting_and_the_fix(self):
        cases = [("[server]\nlistn = 'x'\n", "server.listn (line 2): unknown setting; did you mean server.listen?"), ("[limits]\nbufers = 1\n", "did you mean limits.buffers?"),
                 ("[profiles.default]\nmaxsize = 1\n", "did you mean profiles.default.max_size?"), ("[store]\ntype = 's3'\n", "store.bucket: is empty; name the bucket in S3"), 
                 ("[[webhooks]]\nurl = 'x'\n", "webhooks, number 1, url"), ("[events]\ntoken = 'x'\n", "fewer than 16 bytes"), *(("[auth.forward]\n" + text, message) for text, message in (("url = 'x'\n", "auth.forward.url"), ("cache = '1s'\n", "auth.forward.url: is missing"), ("url = 'http://a/b'\nsend = []\n", "auth.forward.send"), ("url = 'http://a/b'\nsend = ['cookies']\n", "did you mean"), ("url = 'http://a/b'\nuser_header = ''\n", "auth.forward.user_header"), ("url = 'http://a/b'\nlimits_header = 'X: y'\n", "not the name of a header field"), ("url = 'http://a/b'\ntimeout = '1m'\n", "100ms to 10s"), ("url = 'http://a/b'\ncache = '1h'\n", "the maximum is 10m"), ("url = 'http://a/b'\nca_file = '/nowhere'\n", "auth.forward.ca_file"))),
                 ("[auth]\napi_keys = [{ name = 'forward', sha256 = '" + "a" * 64 + "' }]\n", "auth.forward; choose another"), ("[auth.jwt]\nkeys = { secret = 'too short' }\n", "auth.jwt.keys, secret 1"), ("[auth.jwt]\nkeys = 'http://app.example.com/jwks'\n", "must be https"), ("[auth.jwt]\nissuer = 'a'\n", "auth.jwt.keys"),
                 *((f"[auth.jwt]\nkeys = {wrong}\n", "auth.jwt.keys, public key 1") for wrong in ("['https://app.example.com/.well-known/jwks.json']", "'/etc/postern/keys/public-key-of-the-provider.pem'", "'a secret of more than thirty-two bytes, not marked'",
                                                                                                 "'MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAu1SU1LfVLPHCozMxH2Mo'", "' https://app.example.com/.well-known/jwks.json'", "'<html>a page of the proxy, which is no key at all</html>'", "'{\"keys\":[]}'")),
                 ("[auth.jwt]\nalgorithms = ['none']\n", "is not one of: HS256"), ("[profiles.default]\nquota = '1GiB'\n", "must be a table"), ("[profiles.default]\nquota = { per_usr = '1GiB' }\n", "did you mean per_user"), ("[profiles.default]\nquota = { per_user = 'lots' }\n", "profiles.default.quota (line 2): per_user: "), ("[auth]\napi_keys = [{ name = 'a', sha256 = '" + "a" * 64 + "', rights = ['all'] }]\n", "number 1, rights"), ("[auth]\napi_keys = [{ name = 'a', sha256 = '" + "a" * 64 + "', rights = ['user'] }]\n", "can do nothing"), ("[auth]\napi_keys = [{ name = '..', sha256 = '" + "a" * 64 + "' }]\n", "cannot be a part of an object key"), ("[auth]\napi_keys = [{ name = 'a', sha256 = '" + "a" * 64 + "', expires = 'soon' }]\n", "is not a date"), ("[profiles.default]\nkey = 'x'\n", "must contain ${id}"), ("[profiles.default]\nkey = '${id}/${nme}'\n", "${nme}"),
                 ("[limits]\nbuffers = 'lots'\n", '"lots" is not a size; write it like "512"'), ("[server]\nsecrets = ['short']\n", "fewer than 16 bytes"), ("[server]\nallowed_origins = ['https://a.example.com/']\n", "exact origin"),
                 ("[server]\nallowed_origins = ['*']\n", "exact origin"), ("[server\n", "line 1"), ("[profiles.default]\nreturn_to = ['https://a.example.com*']\n", "behind the host"), ("[server]\nlisten = 'nonsense'\n", "server.listen: \"nonsense\" is not an address"),
                 ("[auth]\napi_keys = [{ name = 'a', sha256 = 'x' }]\n", "64 hex digits"), ("[server]\ntls = { certificate = 'a' }\n", "both certificate and key"), ("[server]\nsecrets = [{ env = 'NOT_THERE' }]\n", "NOT_THERE"),
                 ("[ledger]\nurl = 'sqlite:/proc/nowhere/x.db'\n", "cannot be used"), ("[store]\npath = '/proc/nowhere'\n", "cannot be used")]
        for config, words in cases:
            with self.subTest(words):
                code, out, err = self.run_it("serve", "--config", self.config, config=config)
                self.assertEqual((code, out), (2, ""))
                self.assertIn(words, err)
        code, _, err = self.run_it("uploads", "--config", self.config, config="[ledger]\nurl = 'postgresql://u:geheim@127.0.0.1:1/d'\n")  # serve would wait
        self.assertEqual(code, 2)
        self.assertIn("the database postgresql://u@127.0.0.1:1/d cannot be used", err)
        self.assertNotIn("geheim", err)
        code, _, err = self.run_it("serve", "--config", self.config, config="", POSTERN_SERVER__LISTN="x")
        self.assertIn("postern: POSTERN_SERVER__LISTN: unknown setting; did you mean server.listen?", err)
        code, _, err = self.run_it("config", config="[store]\nregion = 'eu west'\n")
        self.assertIn('postern: postern.toml: store.region: "eu west" cannot be the name of a region', err)
        os.remove(self.config)
        os.mkdir(self.config)
        code, _, err = self.run_it("config")
        self.assertEqual((code, err), (2, "postern: the configuration file postern.toml cannot be read: Is a directory; name a file that this user may read\n"))

    def test_the_secret_file_is_named_when_it_is_too_short(self):
        os.mkdir(os.path.join(self.folder, "var"))
        with open(os.path.join(self.folder, "var/secret"), "w") as f:
            f.write("short\n")
        code, _, err = self.run_it("config")
        self.assertEqual((code, err), (2, "postern: server.secrets: the secret file var/secret has fewer than 16 bytes; write one to it with: openssl rand -hex 32 > var/secret\n"))

    def test_config_prints_the_effective_settings_without_secrets(self):
        config = "[server]\nsecrets = ['a secret of the server']\n[limits]\njson_body = '1MiB'\n"
        code, out, err = self.run_it("config", "--config", self.config, config=config, POSTERN_STORE__BUCKET="media")
        self.assertEqual(code, 0, err)
        effective = tomllib.loads(out)
        self.assertEqual(effective["limits"]["json_body"], "1MiB")
        self.assertEqual(effective["store"]["bucket"], "media")  # from the environment
        self.assertEqual(effective["profiles"]["default"]["bucket"], "media")  # follows from it
        self.assertEqual(effective["server"]["secrets"], ["***"])
        self.assertNotIn("a secret", out)
        self.assertEqual(self.run_it("config", "--config", self.config, config="[server]\nlistn = 1\n")[0], 2)

    def test_config_prints_the_defaults(self):
        code, out, err = self.run_it("config", "--defaults")
        self.assertEqual((code, err), (0, ""))
        defaults = tomllib.loads(out)
        self.assertEqual(defaults["server"]["listen"], ["127.0.0.1:8080"])
        self.assertEqual(defaults["profiles"]["default"]["max_size"], "5GiB")
        self.assertEqual(defaults["webhooks"], [])
        self.assertFalse(os.listdir(self.folder), "printing the defaults makes no file")

    def test_a_port_in_use_is_an_error_with_the_address(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            s.listen()
            port = s.getsockname()[1]
            code, _, err = self.run_it("serve", "--config", self.config, config=f"[server]\nlisten = '127.0.0.1:{port}'\n")
        self.assertEqual(code, 2)
        self.assertIn(f"cannot listen on 127.0.0.1:{port}: Address already in use; another program uses this port", err)

    def test_an_address_that_cannot_be_used_has_its_own_remedy(self):
        code, _, err = self.run_it("serve", POSTERN_SERVER__LISTEN="192.0.2.1:8080")
        self.assertEqual(code, 2)
        self.assertIn("cannot listen on 192.0.2.1:8080: Cannot assign requested address; this machine has no such address", err)
        if not shutil.which("setpriv") or os.getuid() != 0:
            self.skipTest("a port without permission needs root and setpriv")
        done = subprocess.run(["setpriv", "--inh-caps=-all", "--bounding-set=-all", BINARY, "serve"], capture_output=True, text=True, cwd=self.folder, timeout=30, check=False,
                              env={"PATH": os.environ["PATH"], "POSTERN_SERVER__LISTEN": "127.0.0.1:80", "POSTERN_SERVER__ADMIN_LISTEN": ""})
        self.assertIn("cannot listen on 127.0.0.1:80: Permission denied; choose a port above 1023, or give the program the capability CAP_NET_BIND_SERVICE", done.stderr)

    def test_sign_and_uploads(self):
        config = "[auth]\nanonymous = true\n"
        code, out, err = self.run_it("sign", "--config", self.config, "--filename", "a.txt", "--size", "5", config=config)
        self.assertEqual(code, 0, err)
        form = json.loads(out)
        self.assertEqual(form["state"], "issued")
        self.assertEqual(os.stat(os.path.join(self.folder, "var/secret")).st_mode & 0o777, 0o600)
        code, out, _ = self.run_it("sign", "--config", self.config, "--html")
        self.assertEqual(code, 0)
        self.assertIn('<form action="http://localhost:8080/upload/local"', out)
        code, _, err = self.run_it("sign", "--config", self.config, "--profile", "nope", "--filename", "a")
        self.assertEqual(code, 1)
        self.assertIn("no profile", err)

        with Server(config, store__path=os.path.join(self.folder, "var/objects"), ledger__url="sqlite:" + os.path.join(self.folder, "var/postern.db"),
                    server__secrets='{ file = "%s" }' % os.path.join(self.folder, "var/secret"), store__credentials__access_key="", store__credentials__secret_key="") as server:
            self.assertEqual(server.post_form(form["fields"], b"hello")[0], 303)  # signed by the command, accepted by the server
            code, out, _ = self.run_it("uploads", "--config", self.config)
            self.assertEqual(code, 0)
            rows = out.splitlines()
            self.assertEqual(len(rows), 3)
            self.assertRegex(rows[0], r"^WHEN +ID +STATE +SIZE +BY +OBJECT$")
            self.assertTrue(any(form["id"] in r and "completed" in r and " 5 " in r for r in rows))
            code, out, _ = self.run_it("uploads", "--config", self.config, "--state", "completed", "--json")
            self.assertEqual([json.loads(l)["id"] for l in out.splitlines()], [form["id"]])
            self.assertEqual(self.run_it("uploads", "--config", self.config, "--state", "nonsense")[0], 2)

    def test_uploads_are_listed_newest_first_and_one_by_its_id(self):
        with Server() as server:
            ids = [server.sign()["id"] for _ in range(5)]
            wait_until(lambda: len(server.uploads()) == 5, "the rows")
            run = lambda *arguments: subprocess.run([BINARY, "uploads", *arguments, "--config", server.config], capture_output=True, text=True, env=server.environment, cwd=server.folder, timeout=30, check=False)
            listed = lambda *arguments: [json.loads(l)["id"] for l in run("--json", *arguments).stdout.splitlines()]
            self.assertEqual(listed("--limit", "3"), sorted(ids, reverse=True)[:3])
            self.assertEqual(listed("--limit", "1", "--state", "issued"), [max(ids)])
            self.assertEqual(listed(ids[2]), [ids[2]])
            table = run(ids[2]).stdout.splitlines()
            self.assertEqual((len(table), ids[2] in table[1]), (2, True))
            unknown = run("01a20c4b-39b9-71a1-a0b9-f1a0f2d7a5bf")
            self.assertEqual(unknown.returncode, 1)
            self.assertIn("no such upload", unknown.stderr)
            wrong = run("nonsense")
            self.assertEqual(wrong.returncode, 2)
            self.assertIn("there is no command nonsense; an upload's id is like", wrong.stderr)

    def test_follow_prints_each_change(self):
        with Server() as server:
            shown = subprocess.Popen([BINARY, "uploads", "--config", server.config, "--follow", "--json"], env=server.environment, stdout=subprocess.PIPE, text=True, cwd=server.folder)
            try:
                form = server.sign()
                self.assertEqual(json.loads(shown.stdout.readline())["state"], "issued")
                server.post_form(form["fields"], b"hello")
                self.assertEqual(json.loads(shown.stdout.readline())["state"], "completed")
            finally:
                shown.terminate()
                shown.wait()
                shown.stdout.close()

    def test_the_admin_listener(self):
        with Server() as server:
            self.assertEqual(server.admin("/healthz")[0], 200)
            self.assertEqual(server.admin("/readyz")[0], 200)
            form = server.sign()
            server.post_form(form["fields"], b"hello")
            _, headers, body = server.admin("/metrics")
            self.assertEqual(headers["content-type"], "text/plain; version=0.0.4")
            for line in (b"postern_signed_total 1\n", b"postern_received_bytes_total 5\n", b'postern_uploads_total{outcome="stored"} 1\n', b"postern_ledger_commit_seconds_count ", b'postern_requests_total{route="POST /upload/",status="3xx"} 1\n'):
                self.assertIn(line, body)
            self.assertEqual(len(server.admin("/v1/uploads?state=completed")[2].splitlines()), 1)
            self.assertEqual(server.admin("/v1/uploads?state=nonsense")[0], 400)
            self.assertEqual(server.admin("/v1/uploads?limit=0x1")[0], 400)
            self.assertEqual(server.request("GET", "/metrics")[0], 404)  # not on the public one


main()
