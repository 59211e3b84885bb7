"""Traps for operators: what an environment, a file or a neighbour can do to a running Postern, and what the program says about it."""

import http.server, os, ssl, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from whole import *
from certificates import Authority
from fake_s3 import FakeS3


class RefusingApplication(http.server.BaseHTTPRequestHandler):
    """An application that allows nobody to upload."""

    def do_GET(self):
        self.send_response(403)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def lines(server, event):
    """The log lines of this event."""
    return [l for l in server.log_text().splitlines() if f'event="{event}"' in l or f"event={event} " in l]


def line(server, event, seconds=20):
    """The first log line of this event, which may still have to come."""
    return wait_until(lambda: lines(server, event), f"the event {event}", seconds)[0]


def run_in(folder, *arguments, **environment):
    return subprocess.run([BINARY, *arguments], capture_output=True, text=True, cwd=folder, timeout=60, env={"PATH": os.environ["PATH"], **environment}, check=False)


class InFolder(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="postern-test-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def refusal(self, **settings):
        """Why the server does not start with these settings."""
        with self.assertRaises(RuntimeError) as failed:
            Server(**settings).close()
        return str(failed.exception)


class Environment(InFolder):
    def test_the_variables_of_a_kubernetes_service_do_not_stop_the_start(self):
        with Server(PORT="tcp://10.0.0.7:8080", PORT_8080_TCP_ADDR="10.0.0.7", SERVICE_HOST="10.0.0.7", SERVICE_PORT="8080") as server:
            self.assertTrue(server.is_ready())
            warned = lines(server, "environment variables are ignored")
            self.assertEqual(len(warned), 1)
            self.assertIn('names="POSTERN_PORT, POSTERN_PORT_8080_TCP_ADDR, POSTERN_SERVICE_HOST, POSTERN_SERVICE_PORT"', warned[0])

    def test_an_error_names_the_variable_that_gave_the_value(self):
        self.assertIn("POSTERN_STORE__TYPE: \"tape\" is neither", self.refusal(store__type="tape"))
        self.assertIn("POSTERN_LEDGER__URL: the database", self.refusal(ledger__url="sqlite:/proc/nowhere/x.db"))
        self.assertIn("POSTERN_STORE__CA_FILE: the CA file", self.refusal(store__ca_file="/nowhere/ca.pem"))


class Secrets(InFolder):
    def test_a_named_secret_file_that_is_missing_is_an_error(self):
        path = os.path.join(self.folder, "shared.secret")
        why = self.refusal(server__secrets='{ file = "%s" }' % path)
        self.assertIn(f"the secret file {path} does not exist; make it once with: (umask 077; openssl rand -hex 32 > {path}), and give the same file to every node", why)
        self.assertFalse(os.path.exists(path))
        command = re.search(r"\(umask 077; openssl rand -hex 32 > \S+\)", why)[0]
        subprocess.run(["sh", "-c", command], check=True)
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        with Server(server__secrets='{ file = "%s" }' % path) as server:
            self.assertTrue(server.is_ready())

    def test_only_a_command_that_signs_makes_the_default_file(self):
        for arguments in (("config",), ("uploads",), ("doctor",), ("setup", "cors")):
            done = run_in(self.folder, *arguments, POSTERN_LEDGER__URL=f"sqlite:{self.folder}.db", POSTERN_STORE__PATH=self.folder + ".objects", POSTERN_SERVER__PUBLIC_URL=f"http://127.0.0.1:{free_port()}")
            self.assertNotIn("a secret was made", done.stderr)
            self.assertEqual(os.listdir(self.folder), [], arguments)
        for leftover in (self.folder + ".db", self.folder + ".objects"):
            self.addCleanup(shutil.rmtree if os.path.isdir(leftover) else os.remove, leftover)
        done = run_in(self.folder, "sign", "--filename", "a")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn('level=warning event="a secret was made" file=var/secret', done.stderr)
        self.assertNotIn("a secret was made", run_in(self.folder, "sign", "--filename", "a").stderr)

    def test_a_node_with_other_secrets_is_told(self):
        url = f"sqlite:{self.folder}/shared.db"  # two programs can share it for a test
        with Server(ledger__url=url, server__secrets="the secret of the first node") as first:
            wait_until(lambda: self.doctor(first).count("✓ secrets") == 1, "the first node's fingerprint")
            with Server(ledger__url=url, server__secrets='["the secret of the second node", "the secret of the first node"]') as second:
                wait_until(lambda: "✗ secrets" in self.doctor(first), "the doctor sees the other secret")
                self.assertEqual(lines(second, "another node has other secrets"), [])  # it has both
            with Server(ledger__url=url, server__secrets="the secret of the third node") as third:
                warned = wait_until(lambda: len(lines(third, "another node has other secrets")) >= 2 and lines(third, "another node has other secrets"), "the warnings")
                self.assertEqual(len({re.search(r"fingerprint=([0-9a-f]{8}) ", l)[1] for l in warned}), 2)
                output = self.doctor(third)
                self.assertIn("Give every node the same server.secrets", " ".join(output.split()))
                for text in (output, third.log_text()):
                    self.assertNotIn("the secret of", text)

    def doctor(self, server):
        return run_in(server.folder, "doctor", "--config", server.config, **server.environment).stdout


class Reload(InFolder):
    """SIGHUP: certificates, API keys and the log's level change; a wrong file changes nothing."""

    def key(self, name, key):
        return f'{{ name = "{name}", sha256 = "{hashlib.sha256(key.encode()).hexdigest()}" }}'

    def write(self, server, text):
        with open(server.config, "w") as f:
            f.write(text)

    def hang_up(self, server, event):
        before = len(lines(server, event))
        server.process.send_signal(signal.SIGHUP)
        return wait_until(lambda: lines(server, event)[before:], f"the event {event}")[0]

    def may_sign(self, server, key):
        return server.request("POST", "/v1/uploads", '{"filename":"a"}', {"Content-Type": "application/json", "Authorization": "Bearer " + key})[0] == 201

    def test_api_keys_and_the_level_of_the_log(self):
        with Server(f"[auth]\napi_keys = [{self.key('app', 'old')}]\n") as server:
            self.assertTrue(self.may_sign(server, "old"))
            self.write(server, f'[auth]\napi_keys = [{self.key("app", "new")}]\n[log]\nlevel = "debug"\n')
            self.assertIn('changed="auth.api_keys, log.level"', self.hang_up(server, "reloaded"))
            self.assertEqual([self.may_sign(server, k) for k in ("old", "new")], [False, True])
            self.assertTrue(lines(server, "request"), "debug lines")
            self.assertIn('changed=""', self.hang_up(server, "reloaded"))
            self.assertEqual(lines(server, "settings need a restart"), [])

    def test_the_application_that_is_asked(self):
        with http.server.HTTPServer(("127.0.0.1", 0), RefusingApplication) as application, Server(f"[auth]\napi_keys = [{self.key('app', 'key')}]\n") as server:
            threading.Thread(target=application.serve_forever, daemon=True).start()
            url = f"http://127.0.0.1:{application.server_address[1]}/authorize"
            ask = lambda: server.request("POST", "/v1/uploads", '{"filename":"a"}', {"Content-Type": "application/json", "Authorization": "Bearer x"})[0]
            self.assertEqual(ask(), 401)
            self.write(server, f"[auth.forward]\nurl = '{url}'\n")
            self.assertIn('changed="auth.api_keys, auth.forward.url"', self.hang_up(server, "reloaded"))
            self.assertEqual(ask(), 403)
            self.write(server, "[auth.forward]\nurl = 'nonsense'\n")
            self.assertIn("auth.forward.url", self.hang_up(server, "reload failed: the old settings stay in force"))
            self.assertEqual(ask(), 403)
            application.shutdown()

    def test_a_wrong_file_changes_nothing_and_says_why(self):
        with Server(f"[auth]\napi_keys = [{self.key('app', 'old')}]\n") as server:
            for text, words in ((f'[auth]\napi_keys = [{self.key("app", "new")}]\n[log]\nlevel = "loud"\n', "log.level (line 4)"), ("[server\n", "line 1"), ('[auth]\nanonymous = true\n[profiles.a]\nkey = "x"\n', "profiles.a.key")):
                self.write(server, text)
                told = self.hang_up(server, "reload failed: the old settings stay in force")
                self.assertIn("level=error", told)
                self.assertIn(words, told)
                self.assertEqual([self.may_sign(server, k) for k in ("old", "new")], [True, False])
                self.assertEqual(server.request("POST", "/v1/uploads", '{"filename":"a"}', {"Content-Type": "application/json"})[0], 401)
            os.remove(server.config)
            self.assertIn("cannot be read", self.hang_up(server, "reload failed: the old settings stay in force"))

    def test_the_file_of_the_working_directory_must_not_vanish(self):
        with Server(f"[auth]\napi_keys = [{self.key('app', 'old')}]\n", names_config=False) as server:
            self.assertTrue(self.may_sign(server, "old"))
            os.rename(server.config, server.config + ".away")
            self.assertIn("postern.toml", self.hang_up(server, "reload failed: the old settings stay in force"))
            self.assertTrue(self.may_sign(server, "old"))
            os.rename(server.config + ".away", server.config)
            self.hang_up(server, "reloaded")

    def test_settings_that_need_a_restart_are_named(self):
        with Server("[auth]\nanonymous = true\n") as server:
            self.write(server, '[auth]\nanonymous = true\n[limits]\njson_body = "1MiB"\n[profiles.default]\nmax_size = "1MiB"\n[profiles.images]\n[[webhooks]]\nurl = "https://a.example.com"\nsecret = "the secret of the webhook"\n')
            told = self.hang_up(server, "settings need a restart")
            self.assertIn("level=warning", told)
            self.assertIn('names="limits.json_body, webhooks, profiles.default.max_size, profiles.images"', told)
            self.write(server, '[auth]\nanonymous = true\n[[webhooks]]\nurl = "https://a.example.com"\nsecret = "another secret of the webhook"\n')
            self.assertIn("names=webhooks", self.hang_up(server, "settings need a restart"))
            self.assertEqual(server.sign()["state"], "issued")
            self.assertNotIn("the secret", server.log_text())

    def test_certificates(self):
        authority = Authority(self.folder)
        first, second = (authority.certificate(name) for name in ("first", "second"))
        used = [os.path.join(self.folder, name) for name in ("used.pem", "used.key")]
        def use(pair):
            for source, target in zip(pair, used):
                shutil.copy(source, target)

        use(first)
        with Server(tls=ssl.create_default_context(cafile=authority.file), server__tls__certificate=used[0], server__tls__key=used[1]) as server:
            def name_of_certificate():
                with socket.create_connection(("127.0.0.1", server.port)) as s, server.tls.wrap_socket(s, server_hostname="127.0.0.1") as secure:
                    return dict(pair for (pair,) in secure.getpeercert()["subject"])["commonName"]

            self.assertEqual(name_of_certificate(), "first")
            kept = http.client.HTTPSConnection("127.0.0.1", server.port, timeout=60, context=server.tls)
            kept.request("GET", "/postern.js")
            kept.getresponse().read()
            use((second[0], first[1]))
            self.assertIn("does not belong to the certificate", self.hang_up(server, "reload failed: the old settings stay in force"))
            self.assertEqual(name_of_certificate(), "first")
            use(second)
            self.hang_up(server, "reloaded")
            self.assertEqual(name_of_certificate(), "second")
            kept.request("GET", "/postern.js")  # a connection that was open goes on
            self.assertEqual(kept.getresponse().status, 200)
            kept.close()

    def test_reloads_under_load(self):
        keys = [f"key {n}" for n in range(2)]
        text = lambda n: f"[auth]\napi_keys = [{self.key('fixed', 'fixed')}, {self.key('app', keys[n])}]\n"
        with Server(text(0), server__threads="4") as server:
            ending = threading.Event()
            def signs():
                count = 0
                while not ending.is_set():
                    assert self.may_sign(server, "fixed")
                    count += 1
                return count

            def reloads():
                try:
                    for n in range(20):
                        self.write(server, text((n + 1) % 2))
                        self.hang_up(server, "reloaded")
                finally:
                    ending.set()

            counts = in_threads(lambda f: f(), [reloads, signs, signs, signs])
            self.assertGreater(min(counts[1:]), 0)
            self.assertEqual([self.may_sign(server, k) for k in keys], [True, False])


class Log(InFolder):
    """Each upload and each refusal can be followed by the id that the client was given."""

    def test_each_fallback_upload_ends_with_one_line(self):
        with Server(f'[auth]\napi_keys = [{{ name = "app", sha256 = "{hashlib.sha256(b"key").hexdigest()}" }}]\n') as server:
            sign = lambda **ask: server.sign(headers={"Authorization": "Bearer key"}, **ask)
            form = sign()
            ended = {}
            status, headers, _ = server.post_form(form["fields"], b"hello")
            ended[headers["x-request-id"]] = f'upload={form["id"]} caller=app client=127.0.0.1 way=fallback bytes=5 ms=', "result=stored"
            form = sign(size=4)
            status, headers, _ = server.post_form(form["fields"], b"hello" * 100_000)
            self.assertEqual(status, 400)
            ended[headers["x-request-id"]] = f'upload={form["id"]} caller=app', "result=rejected"
            status, headers, _ = server.post_form({"key": "a"}, b"hello")
            self.assertEqual(status, 403)
            ended[headers["x-request-id"]] = 'upload="" caller="" client=127.0.0.1 way=fallback bytes=0 ms=', "result=rejected"
            status, headers, _ = server.request("POST", "/upload/local", b"hello", {"Content-Type": "text/plain"})
            self.assertEqual(status, 400)
            ended[headers["x-request-id"]] = 'upload="" caller=""', "result=rejected"
            found = lines(server, "upload ended")
            self.assertEqual(len(found), len(ended))
            for text, (id, pieces) in zip(found, ended.items()):
                for piece in (f"request={id} ", "level=info", *pieces):
                    self.assertIn(piece, text)

    def test_a_client_that_leaves_ends_its_upload_in_the_log(self):
        with Server() as server:
            begin = form_begin(server.sign()["fields"])
            with server.raw() as s:
                s.sendall(form_header(len(begin) + 10_000_000) + begin + b"x" * 100_000)
            self.assertIn("result=rejected", line(server, "upload ended"))

    def test_a_refused_request_for_a_form_has_the_id_of_its_answer(self):
        with Server() as server:
            status, headers, _ = server.request("POST", "/v1/uploads", '{"filename":"a","profile":"none"}', {"Content-Type": "application/json"})
            self.assertEqual(status, 400)
            refused = line(server, "signing refused")
            self.assertIn(f"request={headers['x-request-id']} client=127.0.0.1", refused)
            self.assertIn("none", refused)


class CuttingProxy:
    """Passes connections on, and cuts each one when its client has sent so many bytes."""

    def __init__(self, limit):
        self.limit, self.to = limit, None
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                client = self.listener.accept()[0]
                server = socket.create_connection(("127.0.0.1", self.to))
                threading.Thread(target=self.copy, args=(client, server, self.limit), daemon=True).start()
                threading.Thread(target=self.copy, args=(server, client, 1 << 30), daemon=True).start()

    def copy(self, source, target, limit):
        with contextlib.suppress(OSError):
            while limit > 0 and (piece := source.recv(min(limit, 65536))):
                target.sendall(piece)
                limit -= len(piece)
        for s in (source, target):
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)


class Doctor(InFolder):
    def test_a_proxy_that_cuts_large_forms_is_found_and_nothing_is_left_behind(self):
        proxy = CuttingProxy(1 << 20)
        self.addCleanup(proxy.listener.close)
        with Server(server__public_url=f"http://127.0.0.1:{proxy.port}") as server:
            proxy.to = server.port
            done = run_in(server.folder, "doctor", "--config", server.config, **server.environment)
            text = " ".join(done.stdout.split())
            self.assertEqual(done.returncode, 1, text)
            self.assertIn(f"✗ large form a form of more than 1 MiB to http://127.0.0.1:{proxy.port}/upload/local is cut", text)
            self.assertIn("limits the size or the time of a body", text)
            self.assertIn("✓ public_url", text)
            self.assertEqual((server.objects(), server.leftovers()), ({}, []))
            proxy.limit = 1 << 30
            done = run_in(server.folder, "doctor", "--config", server.config, **server.environment)
            self.assertEqual(done.returncode, 0, done.stdout)
            self.assertEqual((server.objects(), server.leftovers()), ({}, []))


class Refusing(FakeS3):
    """An S3 that refuses requests of these operations with this status and code."""

    refusal, operations = None, ()

    def intercept(self, request):
        if not self.refusal or (self.operations and request.operation not in self.operations):
            return False
        return request.refuse(*self.refusal)


class Store(InFolder):
    def serve(self, s3, **more):
        return Server(store__type="s3", store__endpoint=s3.endpoint, store__bucket="media", store__path_style="true", **more)

    def ready(self, server, part):
        return server.admin("/readyz?for=" + part)[0] == 200

    def test_a_store_that_refuses_is_told_at_the_start(self):
        for refusal, words in (((403, "SignatureDoesNotMatch"), "store.credentials.secret_key"), ((403, "InvalidAccessKeyId"), "store.credentials.access_key"), ((404, "NoSuchBucket"), "create the bucket")):
            with self.subTest(refusal), Refusing() as s3:
                s3.refusal = refusal
                with self.serve(s3) as server:
                    told = line(server, "the store cannot be used")
                    self.assertIn("level=error", told)
                    self.assertIn(refusal[1], told)
                    self.assertIn(words, told)
                    self.assertEqual([self.ready(server, part) for part in ("sign", "record", "store")], [True, True, False])
                    server.sign()  # the program goes on
                    if refusal[1] == "NoSuchBucket":
                        s3.refusal = None
                        wait_until(lambda: self.ready(server, "store"), "the store is asked again", 40)
                        line(server, "the store can be used again")

    def test_a_store_that_does_not_answer_is_told_at_the_start(self):
        endpoint = f"http://127.0.0.1:{free_port()}"
        with Server(store__type="s3", store__endpoint=endpoint, store__bucket="media", store__path_style="true") as server:
            self.assertIn("Connection refused", line(server, "the store cannot be used"))
            self.assertFalse(self.ready(server, "store"))

    def test_a_permission_that_uploads_do_not_need_is_told_once(self):
        with Refusing() as s3:
            s3.refusal, s3.operations = (403, "AccessDenied"), ("HeadBucket", "GetBucketLocation")
            with self.serve(s3) as server:
                self.assertIn("postern setup iam", line(server, "the store denies a permission"))
                wait_until(lambda: self.ready(server, "store"), "the store may be used")

    def test_refused_uploads_are_an_error_once_a_minute(self):
        with Refusing() as s3, self.serve(s3) as server:
            wait_until(lambda: self.ready(server, "store"), "the store answers")
            self.assertEqual(lines(server, "the store cannot be used"), [])
            s3.refusal = (403, "SignatureDoesNotMatch")
            for _ in range(3):
                self.assertEqual(server.post_form(server.sign()["fields"], b"hello", "media")[0], 503)
            refused = lines(server, "the store refuses requests")
            self.assertEqual(len(refused), 1)
            self.assertIn("level=error", refused[0])
            self.assertIn("SignatureDoesNotMatch", refused[0])
            self.assertIn("store.credentials.secret_key", refused[0])

    def test_without_credentials_no_form_can_be_signed_and_readyz_says_so(self):
        with Refusing() as s3, self.serve(s3, store__credentials__access_key="", store__credentials__secret_key="") as server:
            status, _, body = server.admin("/readyz?for=sign")
            self.assertEqual(status, 503)
            self.assertIn(b"sign: ", body)
            self.assertIn(b"there are no credentials", body)
            self.assertTrue(self.ready(server, "record"))
            server.sign(expect=503)


if __name__ == "__main__":
    main()
