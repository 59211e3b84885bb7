"""Two nodes that share a PostgreSQL: what one signs the other takes and completes; and what they do while it is away."""

import os, sys, time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from whole import *
import postgres


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

    def wait_until(self, what, seconds=30):
        end = time.monotonic() + seconds
        while not what():
            self.assertLess(time.monotonic(), end)
            time.sleep(0.05)

    def ready(self, node):
        return node.admin("/readyz")[0] == 200

    def test_one_signs_and_the_other_takes(self):
        a, b = self.nodes
        for signs, takes in ((a, b), (b, a)):
            id, status, _ = self.upload(signs, takes)
            self.assertEqual(status, 303)
            self.assertEqual([self.state(n, id) for n in (a, b)], ["completed", "completed"])
            self.assertEqual(self.db.query(f"SELECT state, size FROM postern.uploads WHERE id = '{id}'", "uploads"), [["completed", "1000"]])

    def test_a_database_that_is_away(self):
        a, b = self.nodes
        for how in (self.db.stop, self.db.kill):
            how()
            begin = time.monotonic()
            self.assertFalse(self.ready(a))
            form = a.sign()  # needs nobody
            self.assertEqual(b.request("GET", f"/v1/uploads/{form['id']}")[0], 503)
            self.assertLess(time.monotonic() - begin, 5)
            self.db.start()
            for n in (a, b):
                self.wait_until(lambda: self.ready(n))
            self.wait_until(lambda: b.request("GET", f"/v1/uploads/{form['id']}")[0] == 200)  # it was written when it could be
            id, status, _ = self.upload(a, b)
            self.assertEqual((status, self.state(a, id)), (303, "completed"))

    def test_the_password_is_not_shown(self):
        with_password = self.db.url("uploads").replace("postgres@", "postgres:geheim@")
        node = Server(LEDGER__URL=with_password)
        text = node.log_text()
        node.close()
        self.assertIn(f"postgresql://postgres@127.0.0.1:{self.db.port}/uploads", text)
        self.assertNotIn("geheim", text)


if __name__ == "__main__":
    if not postgres.is_installed():
        skip_all("PostgreSQL is not installed; tests/run installs it")
    main()
