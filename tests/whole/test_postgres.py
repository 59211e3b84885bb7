"""Two nodes that share a PostgreSQL: one accepts and completes what the other signed, outages of the database, and connections with TLS."""

import os, sys, unittest.mock

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from whole import *
from certificates import Authority
import postgres
from event_stream import Events


class TwoNodes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.db = postgres.Postgres()
        cls.addClassCleanup(cls.db.close)
        cls.db.__enter__()
        url = cls.db.url("uploads")
        cls.nodes = []
        for _ in range(2):
            cls.nodes.append(Server(LEDGER__URL=url))
            cls.addClassCleanup(cls.nodes[-1].close)

    def upload(self, signs, takes):
        form = signs.sign()
        status, headers, _ = takes.post_form(form["fields"], b"x" * 1000)
        return form["id"], status, headers

    def state(self, node, id):
        return node.status(id)["state"]

    def test_a_form_of_one_node_is_accepted_by_the_other(self):
        a, b = self.nodes
        for signs, takes in ((a, b), (b, a)):
            id, status, _ = self.upload(signs, takes)
            self.assertEqual(status, 303)
            self.assertEqual([self.state(n, id) for n in (a, b)], ["completed", "completed"])
            self.assertEqual(self.db.query(f"SELECT state, size FROM postern.uploads WHERE id = '{id}'", "uploads"), [["completed", "1000"]])

    def test_a_stream_shows_what_the_other_node_does_at_most_two_seconds_later(self):
        a, b = self.nodes
        form = a.sign()
        wait_until(lambda: b.request("GET", f"/v1/uploads/{form['id']}")[0] == 200, "the row of the signed form")
        events = Events(b, form)
        self.assertEqual(events.next()[0], "issued")
        begin, data = form_begin(form["fields"]), b"x" * 1_000_000
        with a.raw() as s:
            s.sendall(form_header(len(begin) + 10 * len(data) + len(form_end())) + begin)
            ages = []
            for n in range(10):
                s.sendall(data)
                least = (n + 1) * 900_000
                wait_until(lambda least=least: a.status(form["id"]).get("received", 0) >= least, "the bytes")
                arrived = time.monotonic()
                while (event := events.next())[1].get("received", 0) < least:
                    pass
                self.assertEqual(event[0], "receiving")
                ages.append(time.monotonic() - arrived)
            s.sendall(form_end())
            read_answer(s)
        completed = time.monotonic()
        while (event := events.next())[0] != "completed":
            pass
        ages.append(time.monotonic() - completed)
        self.assertEqual((event[1]["state"], event[1]["size"]), ("completed", 10_000_000))
        self.assertIsNone(events.next())
        events.close()
        print(f"\nanother node's progress and completion, seconds until a stream shows them: {', '.join(f'{x:.2f}' for x in ages)}", file=sys.stderr)
        self.assertLess(max(ages), 2.5)  # 2 s by design, plus a margin for a busy machine

    def test_an_unavailable_database_answers_503_and_recovers(self):
        a, b = self.nodes
        for how in (self.db.stop, self.db.kill):
            how()
            begin = time.monotonic()
            self.assertFalse(a.is_ready())
            form = a.sign()  # signing needs no database
            self.assertEqual(b.request("GET", f"/v1/uploads/{form['id']}")[0], 503)
            self.assertLess(time.monotonic() - begin, 5)
            self.db.start()
            for n in (a, b):
                wait_until(n.is_ready, "ready again", 30)
            wait_until(lambda: b.request("GET", f"/v1/uploads/{form['id']}")[0] == 200, "the row, written when it could be", 30)
            id, status, _ = self.upload(a, b)
            self.assertEqual((status, self.state(a, id)), (303, "completed"))

    def test_the_password_is_not_shown(self):
        with_password = self.db.url("uploads").replace("postgres@", "postgres:geheim@")
        node = Server(LEDGER__URL=with_password)
        text = node.log_text()
        node.close()
        self.assertIn(f"postgresql://postgres@127.0.0.1:{self.db.port}/uploads", text)
        self.assertNotIn("geheim", text)

    def test_the_other_node_knows_the_progress_within_two_seconds(self):
        a, b = self.nodes
        form, piece = a.sign(), b"x" * 65536
        begin, count = form_begin(form["fields"]), 60
        seen, lags = [], []  # when node A showed how many bytes
        with a.raw() as s:
            s.sendall(form_header(len(begin) + count * len(piece) + len(form_end())) + begin)
            for _ in range(count):
                s.sendall(piece)
                recorded = a.status(form["id"])
                if recorded and "received" in recorded:
                    seen.append((time.monotonic(), recorded["received"]))
                asked = time.monotonic()
                there = b.status(form["id"])
                there = (there or {}).get("received") or 0
                # How long ago did A show at most as many bytes as B shows now?
                newer = [at for at, received in seen if received > there]
                lags.append(asked - newer[0] if newer else 0)
                time.sleep(0.1)  # the pace of the sender
            self.assertGreater(there, 0)
            s.sendall(form_end())
            self.assertEqual(read_answer(s)[0], 303)
        self.assertGreater(seen[-1][0] - seen[0][0], 5, "the upload was too short to see anything")
        print(f"\nprogress at another node: at most {max(lags):.2f} s old", file=sys.stderr)
        self.assertLessEqual(max(lags), 2)


class Late(unittest.TestCase):
    """Postern starts before its database, or with a database that does not let it in."""

    @classmethod
    def setUpClass(cls):
        cls.db = postgres.Postgres()
        cls.addClassCleanup(cls.db.close)
        cls.db.__enter__()

    def test_a_database_that_comes_after_postern(self):
        url = self.db.url("late")
        self.db.stop()
        self.addCleanup(lambda: self.db.process or self.db.start())
        with Server(LEDGER__URL=url) as server:
            self.assertEqual(server.admin("/readyz")[0], 503)
            form = server.sign(success_action_status=204)
            self.assertEqual(server.request("GET", "/v1/uploads/" + form["id"])[0], 503)
            self.assertEqual(server.request("GET", form["complete_url"].removeprefix(server.url))[0], 503)  # nothing can be recorded
            self.assertIn('event="ledger cannot be written"', server.log_text())
            self.assertIn("Connection refused", server.log_text())
            self.db.start()
            wait_until(server.is_ready, "the ledger", 30)
            self.assertIn('event="ledger can be written again"', server.log_text())
            wait_until(lambda: server.request("GET", "/v1/uploads/" + form["id"])[0] == 200, "the row of the form that was signed before", 30)
            self.assertEqual(server.post_form(form["fields"], b"hello")[0], 204)
            self.assertEqual(server.status(form["id"])["state"], "completed")

    def test_the_log_says_what_the_database_refuses(self):
        self.db.query("CREATE ROLE app LOGIN PASSWORD 'right'")
        self.db.query("CREATE DATABASE theirs OWNER app")
        with open(self.db.path("data", "pg_hba.conf"), "w") as f:
            f.write("host all app 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n")
        self.db.query("SELECT pg_reload_conf()")
        url = lambda user, name: f"postgresql://{user}@127.0.0.1:{self.db.port}/{name}"
        for wrong, words in ((url("app:wrong", "theirs"), 'password authentication failed for user \\"app\\"; correct the user and the password in ledger.url'),
                             (url("app:right", "absent"), 'database \\"absent\\" does not exist; create the database, or correct its name in ledger.url')):
            with Server(LEDGER__URL=wrong) as server:
                wait_until(lambda: words in server.log_text(), words)
                server.sign()
                self.assertEqual(server.admin("/readyz")[0], 503)
                self.assertNotIn("wrong", server.log_text())
        with Server(LEDGER__URL=url("app:right", "absent2")) as server:
            self.db.query("CREATE DATABASE absent2 OWNER app")
            wait_until(server.is_ready, "the database that was created later", 30)


class Tls(unittest.TestCase):
    """A PostgreSQL that accepts network connections only with TLS."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="postern-test-")
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.authority = Authority(cls.folder)
        cls.other = Authority(cls.folder, "another authority")
        cls.db = postgres.Postgres()
        cls.addClassCleanup(cls.db.close)
        cls.db.__enter__()
        cls.use("localhost")

    @classmethod
    def use(cls, name):
        """Restarts PostgreSQL with a certificate for that name."""
        certificate, key = cls.authority.certificate(name, addresses=())
        cls.db.stop()
        for file, as_name in ((certificate, "server.crt"), (key, "server.key")):
            path = cls.db.path("data", as_name)
            shutil.copy(file, path)
            os.chmod(path, 0o600)
            if cls.db.user:
                os.chown(path, cls.db.user.pw_uid, cls.db.user.pw_gid)
        with open(cls.db.path("data", "postgresql.auto.conf"), "w") as f:
            f.write("ssl = on\n")
        with open(cls.db.path("data", "pg_hba.conf"), "w") as f:
            f.write("hostssl all all 127.0.0.1/32 trust\n")
        cls.db.start()

    def url(self, **parameters):
        return f"postgresql://postgres@localhost:{self.db.port}/postgres?" + "&".join(f"{k}={v}" for k, v in parameters.items())

    def verified(self, authority):
        return self.url(sslmode="verify-full", sslrootcert=authority.file.replace(" ", "%20"))

    def refused(self, url, why):
        """Expects that the server ends at its start or is not ready, and that the log has the reason."""
        try:
            with Server(LEDGER__URL=url) as server:
                self.assertFalse(server.is_ready())
                log = server.log_text()
        except RuntimeError as e:
            log = str(e)
        self.assertRegex(log, why)

    def test_a_verified_connection(self):
        with Server(LEDGER__URL=self.verified(self.authority)) as server:
            form = server.sign()
            self.assertEqual(server.post_form(form["fields"], b"hello")[0], 303)
            self.assertEqual(server.status(form["id"])["state"], "completed")
            with unittest.mock.patch.dict(os.environ, HOME=self.db.folder):  # where psql, as the user postgres, looks for certificates
                sessions = self.db.query("SELECT ssl, version FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()")
            self.assertGreater(len(sessions), 0)
            for session in sessions:
                self.assertEqual((session[0], session[1][:5]), ("t", "TLSv1"))

    def test_a_connection_without_tls_is_rejected(self):
        self.refused(self.url(sslmode="disable"), "no pg_hba.conf entry.*no encryption")

    def test_a_certificate_of_another_authority_is_rejected(self):
        self.refused(self.verified(self.other), "certificate verify failed")

    def test_a_certificate_for_another_name_is_rejected(self):
        self.use("elsewhere")
        try:
            self.refused(self.verified(self.authority), r'server certificate for \\"elsewhere\\" does not match host name \\"localhost\\"')
        finally:
            self.use("localhost")


if __name__ == "__main__":
    if not postgres.is_installed():
        skip_all("PostgreSQL is not installed; tests/run installs it")
    main()
