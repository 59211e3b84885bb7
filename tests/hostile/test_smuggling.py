"""Request smuggling behind the real nginx and HAProxy: whatever framing a client invents, Postern reads a request as the proxy does, or refuses it. No request that a client hid is recorded, and nobody gets an answer that belongs to another.

Judged by the ledger: a signed form has a row with its file name. Each row must belong to an answer that the client who asked was given by the proxy, in order; each victim, on the proxy's kept connections to Postern, must get its own form.
"""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from proxies import *

VICTIMS = 3  # after each attack; the proxy keeps its connections, and uses the last one first
AT_ONCE = 8  # attackers
PATIENCE = 3  # seconds that the attacker waits for a proxy that waits for more bytes


def json_body(name):
    return b'{"filename":"%s"}' % name.encode()


def sign_request(name, fields=b"", version=b"1.1", target=b"/v1/uploads", length=True):
    body = json_body(name)
    own = b"Content-Length: %d\r\n" % len(body) if length else b""
    return b"POST " + target + b" HTTP/" + version + b"\r\nHost: a\r\nContent-Type: application/json\r\n" + own + fields + b"\r\n" + (body if length else b"")


ENCODINGS = (b"Transfer-Encoding: chunked", b"Transfer-Encoding:chunked", b"Transfer-Encoding: Chunked", b"TRANSFER-ENCODING: CHUNKED", b"Transfer-Encoding : chunked", b"Transfer-Encoding:\tchunked",
             b"Transfer-Encoding: chunked\t", b"Transfer-Encoding:\x0bchunked", b"Transfer-Encoding: \x0cchunked", b"Transfer-Encoding: chunked\x00", b" Transfer-Encoding: chunked", b"X: x\n Transfer-Encoding: chunked",
             b"X: x\r\n\tTransfer-Encoding: chunked", b"X: x\nTransfer-Encoding: chunked", b"X: x\rTransfer-Encoding: chunked", b"Transfer-Encoding\r\n: chunked", b"Transfer-Encoding:\r\n chunked", b"Transfer-Encoding: xchunked",
             b"Transfer-Encoding: chunked, identity", b"Transfer-Encoding: identity, chunked", b"Transfer-Encoding: , chunked", b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: \"chunked\"",
             b"Transfer-Encoding: chunked;q=1", b"Transfer-Encoding: cow\r\nTransfer-Encoding: chunked", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: cow", b"Transfer-Encoding: chunked\r\nTransfer-encoding: identity",
             b"Transfer_Encoding: chunked", b"Transfer-Encoding\x00: chunked", b"Transfer-Encoding: chun\x6bed\x7f", b"Transfer-Encoding: \xffchunked", b"X-Transfer-Encoding: chunked\r\nTE: trailers")
LENGTHS = (b"Content-Length: %d\r\nContent-Length: 0", b"Content-Length: 0\r\nContent-Length: %d", b"Content-Length: %d\r\nContent-Length: %d", b"Content-Length: %d, 0", b"Content-Length: 0, %d", b"Content-Length: +%d", b"Content-Length: -%d",
           b"Content-Length: 0x%x", b"Content-Length: 0%d", b"Content-Length: %d.0", b"Content-Length: %d 0", b"Content-Length : %d", b"Content-Length:\x0b%d", b"Content-Length: %d\x00", b"Content-Length\x00: %d",
           b"Content_Length: %d", b"X: x\nContent-Length: %d", b"X: x\r\n Content-Length: %d", b"Content-Length:\r\n %d", b"Content-Length: \r\nX: %d", b"Content-Length: 1844674407370955161%d", b"Content-Length: 4294967296%d", b"Content-Length: 0\r\nX: x\rContent-Length: %d")
# The line of a chunk's size. H is the length in hex of what follows, D of the first five bytes.
SIZES = (b"+H\r\n", b"-H\r\n", b"0xH\r\n", b" H\r\n", b"H \r\n", b"H\t\r\n", b"H\n", b"H\r", b"H;\r\n", b"H;a=b\r\n", b"H;a=\"\r\n\"\r\n", b"H;\n", b"H;a\n", b"H;a\rX\r\n", b"H\x00\r\n", b"H,D\r\n", b"D\r\nhelloH\r\n", b"D;\nxxxxx\r\n", b"1000000000000000H\r\n",
         b"fffffffffffffffH\r\n", b"10000000H\r\n", b"000000000000000000000000H\r\n", b"H_\r\n", b"\r\nH\r\n", b"G\r\n", b"D\r\nhello\nH\r\n", b"D\r\nhello\r\r\nH\r\n", b"D\r\nhelloXXH\r\n", b"\xb2H\r\n", b"H;" + b"x" * 300 + b"\r\n")


def length_of(pattern, length):
    return pattern.replace(b"%x", b"%x" % length).replace(b"%d", b"%d" % length)


def attacks():
    """(name, bytes); @ in a file name stands for the number of the attack."""
    hidden = sign_request("hidden-@@@@")
    outer = json_body("outer-@@@@")
    post = b"POST /v1/uploads HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (len(outer), outer)
    for te in ENCODINGS:
        whole, inside = chunked + hidden, b"%x\r\n%b\r\n0\r\n\r\n" % (len(hidden), hidden)
        for what, order in (("CL before", b"Content-Length: %d\r\n%b\r\n"), ("CL behind", None)):
            lines = (lambda n, te=te, order=order: order % (n, te) if order else b"%b\r\nContent-Length: %d\r\n" % (te, n))
            yield f"{te!r}, {what}, covers all", post + lines(len(whole)) + b"\r\n" + whole
            yield f"{te!r}, {what}, ends early", post + lines(inside.index(b"\r\n") + 2) + b"\r\n" + inside
        yield f"{te!r} alone", post + te + b"\r\n\r\n" + whole
    for cl in LENGTHS:
        yield f"{cl!r}", post + length_of(cl, len(hidden)) + b"\r\n\r\n" + hidden
        yield f"{cl!r}, GET", b"GET /postern.js HTTP/1.1\r\nHost: a\r\n" + length_of(cl, len(hidden)) + b"\r\n\r\n" + hidden
    for size in SIZES:
        line = size.replace(b"H", b"%x" % len(hidden)).replace(b"D", b"5")
        yield f"chunk {size[:40]!r}", post + b"Transfer-Encoding: chunked\r\n\r\n" + line + hidden + b"\r\n0\r\n\r\n"
        yield f"chunk {size[:40]!r} after a whole one", post + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(outer), outer) + line + hidden + b"\r\n0\r\n\r\n"
    for end in (b"0\r\n\r\n", b"0\n\n", b"0\r\n\n", b"0\n\r\n", b"00\r\n\r\n", b"0;a\r\n\r\n", b"0\r\nContent-Length: 5\r\n\r\n", b"0\r\nTransfer-Encoding: chunked\r\n\r\n", b"0\r\nX: y\n\n", b"0\r\nX\r\n\r\n", b"0\r\n X: y\r\n\r\n", b"0\r\n\r\r\n\r\n", b"0\r\nX: " + b"y" * 20000 + b"\r\n\r\n"):
        yield f"last chunk {end[:40]!r}", post + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(outer), outer) + end + hidden
    sized = b"Content-Length: %d\r\n" % len(hidden)
    for line in (b"GET /postern.js HTTP/1.1", b"HEAD /postern.js HTTP/1.1", b"OPTIONS /v1/uploads HTTP/1.1", b"DELETE /v1/uploads HTTP/1.1", b"TRACE / HTTP/1.1", b"CONNECT a:80 HTTP/1.1", b"PRI * HTTP/2.0", b"OPTIONS * HTTP/1.1", b"GET http://elsewhere/postern.js HTTP/1.1",
                 b"GET //elsewhere/postern.js HTTP/1.1", b"GET /postern.js HTTP/1.0", b"GET /postern.js HTTP/0.9", b"GET /postern.js", b"GET /postern.js HTTP/1.1 HTTP/1.1", b"GET /postern.js\tHTTP/1.1", b"GET /postern.js HTTP/1.1\r", b"\r\n\r\nGET /postern.js HTTP/1.1", b"GET /pos\x00tern.js HTTP/1.1",
                 b"GET /%0d%0aX:%20y HTTP/1.1", b"GET /postern.js?a\rb HTTP/1.1", b"GET /postern.js#f HTTP/1.1", b"G\xc3\x89T / HTTP/1.1"):
        yield f"{line!r} with a body", line + b"\r\nHost: a\r\n" + sized + b"\r\n" + hidden
        yield f"{line!r} with a chunked body", line + b"\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(hidden), hidden)
    for fields in (b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\nConnection: Upgrade, HTTP2-Settings\r\n", b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n",
                   b"Expect: 100-continue\r\n", b"Expect: y 100-continue\r\n", b"Expect: 100-Continue, 100-continue\r\n", b"Connection: Content-Length\r\n", b"Connection: Transfer-Encoding\r\n", b"Connection: close\r\n", b"Connection: Host\r\n", b"Proxy-Connection: keep-alive\r\n",
                   b"Host: b\r\n", b"X: a\r\n folded\r\n", b"X: a\n\n", b"X: a\n\r\n", b"no colon\r\n", b": empty\r\n", b"X: \x01\r\n", b"X-Forwarded-For: 127.0.0.1\r\n\r\n", b"Content-Type: multipart/form-data\r\n", b"X-HTTP-Method-Override: PUT\r\n"):
        yield f"{fields[:60]!r} with a body", post + fields + sized + b"\r\n" + hidden
        yield f"{fields[:60]!r}, GET with a body", b"GET /postern.js HTTP/1.1\r\nHost: a\r\n" + fields + sized + b"\r\n" + hidden
    # Answered before the body has come: the rest of it must not become a request.
    padded = b"x" * 70_000 + hidden * 20
    for what, line, kind in (("a wrong type", b"/v1/uploads", b"text/plain"), ("too large", b"/v1/uploads", b"application/json"), ("no such bucket", b"/upload/none", b"multipart/form-data; boundary=x"), ("no such path", b"/none", b"text/plain")):
        yield f"answered early: {what}", b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n" % (line, kind, len(padded)) + padded


class Smuggling(BehindProxy):
    """Each attack on a connection of its own, then the victims."""

    def talk(self, data):
        """Sends bytes over TLS. Returns all that comes until the proxy closes, or waits for more."""
        with self.context.wrap_socket(socket.create_connection(("127.0.0.1", self.tls_port), timeout=PATIENCE, source_address=("127.0.0.2", 0)), server_hostname="localhost") as s:
            out = b""
            try:
                s.sendall(data)
                while piece := s.recv(65536):
                    out += piece
                    if b"HTTP/1.1 " in out:
                        s.settimeout(1)  # there is an answer; a second one would follow at once
            except OSError:
                pass
            return out

    def names(self):
        """The file names of all rows, which are those of all forms that Postern signed."""
        self.assertTrue(self.server.is_ready())  # the ledger has written what was signed before
        return collections.Counter(u["key"].rsplit("/", 1)[1] for u in self.server.uploads())

    def check_victims(self, what, number):
        for n in range(VICTIMS):
            name = f"victim-{number}-{n}"
            form = self.sign(filename=name)
            self.assertTrue(form["key"].endswith("/" + name), f"{what}: a victim got {form['key']}")

    def attack(self, numbered):
        number, (what, data) = numbered
        out = self.talk(data.replace(b"@@@@", b"%04d" % number))
        self.check_victims(what, number)
        return out

    def test_no_hidden_request_is_answered_or_recorded(self):
        all_attacks, before = list(attacks()), self.names()
        shares = in_threads(lambda first: [self.attack(numbered) for numbered in list(enumerate(all_attacks))[first::AT_ONCE]], range(AT_ONCE))
        outs = [out for share in shares for out in share]
        # What the proxy gave to the client who sent it was no secret of that client: the proxy read it as a request too.
        given = collections.Counter(name.decode() for out in outs for name in re.findall(rb'"bucket":"local","key":"uploads/[^"/]+/((?:outer|hidden)-\d+)"', out))
        recorded = self.names() - before
        hidden = lambda names: {n: names[n] for n in names if n.startswith("hidden")}
        for name in set(hidden(recorded)) | set(hidden(given)):
            self.assertEqual(recorded[name], given[name], f"recorded and answered: {all_attacks[int(name[-4:])]}")
        self.assertEqual({n: 1 for n in recorded if n.startswith("victim")}, {f"victim-{i}-{n}": 1 for i in range(len(all_attacks)) for n in range(VICTIMS)})
        statuses = collections.Counter(int(status) for out in outs for status in re.findall(rb"(?m)^HTTP/1\.1 (\d\d\d) ", out))
        print(f"\n{self.name}: {len(all_attacks)} attacks, answers {dict(sorted(statuses.items()))}; read as a second request by proxy and Postern alike: {len(hidden(given))}", file=sys.stderr)
        self.assertGreater(statuses[400], 50)
        self.assertGreater(statuses[201], 5, "no attack came through at all")
        self.assertEqual(self.server.metric("postern_exceptions_total"), 0)

    def test_a_request_in_a_file_is_a_file(self):
        form = self.sign(success_action_status=204)
        data = sign_request("hidden-in-a-file") * 100
        body, content_type = form_body(form["fields"], data)
        self.assertEqual(self.request("POST", "/upload/local", body, {"Content-Type": content_type})[0], 204)
        with open(self.server.object_path(form["key"]), "rb") as f:
            self.assertEqual(f.read(), data)
        # The same, but the header says that the body ends within the file.
        form = self.sign(success_action_status=204)
        body, content_type = form_body(form["fields"], data)
        head = b"POST /upload/local HTTP/1.1\r\nHost: a\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n" % (content_type.encode(), body.index(b"POST /v1"))
        out = self.talk(head + body[:body.index(b"POST /v1")])
        self.assertIn(b"HTTP/1.1 400 ", out)
        self.assertNotIn(form["key"], {p.removeprefix("local/") for p in self.server.objects()})
        self.check_victims("a file", "of-a-file")
        self.assertNotIn("hidden-in-a-file", self.names())


class BehindNginx(Nginx, Smuggling):
    pass


class BehindHaProxy(HaProxy, Smuggling):
    pass


del BehindProxy, Smuggling  # no tests themselves

if __name__ == "__main__":
    main()
