"""conf/nginx.conf and conf/haproxy.cfg, with the real nginx and HAProxy: large forms, streams of events, and the client's address arrive as without a proxy."""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from proxies import *

MIB = 1 << 20
FORGED = {"X-Forwarded-For": "10.9.8.7", "Forwarded": "for=10.9.8.7"}


class Uploads(BehindProxy):
    """What must work behind each proxy."""

    def test_a_form_of_3_mib_and_the_address_of_its_client(self):
        form, data = self.sign(), random_bytes(3 * MIB)
        self.assertEqual(form["fallback_url"], f"{self.url}/upload/local")
        body, content_type = form_body(form["fields"], data)
        status, headers, answer = self.request("POST", "/upload/local", body, {"Content-Type": content_type, **FORGED})
        self.assertEqual(status, 303, answer)
        self.assertTrue(headers["location"].startswith(self.url + "/v1/complete/"))
        with open(self.server.object_path(form["key"]), "rb") as f:
            self.assertTrue(f.read() == data)
        ended = [l for l in self.server.log_text().splitlines() if 'event="upload ended"' in l and form["id"] in l]
        self.assertEqual(len(ended), 1)
        self.assertIn(" client=127.0.0.2 ", ended[0])

    def test_bytes_reach_postern_while_the_client_still_sends(self):
        form, half = self.sign(success_action_status=204), b"x" * (2 * MIB)
        begin, end = form_begin(form["fields"]), form_end()
        with contextlib.closing(self.connect()) as c:
            c.putrequest("POST", "/upload/local")
            c.putheader("Content-Type", "multipart/form-data; boundary=" + BOUNDARY)
            c.putheader("Content-Length", str(len(begin) + 2 * len(half) + len(end)))
            c.endheaders()
            c.send(begin + half)
            wait_until(lambda: (self.server.status(form["id"]) or {}).get("received", 0) > MIB, "the first half")
            c.send(half + end)
            self.assertEqual(c.getresponse().status, 204)

    def test_events_arrive_while_the_stream_is_open(self):
        form = self.sign(success_action_status=204)
        with contextlib.closing(self.connect()) as c:
            c.request("GET", "/v1/uploads/" + form["id"], headers={"Accept": "text/event-stream"})
            stream = c.getresponse()
            self.assertEqual(stream.status, 200)

            def next_state():
                while not (line := stream.readline()).startswith(b"id: "):
                    self.assertTrue(line, "the stream ended")
                return line.decode().split()[1]

            self.assertEqual(next_state(), "issued")
            body, content_type = form_body(form["fields"], b"hello")
            self.assertEqual(self.request("POST", "/upload/local", body, {"Content-Type": content_type})[0], 204)
            state = next_state()
            while state == "receiving":
                state = next_state()
            self.assertEqual(state, "completed")

    def test_a_long_claim_passes(self):
        status, headers, _ = self.request("GET", "/v1/complete/" + "x" * 8190, headers={"Accept": "application/json"})
        self.assertEqual(status, 403)
        self.assertIn("x-request-id", headers)  # Postern's own answer

    def test_plain_http_is_redirected(self):
        c = http.client.HTTPConnection("127.0.0.1", self.plain_port, timeout=20)
        with contextlib.closing(c):
            c.request("POST", "/v1/uploads", "{}")
            r = c.getresponse()
            self.assertEqual(r.status, 308)  # with the same method
            self.assertTrue(r.getheader("Location").startswith("https://"))

    def doctor(self):
        environment = {**self.server.environment, "SSL_CERT_FILE": self.authority.file}
        done = subprocess.run([BINARY, "doctor", "--config", self.server.config], env=environment, cwd=self.server.folder, capture_output=True, text=True, timeout=120, check=False)
        return " ".join(done.stdout.split()), done.returncode

    def test_the_doctor_posts_a_large_form_through_the_proxy(self):
        before = self.server.objects()
        text, code = self.doctor()
        self.assertEqual(code, 0, text)
        self.assertIn(f"✓ large form a form of more than 1 MiB posted to {self.url}/upload/local is stored", text)
        self.assertEqual(self.server.objects(), before)


class WithNginx(Nginx, Uploads):
    pass


class NginxWithItsOwnLimit(WithNginx):
    """nginx as it is without the line client_max_body_size: what the doctor says."""

    @classmethod
    def changes(cls):
        return {**super().changes(), "client_max_body_size 0;": ""}

    def test_the_doctor_posts_a_large_form_through_the_proxy(self):
        before = self.server.objects()
        text, code = self.doctor()
        self.assertEqual(code, 1, text)
        self.assertIn(f"✗ large form a proxy at server.public_url refuses a form of more than 1 MiB: {self.url}/upload/local answers 413", text)
        self.assertIn("client_max_body_size 0;", text)
        self.assertEqual(self.server.objects(), before)

    test_a_form_of_3_mib_and_the_address_of_its_client = test_bytes_reach_postern_while_the_client_still_sends = test_events_arrive_while_the_stream_is_open = None
    test_a_long_claim_passes = test_plain_http_is_redirected = None


class WithHaProxy(HaProxy, Uploads):
    pass


del BehindProxy, Uploads  # no tests themselves

if __name__ == "__main__":
    main()
