"""SIGTERM and SIGINT: running requests finish, no new request begins, and the exit code is 0."""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from whole import *


class Drain(unittest.TestCase):
    def half_an_upload(self, server):
        form, data = server.sign(), random_bytes(1_000_000)
        body, content_type = form_body(form["fields"], data)
        s = server.raw()
        s.sendall(form_header(len(body), content_type=content_type) + body[:500_000])
        wait_until(lambda: (server.status(form["id"]) or {}).get("received", 0) > 400_000, "half of the file received")
        return form, data, s, body[500_000:]

    def wait_for_drain(self, server, port=None):
        """Waits until connections to that port are refused, because the listener is closed."""
        def refused():
            try:
                socket.create_connection(("127.0.0.1", port or server.port), 2).close()
            except OSError:
                return True

        wait_until(refused, "new connections refused", 5)

    def test_a_drain_finishes_a_running_upload(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(number.name):
                server = Server()
                idle = server.raw()
                form, data, s, rest = self.half_an_upload(server)
                server.process.send_signal(number)
                self.wait_for_drain(server)
                self.assertEqual(idle.recv(1), b"")  # a connection that waits for nothing is ended at once
                self.assertEqual(server.admin("/readyz")[0], 503)
                s.sendall(rest)
                status, headers, _ = read_answer(s)
                self.assertEqual((status, headers["connection"]), (303, "close"))
                server.stop(None, 10)
                with open(server.object_path(form["key"]), "rb") as f:
                    self.assertEqual(f.read(), data)
                server.start()
                self.assertEqual(server.status(form["id"])["state"], "completed")
                server.close()

    def test_a_drain_closes_every_listener_at_once(self):
        other = free_port()
        server = Server(server__listen=f'["127.0.0.1:0", "127.0.0.1:{other}"]')
        server.port = int(re.findall(r"kind=public address=127.0.0.1:(\d+)", server.log_text())[0])
        _, _, s, rest = self.half_an_upload(server)
        server.process.send_signal(signal.SIGTERM)
        for port in (server.port, other):
            self.wait_for_drain(server, port)
        s.sendall(rest)
        self.assertEqual(read_answer(s)[0], 303)
        server.stop(None)
        server.close()

    def test_a_second_server_on_the_same_port_ends_with_an_error(self):
        with Server() as server:
            done = subprocess.run([BINARY, "serve", "--config", server.config], env=server.environment, cwd=server.folder, capture_output=True, text=True, timeout=30, check=False)
            self.assertEqual(done.returncode, 2)
            self.assertIn("another program uses this port", done.stderr)

    def test_a_drain_ends_after_its_time_limit(self):
        server = Server('[auth]\nanonymous = true\n[server]\ndrain = "1s"\n')
        _, _, _open, _ = self.half_an_upload(server)
        began = time.monotonic()
        server.stop()
        self.assertLess(time.monotonic() - began, 8)
        self.assertEqual(server.objects(), {})
        self.assertEqual(server.leftovers(), [])
        server.close()

    def test_a_second_signal_cuts_running_uploads(self):
        server = Server()
        _, _, _open, _ = self.half_an_upload(server)
        server.process.send_signal(signal.SIGTERM)
        self.wait_for_drain(server)
        self.assertIsNone(server.process.poll(), "the first signal lets the upload run")
        began = time.monotonic()
        server.stop()
        self.assertLess(time.monotonic() - began, 5)
        self.assertEqual(server.objects(), {})
        server.close()


main()
