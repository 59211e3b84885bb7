"""The READMEs are true: they name every setting, metric, endpoint and error; links lead somewhere; examples run as printed.

Fences say how a block is tested: ```sh is run in a folder with build/postern and a running server, ```toml is checked by
`postern config`, ```js and ```python are compiled, the example of README.md is run whole. ```text is not run.
"""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from whole import *
import fcntl, glob, struct, tomllib
import chromium, rgw

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
PAGES = ["README.md", "conf/README.md", "conf/api.md", "conf/examples/clamav/README.md", "src/README.md", "src/client/README.md", "tests/README.md", "bench/README.md"]
OWN_NETWORK, PORTS = "DOCUMENTS_TEST_OWN_NETWORK", (3000, 8080, 8081)  # the ports that the documents name


def enter_own_network():
    """Moves the test into its own network namespace, where all ports are free. Where namespaces are not allowed, the ports must be free."""
    if OWN_NETWORK in os.environ:
        with socket.socket() as s:  # the loopback interface is down in a new network: SIOCSIFFLAGS, IFF_UP
            fcntl.ioctl(s, 0x8914, struct.pack("16sh14x", b"lo", 1))
        return
    for options in (["--net"], ["--user", "--map-root-user", "--net"]):
        command = ["unshare", *options]
        if shutil.which("unshare") and subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0:
            os.environ[OWN_NETWORK] = "1"
            os.execvp("unshare", [*command, sys.executable, os.path.abspath(__file__), BINARY, *sys.argv[2:]])


def text_of(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        return f.read()


def source_files(*patterns):
    return [p for pattern in patterns for p in sorted(glob.glob(os.path.join(ROOT, pattern), recursive=True))]


def blocks(page, language):
    """The fenced blocks of one language, with the line where each begins."""
    text, found = text_of(page), []
    for m in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.S | re.M):
        if m[1] == language:
            found.append((text.count("\n", 0, m.start()) + 1, m[2]))
    return found


def without_blocks(page):
    return re.sub(r"^```.*?^```$", "", text_of(page), flags=re.S | re.M)


def table_rows(text):
    """The cells of every table row, as lists."""
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in text.splitlines() if line.startswith("|")]


def bare(cell):
    return cell.strip("`")


def run_postern(*arguments, folder=None, **environment):
    return subprocess.run([BINARY, *arguments], check=False, capture_output=True, text=True, cwd=folder or "/", timeout=30, env={"PATH": os.environ["PATH"], **environment})


def printed_settings(*arguments, **environment):
    """What `postern config` prints: {path: value}; an item of a list stays an object."""
    with tempfile.TemporaryDirectory() as folder:
        done = run_postern("config", *arguments, folder=folder, **environment)
    assert done.returncode == 0, done.stderr
    return dict(flattened(tomllib.loads(done.stdout)))


def flattened(table, prefix=""):
    for name, value in table.items():
        if isinstance(value, dict) and value:
            yield from flattened(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


class References(unittest.TestCase):
    def test_the_first_page_is_one_page(self):
        lines = text_of("README.md").splitlines()
        self.assertLessEqual(len(lines), 150)
        for n, line in enumerate(lines, 1):
            self.assertLessEqual(len(line), 120, f"README.md:{n}")

    def test_every_page_is_tested(self):
        found = [os.path.relpath(p, ROOT) for p in source_files("*.md", "conf/**/*.md", "src/**/*.md", "tests/*.md", "bench/**/*.md")]
        self.assertEqual(sorted(found), sorted(PAGES))

    def test_every_setting_has_its_default(self):
        rows = [(bare(row[0]), row[1]) for row in table_rows(text_of("conf/README.md")) if len(row) == 3 and re.fullmatch(r"`[a-zA-Z0-9_.]+`", row[0])]
        expected = {path.replace("profiles.default.", "profiles.NAME."): value for path, value in printed_settings("--defaults").items()}
        # The members of lists have no value before there is an item.
        one = printed_settings(POSTERN_AUTH__API_KEYS='[{ name = "a", sha256 = "%s" }]' % ("0" * 64), POSTERN_WEBHOOKS='[{ url = "https://a.example.com", secret = "sixteen bytes or more" }]')
        required = {"auth.api_keys.name", "auth.api_keys.sha256", "webhooks.url", "webhooks.secret"}
        expected["stores.name"] = None  # the others are those of [store]
        for setting in ("auth.api_keys", "webhooks"):
            for name, value in one[setting][0].items():
                expected[f"{setting}.{name}"] = None if f"{setting}.{name}" in required else value
        self.assertGreater(len(expected), 70)
        sections = {name.split(".")[0] for name in expected}
        self.assertEqual(sorted(name for name, _ in rows if name.split(".")[0] in sections), sorted(expected))
        written = dict(rows)
        for path, value in expected.items():
            with self.subTest(path):
                self.assertEqual(tomllib.loads("v = " + bare(written[path]))["v"] if written[path] else None, value)

    def test_every_documented_setting_exists(self):
        known = set(printed_settings("--defaults"))
        for page in PAGES:
            for setting in re.findall(r"`((?:server|limits|auth|store|ledger|events|sweep|log)\.[a-z_.]+)`", without_blocks(page)):
                is_known = setting in known or any(k.startswith(setting + ".") for k in known) or setting.startswith("auth.api_keys.") or setting in ("auth.jwt", "auth.forward")
                self.assertTrue(is_known, f"{page}: {setting}")

    def test_every_metric_is_documented_with_its_labels(self):
        written = {bare(r[0]): r for r in table_rows(text_of("conf/README.md")) if len(r) == 4 and r[0].startswith("`postern_")}
        declared = {name for p in source_files("src/**/*.cpp") for name in re.findall(r'"(postern_[a-z_]+)"', text_of(p))}
        self.assertEqual(sorted(declared), sorted(written))
        with Server() as server:
            server.post_form(server.sign()["fields"], b"hello")
            printed = server.admin("/metrics")[2].decode()
        types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", printed, re.M))
        self.assertGreater(len(types), 25)
        for name, kind in types.items():
            with self.subTest(name):
                _, written_kind, labels, meaning = written[name]
                self.assertEqual(written_kind, kind)
                samples = re.findall(rf"^{name}(?:_bucket|_sum|_count)?\{{(.*?)\}} ", printed, re.M)
                pairs = {pair for s in samples for pair in re.findall(r'(\w+)="([^"]*)"', s) if pair[0] != "le"}
                self.assertEqual(sorted(re.findall(r"`(\w+)`", labels)), sorted({label for label, _ in pairs}))
                for label, value in pairs:
                    if label in ("outcome", "source"):
                        self.assertIn(f"`{value}`", meaning)
                sources = " ".join(text_of(p) for p in source_files("src/**/*.cpp"))
                for value in re.findall(r"`(\w+)`", meaning) if "`outcome`" in labels else ():
                    self.assertRegex(sources, rf'outcome=\\"{value}\\"', f"nothing counts the outcome {value}")

    def test_every_endpoint_is_documented(self):
        declared = set()
        for path in source_files("src/front/**/*.cpp"):
            declared.update((verb.upper().rstrip("_"), at) for at, verb in re.findall(r'\{"(/[^"]*)",\s*(?:\w+::)*verb::(\w+)', text_of(path)))
        self.assertGreater(len(declared), 15)
        written = {(verb, re.sub(r"\{[^}/]*\}$|\?.*", "", at)) for verb, at in re.findall(r"`(GET|POST|PUT|PATCH|DELETE|OPTIONS) (/[^`]*)`", without_blocks("conf/api.md"))}
        self.assertEqual(sorted(written), sorted(declared))

    def test_every_error_is_documented(self):
        declared = {(name, status, code) for status, name, code in re.findall(r'\{errc::\w+, (\d+), "(\w+)",\s*"(\w+)"', text_of("src/base/error.cpp"))}
        written = {tuple(map(bare, r)) for r in table_rows(text_of("conf/api.md")) if len(r) == 3 and re.fullmatch(r"\d{3}", r[1])}
        self.assertGreater(len(declared), 30)
        self.assertEqual(sorted(written), sorted(declared))

    def test_log_events_are_logged(self):
        events = {}
        for path in source_files("src/**/*.cpp", "include/**/*.hpp"):
            for level, literals, members in re.findall(r'log::(debug|info|warning|error)\(\s*((?:"[^"]+"\s*)+)(.*?)\);', text_of(path), re.S):
                event = re.sub(r'"\s*"', "", literals).strip().strip('"')  # adjacent literals are one
                events.setdefault((event, level), set()).update(re.findall(r'\{"(\w+)",', members))
        rows = [r for r in table_rows(text_of("conf/README.md")) if len(r) == 4 and r[1] in ("info", "warning", "error")]
        self.assertGreater(len(rows), 15)
        for event, level, members, _ in rows:
            with self.subTest(event):
                logged = events.get((bare(event), level))
                self.assertIsNotNone(logged, f"conf/README.md, Logs: nothing logs this event at level {level}")
                self.assertEqual(sorted(set(re.findall(r"`(\w+)`", members)) - logged), [], "not members of this event")

    def test_tests_that_are_named_exist(self):
        files = {os.path.basename(p): p for p in source_files("tests/**/*_test.cpp", "tests/whole/test_*.py", "tests/hostile/test_*.py", "tests/e2e/*.mjs")}
        seen = 0
        for row in table_rows(text_of("tests/README.md")):
            inside = None
            for name in re.findall(r"`([^`]+)`", row[2]) if len(row) == 3 and row[0] not in ("kind", "pitfall", "complaint") and "/" not in row[1] else []:
                if re.search(r"\.(py|cpp|mjs)$", name):
                    self.assertIn(name, files)
                    inside = text_of(files[name])
                elif inside and "_" in name:
                    seen += 1
                    self.assertTrue(re.search(rf"\b{name}\b", inside), f"tests/README.md, {row[0][:30]}: no {name}")
        self.assertGreater(seen, 40)

    def test_units_that_are_named_exist(self):
        page = "src/README.md"
        floors = ("app", "front", "flow", "io", "core", "base")
        named, floor = set(), None
        for line in blocks(page, "text")[0][1].splitlines():
            floor = line.split()[0] if line[0] != " " else floor
            units = re.split(r"\s{3,}", line[8:].strip())[0].split()
            named.update(f"{floor}/{u.rstrip('/')}" for u in (units[:1] if units[0].endswith("/") else units))
        named.update(re.findall(rf"`((?:{'|'.join(floors)})/[a-z0-9_/]+)`", without_blocks(page)))
        self.assertGreater(len(named), 60)
        missing = [n for n in named if not any(os.path.exists(os.path.join(ROOT, p)) for p in (f"include/postern/{n}.hpp", f"src/{n}.cpp", f"src/{n}"))]
        self.assertEqual(sorted(missing), [])

    def test_links_lead_to_pages_and_headings(self):
        for page in PAGES:
            for target in re.findall(r"\]\(([^)\s]+)\)", without_blocks(page)):
                if target.startswith(("https://", "http://")):
                    continue
                file, _, heading = target.partition("#")
                path = os.path.normpath(os.path.join(os.path.dirname(page), file)) if file else page
                self.assertTrue(os.path.exists(os.path.join(ROOT, path)), f"{page}: {target}")
                if heading:
                    self.assertIn(heading, headings(path), f"{page}: {target}")

    def test_scripts_and_their_options_exist(self):
        seen = 0
        for page in PAGES:
            for _, block in blocks(page, "text"):
                for script, rest in re.findall(r"^((?:conf|tests|bench)/[a-z0-9/]+)(?= |$)(.*)$", block, re.M):
                    seen += 1
                    self.assertTrue(os.access(os.path.join(ROOT, script), os.X_OK), f"{page}: {script}")
                    for option in re.findall(r"--[a-z-]+", rest.partition("#")[0]):
                        self.assertTrue(option in text_of(script), f"{page}: {script} {option}")
        self.assertGreater(seen, 5)


def headings(page):
    """The anchors of a page's headings, as GitHub makes them."""
    return [re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in re.findall(r"^#+ (.*)$", without_blocks(page), re.M)]


class Blocks(unittest.TestCase):
    def test_toml_blocks_are_valid_configurations(self):
        seen = 0
        for page in PAGES:
            for line, block in blocks(page, "toml"):
                with self.subTest(f"{page}:{line}"), tempfile.TemporaryDirectory() as folder:
                    seen += 1
                    with open(folder + "/postern.toml", "w") as f:
                        f.write(block)
                    done = run_postern("config", folder=folder)
                    self.assertEqual(done.returncode, 0, done.stderr)
        self.assertGreater(seen, 2)

    def test_javascript_blocks_compile(self):
        if not shutil.which("node"):
            self.skipTest("node is not installed; tests/run installs it")
        with tempfile.TemporaryDirectory() as folder:
            for page in PAGES:
                for line, block in blocks(page, "js"):
                    with self.subTest(f"{page}:{line}"):
                        with open(folder + "/block.mjs", "w") as f:
                            f.write(block)
                        done = subprocess.run(["node", "--check", folder + "/block.mjs"], check=False, capture_output=True, text=True)
                        self.assertEqual(done.returncode, 0, done.stderr)

    def test_a_webhook_is_verified_in_python(self):
        (_, block), = blocks("conf/api.md", "python")
        names = {}
        exec(compile(block, "conf/api.md", "exec"), names)
        key, body, now = b"sixteen bytes or more", b'{"type":"upload.completed"}', str(int(time.time()))
        mac = lambda at: "v1," + base64.b64encode(hmac.digest(key, f"msg_1.{at}.".encode() + body, "sha256")).decode()
        headers = lambda at, signature: {"webhook-id": "msg_1", "webhook-timestamp": at, "webhook-signature": signature}
        secret = "whsec_" + base64.b64encode(key).decode()
        self.assertTrue(names["is_genuine"](headers(now, "v1,other " + mac(now)), body, secret))
        self.assertFalse(names["is_genuine"](headers(now, mac(now)), body + b" ", secret))
        self.assertFalse(names["is_genuine"](headers("1700000000", mac("1700000000")), body, secret))


def is_taken(port):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


class Examples(unittest.TestCase):
    def setUp(self):
        taken = [p for p in PORTS if is_taken(p)]
        if taken:
            self.assertNotIn(OWN_NETWORK, os.environ, taken)
            self.skipTest(f"ports {taken} are taken, and unshare --net is not allowed here")
        self.folder = tempfile.mkdtemp(prefix="postern-test-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        os.mkdir(self.path("build"))
        os.symlink(BINARY, self.path("build/postern"))
        os.symlink(os.path.join(ROOT, "conf"), self.path("conf"))

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name), "w") as f:
            f.write(text)

    def start(self, *command, **environment):
        """Starts a command in the folder; its process group ends with the test. Returns a function that returns the output so far."""
        log = open(self.path("log"), "w+")
        process = subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=subprocess.STDOUT, start_new_session=True, env={"PATH": os.environ["PATH"], **environment})

        def end():
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(60)
            log.close()
        self.addCleanup(end)

        def printed():
            with open(self.path("log"), errors="replace") as f:
                return f.read()
        return printed

    def wait_for(self, port, printed):
        end = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("localhost", port), 1).close()
                return
            except OSError:
                self.assertLess(time.monotonic(), end, f"nothing listens on {port}:\n{printed()}")
                time.sleep(0.05)

    def test_shell_blocks_run_as_printed(self):
        for program in ("curl", "jq", "openssl"):
            if not shutil.which(program):
                self.skipTest(program + " is not installed; conf/quickstart installs it")
        printed = self.start("build/postern", "serve", "--config", "conf/postern.toml")
        self.wait_for(8080, printed)
        self.wait_for(8081, printed)
        seen = 0
        for page in PAGES[1:]:
            for line, block in blocks(page, "sh"):
                with self.subTest(f"{page}:{line}"):
                    seen += 1
                    done = subprocess.run(["bash", "-euo", "pipefail", "-c", block], check=False, cwd=self.folder, capture_output=True, text=True, timeout=60)
                    self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
                    if "fields" in block:  # it posts a form
                        self.assertEqual(json.loads(done.stdout)["state"], "completed")
        self.assertGreater(seen, 4)

    def test_the_s3_example_runs_as_printed(self):
        """The example is pasted into empty files; keys and endpoint are in the environment. A direct and a fallback upload."""
        for name, is_there in (("Ceph RGW", rgw.is_installed()), ("Chromium", chromium.is_installed()), ("node", shutil.which("node"))):
            if not is_there:
                self.skipTest(name + " is not installed; tests/run installs it")
        for name, language in (("postern.toml", "toml"), ("app.mjs", "js"), ("page.html", "html")):
            self.write(name, blocks("README.md", language)[0][1])
        (_, shell), = blocks("README.md", "sh")
        with rgw.Rgw() as s3:
            printed = self.start("bash", "-euo", "pipefail", "-c", shell, AWS_ACCESS_KEY_ID=rgw.ACCESS_KEY, AWS_SECRET_ACCESS_KEY=rgw.SECRET_KEY, POSTERN_STORE__ENDPOINT=f"http://localhost:{s3.port}")
            self.wait_for(3000, printed)
            self.wait_for(8080, printed)
            self.assert_uploaded(s3, "cat.jpg", "redirect", printed)
            s3.request("DELETE", query="?cors=")
            self.assert_uploaded(s3, "dog.jpg", "fallback", printed)

    def assert_uploaded(self, s3, name, source, printed):
        data = os.urandom(300_000)
        with open(self.path(name), "wb") as f:
            f.write(data)
        with chromium.Chromium() as browser:  # a new browser each time, because it caches preflights
            page = browser.open("http://localhost:3000")
            page.choose("#file", self.path(name))
            shown = page.wait("document.getElementById('result').textContent")
        self.assertRegex(shown, rf"^Stored as uploads/.*/{re.escape(name)}$", printed())
        self.assertEqual(s3.get(shown.removeprefix("Stored as ")), data)
        listed = subprocess.run(["build/postern", "uploads", "--json"], check=True, cwd=self.folder, capture_output=True, text=True, timeout=30,
                                env={"PATH": os.environ["PATH"], "POSTERN_STORE__ENDPOINT": f"http://localhost:{s3.port}"})
        uploads = {u["key"].rpartition("/")[2]: u for u in map(json.loads, listed.stdout.splitlines())}
        self.assertEqual((uploads[name]["state"], uploads[name]["user"], uploads[name]["completed_by"]), ("completed", "app", source))


class States(unittest.TestCase):
    def test_the_table_of_transitions_is_the_tested_one(self):
        drawn = {bare(state): sorted(re.findall(r"`(\w+)`", to)) for state, to in re.findall(r"(?m)^\| (`\w+`) \|((?: `\w+`,?)*) \|$", text_of("src/README.md"))}
        tested = {state: sorted(re.findall(r"\w+", to)) for state, to in re.findall(r"\{(\w+), \{([\w, ]*)\}\}", text_of("tests/core/upload_test.cpp"))}
        self.assertEqual(len(tested), 9)
        self.assertEqual(drawn, tested)


enter_own_network()
main()
