"""One form, posted again and again: broken, at once under many names, on two connections, on two nodes."""

import html, importlib, os, sqlite3, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from whole_s3 import *
from receiver import Receiver
import postgres

SECRET = "whsec_" + base64.b64encode(b"a secret for the webhooks of tests").decode()
OPEN = "[auth]\nanonymous = true\n"


def endpoint(url):
    return f'[[webhooks]]\nurl = "{url}"\nsecret = "{SECRET}"\nallow_private = true\n'


def blank_form(server):
    """The form page's form, which is signed before the file's name is known."""
    page = server.request("GET", "/form?profile=default")[2].decode()
    fields = dict((n, html.unescape(v)) for n, v in re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', page))
    assert fields["key"].endswith("/${filename}"), fields
    return {"id": fields["x-amz-meta-postern-id"], "key": fields["key"], "url": html.unescape(re.search(r'action="([^"]+)"', page).group(1)), "fields": fields}


def begin(server, form, size, bucket="local", filename="a b.bin"):
    """A connection that has sent a form up to the first byte of its file of `size` bytes."""
    head = form_begin(form["fields"], filename)
    s = server.raw()
    s.sendall(form_header(len(head) + size + len(form_end()), bucket) + head + b"x")
    return s


def refused_for_good(server, form, bucket="local"):
    """Posts a form that no repetition can make right: too much follows its file."""
    return server.post_form(form["fields"], b"hello", bucket, behind=field("more", "x" * 70_000))


class SlowReceiver(Receiver):
    """An application that takes 100 ms for each message."""

    def __init__(self):
        super().__init__()
        plain = self.server.RequestHandlerClass.do_POST

        def slow(request):
            time.sleep(0.1)
            plain(request)

        self.server.RequestHandlerClass.do_POST = slow


class OneClaim(unittest.TestCase):
    def test_one_claim_again_and_again(self):
        with peer("hashes") as s3, s3_server(s3) as server:
            form = server.sign()  # and no object
            path = urlsplit(form["complete_url"]).path

            def flood(_):
                return [server.request("GET", path, headers={"Accept": "application/json"})[0] for _ in range(20)]

            since = time.monotonic()
            answers = [a for share in in_threads(flood, range(16)) for a in share]
            seconds = time.monotonic() - since
            self.assertEqual(set(answers), {404}, collections.Counter(answers))
            self.assertLessEqual(s3.count("HeadObject"), 10 * seconds + 1)  # ten questions a second about one object
            self.assertGreater(s3.count("HeadObject"), 0)
            # Who asks next hears of an object that came after the last question.
            s3.objects[form["key"]] = made = importlib.import_module("fake_s3").Object({"x-amz-meta-postern-id": form["id"]})
            made.size, made.etag = 5, "0" * 32
            self.assertEqual(server.request("GET", path, headers={"Accept": "application/json"})[0], 200)


class Webhooks(unittest.TestCase):
    def test_a_form_that_is_posted_broken_again_and_again(self):
        with SlowReceiver() as receiver, Server(OPEN + endpoint(receiver.url)) as server:
            form = server.sign()

            def flood(who):
                answers = []
                for n in range(50):
                    body, content_type = form_body(form["fields"], b"hello")
                    if (who + n) % 2:
                        answers.append(server.request("POST", "/upload/local", body[:-6], {"Content-Type": content_type}))
                    else:
                        answers.append(refused_for_good(server, form))
                return answers

            since = time.monotonic()
            answers = [a for share in in_threads(flood, range(8)) for a in share]
            seconds = time.monotonic() - since
            by_status = collections.Counter(status for status, _, _ in answers)
            self.assertEqual(set(by_status), {400, 429}, by_status)
            self.assertLessEqual(by_status[400], 20 + seconds + 1)  # the limit: 20 at once, then one a second
            for status, headers, body in answers:
                if status == 429:
                    self.assertEqual(s3_code(body), "SlowDown")
                    self.assertIn(headers["retry-after"], spread(1))
            # One more, alone: a try that another one has followed does not decide the upload.
            wait_until(lambda: refused_for_good(server, form)[0] == 400, "one more try of the form", 30)
            # Another form is not concerned, and its message comes at once: few others are ahead of it.
            honest = server.sign()
            self.assertEqual(server.post_form(honest["fields"], b"hello")[0], 303)
            receiver.wait_for([honest["id"]], "upload.completed")
            wait_until(lambda: server.undelivered() == [], "all webhooks delivered")
            self.assertEqual(receiver.messages(form["id"]), ["upload.failed"])  # once an upload
            self.assertEqual(receiver.messages(honest["id"]), ["upload.completed"])

            # The form is not lost: after a while it can be posted whole.
            status = wait_until(lambda: [s for s in [server.post_form(form["fields"], b"hello")[0]] if s != 429], "a try of the form", 30)[0]
            self.assertEqual(status, 303)
            self.assertEqual(server.status(form["id"])["state"], "completed")

    def test_a_body_that_breaks_off_is_no_failure(self):
        with Receiver() as receiver, Server(OPEN + endpoint(receiver.url)) as server:
            form = server.sign()
            with begin(server, form, 1000):
                wait_until(lambda: server.status(form["id"])["state"] == "receiving", "the upload begun")
            wait_until(lambda: server.status(form["id"])["state"] == "issued", "the form is free again")
            self.assertEqual(server.post_form(form["fields"], b"hello")[0], 303)
            receiver.wait_for([form["id"]], "upload.completed")
            self.assertEqual(receiver.messages(form["id"]), ["upload.completed"])

    def test_overwrites_within_a_second_are_one_message(self):
        with Receiver() as receiver, Server(OPEN + endpoint(receiver.url)) as server:
            form = server.sign()
            since = time.monotonic()
            for n in range(20):
                self.assertEqual(server.post_form(form["fields"], b"file %d" % n)[0], 303)
            seconds = time.monotonic() - since
            receiver.wait_for([form["id"]], "upload.overwritten")
            wait_until(lambda: server.undelivered() == [], "all webhooks delivered")
            told = collections.Counter(receiver.messages(form["id"]))
            self.assertEqual(told["upload.completed"], 1)
            self.assertLessEqual(told["upload.overwritten"], 1 + seconds)
            self.assertEqual(server.status(form["id"])["overwritten_etag"], self.etag(server, form))

    def etag(self, server, form):
        answer = server.request("GET", urlsplit(form["complete_url"]).path, headers={"Accept": "application/json"})
        return json.loads(answer[2])["overwritten_etag"]

    def test_messages_to_an_endpoint_that_is_away_wait_for_nothing(self):
        port, count = free_port(), 300
        with Server(OPEN + endpoint(f"http://127.0.0.1:{port}/hooks")) as server:
            def rows(what):
                with contextlib.closing(sqlite3.connect(os.path.join(server.folder, "postern.db"))) as db:
                    return db.execute("SELECT " + what + " FROM webhooks").fetchone()[0]

            def fail(_):
                self.assertEqual(refused_for_good(server, server.sign())[0], 400)

            in_threads(lambda share: [fail(n) for n in share], [range(count // 6)] * 6)
            honest = server.sign()
            self.assertEqual(server.post_form(honest["fields"], b"hello")[0], 303)
            wait_until(lambda: rows("count(*)") == count + 1, "all messages in the ledger")
            wait_until(lambda: rows("sum(tries)") >= 5, "the first try after a pause", 60)
            # Only the endpoint is tried, not each message; a message that waits is as it was.
            self.assertLessEqual(rows("sum(tries)"), 12)
            self.assertGreaterEqual(rows("sum(tries = 0 AND due_at = created_at)"), count - 150)  # the rest was leased once
            # When the endpoint is back, the completion goes ahead.
            with Receiver() as receiver:
                receiver.server.server_close()  # its own port is of no use
                order = []
                plain = receiver.server.RequestHandlerClass
                class Ordered(plain):
                    def do_POST(self):
                        body = self.rfile.read(int(self.headers["content-length"]))
                        order.append(json.loads(body)["data"]["id"])
                        self.send_response(204)
                        self.send_header("Content-Length", "0")
                        self.end_headers()

                with type(receiver.server)(("127.0.0.1", port), Ordered) as back:
                    threading.Thread(target=back.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
                    wait_until(lambda: honest["id"] in order, "the message about the completion", 90)
                    self.assertLess(order.index(honest["id"]), 20)
                    back.shutdown()


class Connections(unittest.TestCase):
    """The client begins again on another connection, while the first one is still open at the server."""

    def a_new_connection_outlives_the_old_one(self, old_node, new_node, receiver, bucket="local"):
        form = old_node.sign()
        old = begin(old_node, form, 100_000, bucket)
        wait_until(lambda: (new_node.status(form["id"]) or {}).get("state") == "receiving", "the first connection's bytes")
        new = begin(new_node, form, 1000, bucket)
        total = lambda: sum(n.metric("postern_transfers") for n in {old_node, new_node})
        wait_until(lambda: total() == 2, "both connections")
        old.close()
        wait_until(lambda: total() == 1, "the old connection's end")
        wait_until(lambda: "result=rejected" in old_node.log_text(), "the old connection given up")
        # What the old connection had to write is in the ledger before a later write of the same node.
        other = old_node.sign()
        self.assertEqual(old_node.post_form(other["fields"], b"hello", bucket)[0], 303)
        self.assertEqual(new_node.status(form["id"])["state"], "receiving")
        new.sendall(b"y" * 999 + form_end())
        self.assertEqual(read_answer(new)[0], 303)
        new.close()
        receiver.wait_for([form["id"]], "upload.completed")
        self.assertEqual(receiver.messages(form["id"]), ["upload.completed"])
        self.assertEqual(new_node.status(form["id"])["size"], 1000)

    def test_on_one_node(self):
        with Receiver() as receiver, Server(OPEN + endpoint(receiver.url)) as server:
            self.a_new_connection_outlives_the_old_one(server, server, receiver)

    def test_an_old_connection_that_times_out(self):
        with Receiver() as receiver, Server(OPEN + "[limits]\nbody_silence = \"3s\"\n" + endpoint(receiver.url)) as server:
            form = server.sign()
            old = begin(server, form, 1000)
            wait_until(lambda: (server.status(form["id"]) or {}).get("state") == "receiving", "the first connection's bytes")
            new = begin(server, form, 1000)
            wait_until(lambda: server.metric("postern_transfers") == 2, "both connections")

            def goes_on():  # the new connection is slow, but not silent
                new.sendall(b"y")
                return server.metric("postern_transfers") == 1

            sent = 0
            while not goes_on():
                sent += 1
                self.assertLess(sent, 300, "the old connection has not timed out")
                time.sleep(0.1)
            self.assertEqual(read_answer(old)[0], 408)
            self.assertEqual(server.status(form["id"])["state"], "receiving")
            new.sendall(b"y" * (998 - sent) + form_end())
            self.assertEqual(read_answer(new)[0], 303)
            receiver.wait_for([form["id"]], "upload.completed")
            self.assertEqual(receiver.messages(form["id"]), ["upload.completed"])
            old.close(), new.close()

    @unittest.skipUnless(postgres.is_installed() and rgw.is_installed(), "PostgreSQL or Ceph RGW is not installed")
    def test_on_two_nodes(self):
        with Rgw() as s3, postgres.Postgres() as database, Receiver() as receiver:
            node = lambda: s3_server(s3, OPEN + endpoint(receiver.url), ledger__url=database.url(), server__secrets="a secret that both nodes share")
            with node() as first, node() as second:
                self.a_new_connection_outlives_the_old_one(first, second, receiver, "media")


class Names(unittest.TestCase):
    """A form without a file name fits every name, but is one upload."""

    def one_name_wins(self, nodes, objects, bucket="local"):
        for _ in range(3):
            form, before = blank_form(nodes[0]), objects()
            start = threading.Barrier(8)

            def post(n):
                start.wait(30)
                return nodes[n % len(nodes)].post_form(form["fields"], b"file %d" % n, bucket, filename=f"name-{n}.txt")

            answers = in_threads(post, range(8))
            by_status = collections.Counter(status for status, _, _ in answers)
            self.assertEqual(by_status, {303: 1, 409: 7})
            winner = next(n for n in range(8) if answers[n][0] == 303)
            recorded = nodes[-1].status(form["id"])
            self.assertEqual((recorded["state"], recorded["size"]), ("completed", 6))
            self.assertEqual(objects() - before, {form["key"].replace("${filename}", f"name-{winner}.txt")})
            self.assertIn(b"ask for a new one", next(body for status, _, body in answers if status == 409))

    def broken_tries(self, server, objects, bucket="local"):
        """A try that breaks off leaves the form to its name."""
        form, before = blank_form(server), objects()
        with begin(server, form, 1000, bucket, "first.txt"):
            wait_until(lambda: (server.status(form["id"]) or {}).get("state") == "receiving", "the upload begun")
        wait_until(lambda: server.status(form["id"])["state"] == "issued", "the form is free again")
        self.assertEqual(objects(), before)
        self.assertEqual(server.post_form(form["fields"], b"hello", bucket, filename="second.txt")[0], 409)
        self.assertEqual(objects(), before)
        self.assertEqual(server.post_form(form["fields"], b"hello", bucket, filename="first.txt")[0], 303)
        self.assertEqual(server.status(form["id"])["state"], "completed")
        self.assertEqual(len(objects() - before), 1)
        # A file that is too large is refused before the name is taken.
        form = blank_form(server)
        self.assertEqual(s3_code(server.post_form(form["fields"], b"x" * 200_000, bucket, filename="large.txt")[2]), "EntityTooLarge")
        self.assertEqual(server.post_form(form["fields"], b"hello", bucket, filename="small.txt")[0], 303)

    PROFILE = OPEN + '[profiles.default]\nmax_size = "100KB"\n'

    def test_names_at_once_with_sqlite(self):
        with Server(self.PROFILE) as server:
            objects = lambda: {p.removeprefix("local/") for p in server.objects()}
            self.one_name_wins([server], objects)
            self.assertEqual(server.leftovers(), [])
            self.broken_tries(server, objects)

    @unittest.skipUnless(postgres.is_installed() and rgw.is_installed(), "PostgreSQL or Ceph RGW is not installed")
    def test_names_at_once_on_two_nodes_with_postgresql(self):
        with Rgw() as s3, postgres.Postgres() as database:
            node = lambda: s3_server(s3, self.PROFILE, ledger__url=database.url(), server__secrets="a secret that both nodes share")
            with node() as first, node() as second:
                objects = lambda: set(s3.keys())
                self.one_name_wins([first, second], objects, "media")
                self.broken_tries(second, objects, "media")

    @unittest.skipUnless(rgw.is_installed(), "Ceph RGW is not installed")
    def test_the_sweep_finds_a_form_that_went_straight_to_s3(self):
        with Rgw() as s3, Receiver() as receiver:
            config = OPEN + '[profiles.default]\nexpires = "3s"\n[sweep]\ninterval = "500ms"\ngrace = "0s"\n' + endpoint(receiver.url)
            with s3_server(s3, config) as server:
                sent, unsent = blank_form(server), blank_form(server)
                self.assertEqual(post_to_s3(sent, filename="Käse + 100%.txt")[0], 303)  # and the browser dies
                receiver.wait_for([sent["id"]], "upload.completed", 30)
                receiver.wait_for([unsent["id"]], "upload.expired", 30)
                recorded = next(u for u in server.uploads() if u["id"] == sent["id"])
                self.assertEqual((recorded["completed_by"], recorded["size"]), ("sweep", 5))
                self.assertEqual(recorded["key"], sent["key"].replace("${filename}", "Käse + 100%.txt"))
                self.assertEqual(receiver.messages(sent["id"]), ["upload.completed"])


if __name__ == "__main__":
    main()
