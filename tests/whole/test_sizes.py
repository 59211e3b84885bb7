"""Files of every size and shape through the fallback, and the memory that the fallback takes."""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from whole import *

MIB = 1 << 20


class Sizes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def check(self, form, data):
        recorded = self.server.status(form["id"])
        self.assertEqual((recorded["state"], recorded["size"]), ("completed", len(data)))
        with open(self.server.object_path(form["key"]), "rb") as f:
            self.assertEqual(f.read(), data)

    def test_files_of_many_sizes_are_stored_unchanged(self):
        for size in (0, 1, 65535, 65536, 5 * MIB):
            for behind in (b"", field("submit", "Send")):
                with self.subTest(f"{size} {bool(behind)}"):
                    form, data = self.server.sign(), random_bytes(size)
                    self.assertEqual(self.server.post_form(form["fields"], data, behind=behind)[0], 303)
                    self.check(form, data)

    def test_data_like_the_boundary_is_stored_unchanged(self):
        almost = b"\r\n--" + BOUNDARY.encode()[:-1]
        for data in (almost, almost * 1000, b"\r\n--" + BOUNDARY.encode() + b"x", almost + b"\r\n", b"\r" * 100_000, (b"\r\n" * 50_000), almost * 30_000):
            form = self.server.sign()
            self.assertEqual(self.server.post_form(form["fields"], data)[0], 303)
            self.check(form, data)

    def test_a_form_may_be_cut_at_every_byte_of_its_headers(self):
        data = b"\r\n--data"

        def signed():  # a form may be posted only so often, and all forms have the same length
            form = self.server.sign()
            body, content_type = form_body(form["fields"], data)
            return form, form_header(len(body), content_type=content_type) + body

        _, whole = signed()
        ahead = len(whole) - len(form_end()) - len(data)
        cuts = list(range(1, 400)) + list(range(400, ahead, 13)) + list(range(ahead, len(whole)))

        def send(cut):
            form, whole = signed()
            with self.server.raw() as s:
                s.sendall(whole[:cut])
                time.sleep(0.01)  # so that the server reads the pieces one by one
                s.sendall(whole[cut:])
                return form, read_answer(s)

        for i in range(0, len(cuts), 50):
            for cut, (form, answer) in zip(cuts[i:i + 50], in_threads(send, cuts[i:i + 50])):
                self.assertEqual(answer and answer[0], 303, f"cut after {cut} bytes")
                self.check(form, data)

    def test_chunked_and_single_byte_bodies_are_stored(self):
        for step in (1, 7, 1000, 70_000):
            form, data = self.server.sign(), random_bytes(3000 if step < 10 else 300_000)
            body, content_type = form_body(form["fields"], data)
            with self.server.raw() as s:
                s.sendall(form_header(None, content_type=content_type) + b"".join(b"%X\r\n" % len(p) + p + b"\r\n" for p in (body[i:i + step] for i in range(0, len(body), step))) + b"0\r\n\r\n")
                self.assertEqual(read_answer(s)[0], 303)
            self.check(form, data)

    def test_expect_100_continue_is_answered(self):
        form, data = self.server.sign(), random_bytes(100_000)
        body, content_type = form_body(form["fields"], data)
        with self.server.raw() as s:
            s.sendall(form_header(len(body), content_type=content_type, extra="Expect: 100-continue\r\n"))
            self.assertEqual(s.recv(100), b"HTTP/1.1 100 Continue\r\n\r\n")
            s.sendall(body)
            self.assertEqual(read_answer(s)[0], 303)
        self.check(form, data)

    def test_a_refusal_comes_instead_of_100_continue(self):
        with self.server.raw() as s:
            s.sendall(form_header(1000, content_type="text/plain", extra="Expect: 100-continue\r\n"))
            self.assertEqual(read_answer(s)[0], 400)


class Large(unittest.TestCase):
    def test_a_gibibyte_in_little_memory(self):
        size = 64 * MIB if is_sanitized() else 1024 * MIB
        with Server() as server:
            # One upload first, for one-time allocations.
            form = server.sign()
            server.post_form(form["fields"], b"x" * MIB)
            piece, sent = random_bytes(MIB), hashlib.sha256()
            form = server.sign()
            begin, end = form_begin(form["fields"]), form_end()
            idle = server.memory()
            server.reset_peak()
            with server.raw(120) as s:
                s.sendall(form_header(len(begin) + size + len(end)) + begin)
                for i in range(size // MIB):
                    block = i.to_bytes(8, "big") + piece[8:]
                    sent.update(block)
                    s.sendall(block)
                    if i == size // MIB // 2:
                        recorded = server.status(form["id"])
                        self.assertEqual(recorded["state"], "receiving")
                        self.assertGreater(recorded["received"], 0)
                s.sendall(end)
                answer = read_answer(s)
            self.assertEqual(answer[0], 303, answer)
            grown = server.memory("VmHWM") - idle
            stored = hashlib.sha256()
            with open(server.object_path(form["key"]), "rb") as f:
                while block := f.read(MIB):
                    stored.update(block)
            self.assertEqual(stored.digest(), sent.digest())
            print(f"memory while {size // MIB} MiB came: {idle / MIB:.1f} MiB idle, peak {grown / MIB:.1f} MiB above", file=sys.stderr)
            if not is_sanitized():
                self.assertLess(grown, 16 * MIB)


main()
