"""An application that receives webhooks: it records the messages and responds as the test says."""

import base64, hashlib, hmac, http.server, json, ssl, subprocess, threading, time

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # the example in the specification
OLDER = "an older secret, as plain text"


def key_of(secret):
    return base64.b64decode(secret[6:]) if secret.startswith("whsec_") else secret.encode()


def signature(secret, id, timestamp, body):
    return "v1," + base64.b64encode(hmac.new(key_of(secret), f"{id}.{timestamp}.".encode() + body, hashlib.sha256).digest()).decode()


class Arrival:
    def __init__(self, request):
        self.at = time.time()
        self.path = request.path
        self.headers = {k.lower(): v for k, v in request.headers.items()}
        self.body = request.rfile.read(int(self.headers.get("content-length", 0)))
        self.id = self.headers.get("webhook-id")

    def json(self):
        return json.loads(self.body)

    def signed_by(self, secret):
        """Verifies the message as a receiver does: the timestamp is recent, and one of the signatures is right."""
        stamp = self.headers["webhook-timestamp"]
        return abs(int(stamp) - self.at) < 300 and signature(secret, self.id, stamp, self.body) in self.headers["webhook-signature"].split(" ")


class Receiver:
    """`responses[path]` is a status, or a function of (request, number of arrivals at that path) that sends the response."""

    def __init__(self, responses=None, certificate=None, port=0):
        self.responses = responses or {}
        self.arrivals, self.connections = [], 0
        self.ending = threading.Event()
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                owner.connections += 1
                super().setup()

            def do_POST(self):
                arrival = Arrival(self)
                owner.arrivals.append(arrival)
                path = self.path.partition("?")[0]
                what = owner.responses.get(path, 204)
                if callable(what):
                    return what(self, len(owner.at(path)))
                self.respond(what)

            def respond(self, status, body=b"", **headers):
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                if status != 204:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def hang(self):
                owner.ending.wait(120)
                self.close_connection = True

            def log_message(self, *_):
                pass

        class Quiet(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_):  # the tests break connections on purpose
                pass

        self.server = Quiet(("127.0.0.1", port), Handler)
        self.port = self.server.server_address[1]
        if certificate:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(*certificate)
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def at(self, path):
        return [a for a in self.arrivals if a.path.partition("?")[0] == path]

    def wait(self, path, count=1, seconds=20):
        end = time.monotonic() + seconds
        while len(self.at(path)) < count:
            if time.monotonic() > end:
                raise AssertionError(f"{path}: {len(self.at(path))} of {count} arrived within {seconds} s")
            time.sleep(0.02)
        return self.at(path)

    def close(self):
        self.ending.set()
        self.server.shutdown()
        self.server.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def endpoint(url, secret=SECRET, **more):
    """One [[webhooks]] section."""
    more.setdefault("allow_private", True)
    lines = [f"{k} = {json.dumps(v)}" for k, v in {"url": url, "secret": secret, **more}.items()]
    return "[[webhooks]]\n" + "\n".join(lines) + "\n"


def make_certificate(folder, name="localhost"):
    """Makes a self-signed certificate for that name alone: (certificate, key)."""
    certificate, key = f"{folder}/{name}.pem", f"{folder}/{name}.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=" + name, "-addext",
                    "subjectAltName=DNS:" + name, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return certificate, key
