"""Downloads through the real program: from the directory store, which the program reads, and from Ceph RGW, which sends them itself."""

import http.server, os, sys, urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from whole import *
from whole_s3 import s3_server, send_large, Pattern
import rgw

MIB = 1 << 20
RIGHTS = {"ann": ["sign", "read"], "bob": ["sign", "read"], "service": ["sign", "read", "user"], "mailroom": ["sign"]}
KEYS = ", ".join(f'{{ name = "{n}", sha256 = "{hashlib.sha256((n + " has this key").encode()).hexdigest()}", rights = {json.dumps(r)} }}' for n, r in RIGHTS.items())
CONFIG = f"""[auth]
api_keys = [{KEYS}, {{ name = "narrow", sha256 = "{hashlib.sha256(b"narrow has this key").hexdigest()}", profiles = ["pictures"] }}]
[profiles.default]
[profiles.pictures]
inline_types = ["image/*", "application/pdf"]
[profiles.shown]
download = "inline"
inline_types = ["*/*"]
"""
# What browsers run, in the spellings that slip through filters.
ACTIVE = ("text/html", "TEXT/HTML; charset=utf-8", "application/xhtml+xml", "image/svg+xml", "Image/Svg+Xml", "text/xml", "application/xml", "application/rss+xml", "text/javascript", "application/javascript", "text/xsl", "multipart/x-mixed-replace", "message/rfc822")
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(document.domain)</script></svg>'


def bearer(name):
    return {"Authorization": f"Bearer {name} has this key"}


def upload(server, data, filename="a b.bin", content_type="image/png", profile="default", name="ann", bucket="local", **ask):
    """A completed upload: the form."""
    form = server.sign(headers=bearer(name), filename=filename, content_type=content_type, profile=profile, **ask)
    status, _, body = server.post_form(form["fields"], data, bucket)
    assert status == 303, (status, body)
    wait_until(lambda: server.status(form["id"])["state"] == "completed", "the completion")
    return form


def path_of(form):
    return f"/v1/uploads/{form['id']}/download"


def download(server, form, method="GET", name="ann", **headers):
    """(status, headers, body). Names of header fields with _ for -."""
    return server.request(method, path_of(form), headers={**(bearer(name) if name else {}), **{k.replace("_", "-"): v for k, v in headers.items()}})


def fetch(url, method="GET", **headers):
    """What a browser sends that follows a redirect: no credentials."""
    at = urlsplit(url)
    c = http.client.HTTPConnection(at.hostname, at.port, timeout=60)
    try:
        c.request(method, at.path + "?" + at.query, headers={k.replace("_", "-"): v for k, v in headers.items()})
        r = c.getresponse()
        return r.status, {k.lower(): v for k, v in r.getheaders()}, r.read()
    finally:
        c.close()


def disposition(form, how="attachment"):
    """What Content-Disposition must be, for names that need no other characters in the plain form."""
    name = form["key"].rsplit("/", 1)[1]
    return f"{how}; filename=\"{name}\"; filename*=UTF-8''" + urllib.parse.quote(name, safe="-_.~")


class Callers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(CONFIG)
        cls.form = upload(cls.server, b"0123456789")

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def test_only_callers_who_may_read_the_upload_get_it(self):
        for name, headers, expected in (("ann", {}, 200), ("service", {}, 200), (None, {}, 401), ("nobody", {}, 401), ("bob", {}, 403), ("mailroom", {}, 403), ("narrow", {}, 403), ("ann", {"Origin": "https://evil.example"}, 200)):
            status, answer, body = download(self.server, self.form, name=name, **headers)
            self.assertEqual(status, expected, name)
            self.assertEqual(answer["cache-control"], "no-store")
            if expected == 200:
                self.assertEqual(body, b"0123456789")
                self.assertNotIn("access-control-allow-origin", answer)
            else:
                self.assertNotIn(b"0123456789", body)
        own = upload(self.server, b"x", name="mailroom")
        self.assertEqual(download(self.server, own, name="mailroom")[0], 403, "it may sign only")
        self.assertEqual(download(self.server, own, name="service")[0], 200)

    def test_an_upload_without_a_file_says_its_state(self):
        issued = self.server.sign(headers=bearer("ann"))
        status, _, body = download(self.server, issued)
        self.assertEqual((status, json.loads(body)["code"]), (409, "conflict"))
        self.assertIn("the upload is issued", json.loads(body)["detail"])
        with self.server.raw() as s:
            begin = form_begin(issued["fields"])
            s.sendall(form_header(len(begin) + 1000 + len(form_end())) + begin + b"x" * 10)
            wait_until(lambda: self.server.status(issued["id"])["state"] == "receiving", "the upload to begin")
            self.assertIn("the upload is receiving", json.loads(download(self.server, issued)[2])["detail"])
        small = self.server.sign(headers=bearer("ann"), size=5)
        self.assertNotEqual(self.server.post_form(small["fields"], b"too many bytes")[0], 303)
        self.assertIn("the upload is failed", json.loads(download(self.server, small)[2])["detail"])
        for unknown in ("01a2b3c4-0000-7000-8000-000000000001", "nonsense", "..%2F..%2Fetc%2Fpasswd", "%00"):
            status, _, body = self.server.request("GET", f"/v1/uploads/{unknown}/download", headers=bearer("ann"))
            self.assertEqual((status, json.loads(body)["code"]), (404, "not_found"), unknown)
        self.assertEqual(self.server.request("POST", path_of(self.form), headers=bearer("ann"))[0], 405)

    def test_cookies_count_for_pages_of_the_same_site(self):
        class Application(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                known = self.headers.get("Cookie") == "session=carl"
                self.send_response(200 if known else 401)
                if known:
                    self.send_header("X-User", "carl")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Application) as application:
            thread = threading.Thread(target=application.serve_forever, daemon=True)
            thread.start()
            self.addCleanup(application.shutdown)
            more = f'[server]\nallowed_origins = ["https://app.example.com"]\n[auth.forward]\nurl = "http://127.0.0.1:{application.server_port}/"\n'
            with Server(CONFIG + more) as server:
                form = upload(server, b"of carl", name="service", user="carl")
                cookie = {"Cookie": "session=carl"}
                for headers, expected in (({"Sec-Fetch-Site": "same-origin"}, 200), ({"Sec-Fetch-Site": "same-site"}, 200), ({"Sec-Fetch-Site": "cross-site"}, 401), ({"Sec-Fetch-Site": "none"}, 401), ({}, 401),
                                          ({"Origin": "https://app.example.com"}, 200), ({"Origin": "https://evil.example", "Sec-Fetch-Site": "same-site"}, 401), ({"Origin": "null"}, 401),
                                          ({"Sec-Fetch-Site": "same-site", "Cookie": "session=bob"}, 401)):
                    status, answer, body = download(server, form, name=None, **{**cookie, **headers})
                    self.assertEqual(status, expected, headers)
                    self.assertEqual(body == b"of carl", expected == 200)
                    self.assertEqual(answer.get("access-control-allow-origin"), headers["Origin"] if headers.get("Origin") == "https://app.example.com" else None)
            application.shutdown()


class Files(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(CONFIG)
        cls.data = random_bytes(3 * MIB + 7)
        cls.form = upload(cls.server, cls.data)

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def test_a_whole_file(self):
        for data in (self.data, b"", b"x", random_bytes(65536), random_bytes(65537)):
            form = self.form if data is self.data else upload(self.server, data)
            status, headers, body = download(self.server, form)
            self.assertEqual(status, 200)
            self.assertEqual(body, data)
            self.assertEqual(headers["content-length"], str(len(data)))
            self.assertEqual(headers["etag"], f'"{self.server.status(form["id"])["etag"]}"')
            self.assertEqual((headers["content-type"], headers["content-disposition"]), ("image/png", disposition(form)))
            self.assertEqual((headers["accept-ranges"], headers["cache-control"], headers["referrer-policy"]), ("bytes", "no-store", "no-referrer"))
            self.assertEqual((headers["x-content-type-options"], headers["content-security-policy"]), ("nosniff", "sandbox"))
            status, of_head, body = download(self.server, form, "HEAD")
            self.assertEqual((status, body), (200, b""))
            self.assertEqual({k: v for k, v in of_head.items() if k not in ("date", "x-request-id")}, {k: v for k, v in headers.items() if k not in ("date", "x-request-id")})

    def test_ranges(self):
        n = len(self.data)
        for field_value, expected in (("bytes=0-0", (0, 1)), ("bytes=0-99", (0, 100)), (f"bytes={MIB}-{2 * MIB}", (MIB, 2 * MIB + 1)), ("bytes=65535-65536", (65535, 65537)), (f"bytes={n - 1}-", (n - 1, n)), ("bytes=-5", (n - 5, n)),
                                      (f"bytes=-{n + 1}", (0, n)), (f"bytes=5-{10 ** 30}", (5, n)), (f"bytes={n}-", None), (f"bytes={10 ** 30}-", None), ("bytes=-0", None),
                                      ("bytes=0-1,4-5", 200), ("bytes=5-1", 200), ("lines=0-1", 200), ("bytes=x", 200), ("", 200)):
            status, headers, body = download(self.server, self.form, Range=field_value)
            if expected is None:
                self.assertEqual((status, headers["content-range"], body), (416, f"bytes */{n}", b""), field_value)
            elif expected == 200:
                self.assertEqual((status, body == self.data, "content-range" in headers), (200, True, False), field_value)
            else:
                self.assertEqual((status, headers["content-range"]), (206, f"bytes {expected[0]}-{expected[1] - 1}/{n}"), field_value)
                self.assertEqual(headers["content-length"], str(expected[1] - expected[0]))
                self.assertEqual(body, self.data[expected[0]:expected[1]])
        self.assertEqual(download(self.server, self.form, "HEAD", Range="bytes=0-1")[0], 200, "a range is for GET")

    def test_if_range(self):
        etag = self.server.status(self.form["id"])["etag"]
        for value, status in ((f'"{etag}"', 206), (f'W/"{etag}"', 200), ('"other"', 200), (etag, 200), ("Mon, 30 Nov 2026 05:05:25 GMT", 200)):
            self.assertEqual(download(self.server, self.form, Range="bytes=0-1", If_Range=value)[0], status, value)

    def test_many_downloads_on_one_connection(self):
        c = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        for at in range(0, 20):
            c.request("GET", path_of(self.form), headers={**bearer("ann"), "Range": f"bytes={at * 1000}-{at * 100_000 + 1000}"})
            self.assertEqual(c.getresponse().read(), self.data[at * 1000:at * 100_000 + 1001])
        c.close()

    def test_a_type_that_browsers_run_is_a_file_of_bytes(self):
        for profile in ("default", "pictures", "shown"):
            for content_type in ACTIVE:
                form = upload(self.server, SVG, "evil.svg", content_type, profile)
                status, headers, body = download(self.server, form)
                self.assertEqual((status, body), (200, SVG))
                self.assertEqual((headers["content-type"], headers["content-disposition"]), ("application/octet-stream", 'attachment; filename="evil.svg"; filename*=UTF-8\'\'evil.svg'), content_type)
                self.assertEqual((headers["x-content-type-options"], headers["content-security-policy"]), ("nosniff", "sandbox"))

    def test_a_profile_shows_types_in_the_browser(self):
        for profile, content_type, how in (("default", "image/png", "attachment"), ("pictures", "image/png", "inline"), ("pictures", "application/pdf", "inline"), ("pictures", "video/mp4", "attachment"), ("shown", "video/mp4", "inline")):
            form = upload(self.server, b"x", "a.bin", content_type, profile)
            headers = download(self.server, form)[1]
            self.assertEqual((headers["content-type"], headers["content-disposition"]), (content_type, disposition(form, how)), (profile, content_type))

    def test_names_are_safe(self):
        for filename, plain in (("Grüße 日本語 🙂.txt", "Gr__e ___ _.txt"), ('a"; filename=b.exe.txt', "a_; filename=b.exe.txt"), ("50%41.txt", "50_41.txt"), ("it's(1);a=b.txt", "it's(1);a=b.txt"), ("n" * 255, "n" * 255)):
            form = upload(self.server, b"x", filename)
            value = download(self.server, form)[1]["content-disposition"]
            self.assertEqual(value, f"attachment; filename=\"{plain}\"; filename*=UTF-8''" + urllib.parse.quote(filename, safe="-_.~"))

    def test_a_replaced_object_is_not_sent(self):
        form = upload(self.server, b"first")
        self.assertEqual(self.server.post_form(form["fields"], b"second")[0], 303)
        status, _, body = download(self.server, form)
        self.assertEqual((status, json.loads(body)["code"]), (409, "conflict"))
        self.assertIn("was replaced", json.loads(body)["detail"])
        os.remove(self.server.object_path(form["key"]))
        status, _, body = download(self.server, form)
        self.assertEqual((status, json.loads(body)["code"]), (404, "object_absent"))

    def begin_slowly(self, server, form):
        """A connection that has taken the header of a download and a few bytes."""
        s = socket.socket()
        self.addCleanup(s.close)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.settimeout(60)
        s.connect(("127.0.0.1", server.port))
        s.sendall(f"GET {path_of(form)} HTTP/1.1\r\nHost: a\r\nAuthorization: {bearer('ann')['Authorization']}\r\n\r\n".encode())
        got = b""
        while b"\r\n\r\n" not in got:
            got += s.recv(1024)
        return s, got.partition(b"\r\n\r\n")[2]

    def test_an_object_that_changes_meanwhile_breaks_the_connection_off(self):
        data = random_bytes(24 * MIB)
        for change in ("replaced", "removed", "rewritten"):
            form = upload(self.server, data)
            before = self.server.metric('postern_downloads_total{outcome="broken_off"}')
            s, got = self.begin_slowly(self.server, form)
            path = self.server.object_path(form["key"])
            if change == "replaced":
                self.assertEqual(self.server.post_form(form["fields"], b"\0" * len(data))[0], 303)
            elif change == "removed":
                os.remove(path)
            else:
                with open(path, "r+b") as f:
                    f.write(b"\0" * len(data))
            received = bytearray(got)
            while True:
                try:
                    piece = s.recv(MIB)
                except ConnectionError:
                    break
                if not piece:
                    break
                received += piece
            self.assertLess(len(received), len(data), change)
            self.assertEqual(received, data[:len(received)], "bytes of the first object only")
            wait_until(lambda: self.server.metric('postern_downloads_total{outcome="broken_off"}') == before + 1, "the count of broken downloads")
            self.assertIn("download broken off", self.server.log_text())

    def test_a_client_that_does_not_read_is_left(self):
        with Server(CONFIG, limits__body_silence="1s") as server:
            form = upload(server, random_bytes(24 * MIB))
            s, _ = self.begin_slowly(server, form)
            wait_until(lambda: server.metric('postern_downloads_total{outcome="broken_off"}') == 1, "the end of the silent download")
            self.assertLess(server.metric("postern_download_bytes_total"), 24 * MIB)
            s.close()

    def test_large_files_need_little_memory(self):
        data = Pattern(192 * MIB)
        form = self.server.sign(headers=bearer("ann"), content_type="image/png")
        self.assertEqual(send_large(self.server, form, data, bucket="local")[0], 303)
        slow = [self.begin_slowly(self.server, form)[0] for _ in range(20)]
        self.server.reset_peak()
        before = self.server.memory()
        c = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=120)
        c.request("GET", path_of(form), headers=bearer("ann"))
        r, digest = c.getresponse(), hashlib.sha256()
        while piece := r.read(MIB):
            digest.update(piece)
        c.close()
        self.assertEqual(digest.hexdigest(), data.sha256())
        if not is_sanitized():
            self.assertLess(self.server.memory("VmHWM") - before, 16 * MIB)
        for s in slow:
            s.close()

    def test_a_drain_waits_for_a_download(self):
        with Server(CONFIG) as server:
            data = random_bytes(8 * MIB)
            form = upload(server, data)
            s, got = self.begin_slowly(server, form)
            server.process.send_signal(signal.SIGTERM)
            wait_until(lambda: "draining" in server.log_text(), "the drain")
            while piece := s.recv(MIB):
                got += piece
            self.assertEqual(got, data)
            server.stop(None)


@unittest.skipUnless(rgw.is_installed(), "Ceph RGW is not installed; tests/run installs it")
class Rgw(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.s3 = rgw.Rgw().__enter__()
        cls.addClassCleanup(cls.s3.close)
        cls.server = s3_server(cls.s3, CONFIG)
        cls.addClassCleanup(cls.server.close)

    def upload(self, data, *args, **more):
        return upload(self.server, data, *args, bucket="media", **more)

    def test_the_store_sends_the_file(self):
        data = random_bytes(6 * MIB + 7)
        form = self.upload(data)
        status, headers, body = download(self.server, form)
        self.assertEqual((status, body), (302, b""))
        self.assertEqual((headers["cache-control"], headers["referrer-policy"]), ("no-store", "no-referrer"))
        url = headers["location"]
        self.assertTrue(url.startswith(self.s3.endpoint))
        self.assertEqual(dict(urllib.parse.parse_qsl(urlsplit(url).query))["X-Amz-Expires"], "300")
        status, headers, body = fetch(url)
        self.assertEqual((status, body), (200, data))
        self.assertEqual((headers["content-type"], headers["content-disposition"]), ("image/png", disposition(form)))
        status, headers, body = fetch(url, Range="bytes=1048576-1048580")
        self.assertEqual((status, body), (206, data[MIB:MIB + 5]))
        self.assertEqual(fetch(url, "PUT")[0], 403)
        self.assertGreaterEqual(self.server.metric('postern_downloads_total{outcome="redirected"}'), 1)
        self.assertNotIn("X-Amz-Signature", self.server.log_text())

    def test_the_url_makes_active_types_harmless(self):
        for profile in ("default", "shown"):
            for content_type in ("text/html", "image/svg+xml", "application/xml"):
                form = self.upload(SVG, "evil.svg", content_type, profile)
                self.assertEqual(self.s3.head(form["key"])["content-type"], content_type, "the object has its own")
                url = download(self.server, form)[1]["location"]
                status, headers, body = fetch(url)
                self.assertEqual((status, body), (200, SVG))
                self.assertEqual((headers["content-type"], headers["content-disposition"]), ("application/octet-stream", 'attachment; filename="evil.svg"; filename*=UTF-8\'\'evil.svg'))
                for changed in (url.replace("application%2Foctet-stream", "text%2Fhtml"), url.replace("attachment", "inline"), url.replace("response-content-type=", "response-content-typo=")):
                    self.assertNotEqual(changed, url)
                    self.assertEqual(fetch(changed)[0], 403)

    def test_names_and_shown_types(self):
        form = self.upload(b"x", 'Grüße "日本語" 🙂 50%.png', profile="pictures")
        headers = fetch(download(self.server, form)[1]["location"])[1]
        self.assertEqual(headers["content-disposition"], "inline; filename=\"Gr__e _____ _ 50_.png\"; filename*=UTF-8''" + urllib.parse.quote('Grüße "日本語" 🙂 50%.png', safe="-_.~"))

    def test_callers_and_states(self):
        form = self.upload(b"x")
        for name, expected in (("ann", 302), ("service", 302), (None, 401), ("bob", 403), ("mailroom", 403)):
            self.assertEqual(download(self.server, form, name=name)[0], expected, name)
        self.assertEqual(download(self.server, self.server.sign(headers=bearer("ann")))[0], 409)

    def test_a_replaced_or_removed_object(self):
        form = self.upload(b"first")
        self.s3.request("PUT", form["key"], body=b"second")
        status, _, body = download(self.server, form)
        self.assertEqual((status, json.loads(body)["code"]), (409, "conflict"))
        self.s3.request("DELETE", form["key"])
        status, _, body = download(self.server, form)
        self.assertEqual((status, json.loads(body)["code"]), (404, "object_absent"))

    def test_nobody_prolongs_a_url(self):
        form = self.upload(b"x")
        url = download(self.server, form)[1]["location"]
        self.assertEqual(fetch(url)[0], 200)
        self.assertEqual(fetch(url.replace("X-Amz-Expires=300", "X-Amz-Expires=600"))[0], 403, "the lifetime is signed")

    def test_a_store_that_is_away_is_503(self):
        form = self.upload(b"x")
        self.s3.freeze()
        try:
            status, headers, _ = download(self.server, form)
        finally:
            self.s3.freeze(False)
        self.assertEqual((status, "retry-after" in headers), (503, True))


if __name__ == "__main__":
    main()
