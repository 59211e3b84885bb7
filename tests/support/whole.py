"""Starts the real program for a test and talks to it as clients do. Python's standard library only."""

# pylint: disable=unused-import  # the tests take these modules from here
import base64, collections, contextlib, hashlib, hmac, http.client, json, mmap, os, random, re, shutil, signal, socket, subprocess, sys, tempfile, threading, time
import unittest
from urllib.parse import urlsplit
from ports import free_port
import watchdog

BINARY = os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 and not sys.argv[1].startswith("-") else None
FULL = os.environ.get("POSTERN_FULL", "0") not in ("", "0")  # the long form of tests that have one; CI runs the short form
ACCESS_KEY, SECRET_KEY, REGION = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "us-east-1"
# AddressSanitizer, LeakSanitizer and ThreadSanitizer; then UndefinedBehaviorSanitizer.
SANITIZER_REPORT = re.compile(r"(ERROR|WARNING): \w+Sanitizer: |: runtime error: ")


def is_sanitized():
    """Was the program built with AddressSanitizer? Then its memory cannot be measured."""
    with open(BINARY, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(b"__asan_init") >= 0


def wait_until(condition, what, seconds=20):
    """Calls `condition` until its value is true and returns that value. After `seconds` the test fails and names `what`."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {seconds} s")
        time.sleep(0.02)
    return value


def in_threads(work, items, seconds=300):
    """Runs `work(item)` for all items at the same time and returns the results in order. The first exception of a thread is raised here."""
    items = list(items)
    results, errors = {}, []

    def run(i):
        try:
            results[i] = work(items[i])
        except BaseException as e:
            errors.append(e)

    threads = [threading.Thread(target=run, args=(i,), daemon=True) for i in range(len(items))]
    for t in threads:
        t.start()
    end = time.monotonic() + seconds
    for t in threads:
        t.join(max(0, end - time.monotonic()))
    if errors:
        raise errors[0]
    running = sum(t.is_alive() for t in threads)
    if running:
        raise AssertionError(f"{running} of {len(threads)} threads still run after {seconds} s")
    return [results[i] for i in range(len(items))]


def spread(seconds):
    """The values of Retry-After that a pause of so many seconds may have."""
    return [str(n) for n in range(seconds, seconds + max(1, seconds // 2) + 1)]


SEED = os.environ.get("POSTERN_SEED") or str(int.from_bytes(os.urandom(4), "big"))


def seeded(name=""):
    """Random numbers that POSTERN_SEED repeats. Each thread has its own generator, by name. The first call prints the seed."""
    if not hasattr(seeded, "printed"):
        seeded.printed = True
        print(f"{os.path.basename(sys.argv[0])}: POSTERN_SEED={SEED} repeats the random numbers of this run", file=sys.stderr, flush=True)
    return random.Random(f"{SEED} {name}")


def random_bytes(size, name=""):
    return seeded(f"{size} {name}").randbytes(size)


class Server:
    """One running Postern in its own folder. `settings` are environment variables without POSTERN_.

    `tls`: the ssl.SSLContext of the clients, for a server with server.tls. `descriptors`: so many files may be open. Without `names_config`, the server finds its postern.toml in the working directory.

    However the process ends, the test states how it should: stop() and close() expect exit code 0, kill() expects the test's own SIGKILL. Any other end fails the test and shows the log.
    """

    def __init__(self, config="", folder=None, tls=None, descriptors=None, names_config=True, **settings):
        self.folder = folder or tempfile.mkdtemp(prefix="postern-test-")
        self.keep = folder is not None
        if not self.keep:
            watchdog.watch_folder(self.folder)
        self.port = free_port()
        self.tls, self.descriptors = tls, descriptors
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self.config = os.path.join(self.folder, "postern.toml")
        self.arguments = ["--config", self.config] if names_config else []
        if config is not None:
            with open(self.config, "w") as f:
                f.write(config or "[auth]\nanonymous = true\n")
        self.environment = {
            "PATH": os.environ["PATH"],
            "POSTERN_SERVER__LISTEN": f"127.0.0.1:{self.port}",
            "POSTERN_SERVER__ADMIN_LISTEN": "127.0.0.1:0",
            "POSTERN_SERVER__PUBLIC_URL": self.url,
            "POSTERN_SERVER__SECRETS": "a secret for the tests only",
            "POSTERN_STORE__PATH": os.path.join(self.folder, "objects"),
            "POSTERN_STORE__CREDENTIALS__ACCESS_KEY": ACCESS_KEY,
            "POSTERN_STORE__CREDENTIALS__SECRET_KEY": SECRET_KEY,
            "POSTERN_LEDGER__URL": "sqlite:" + os.path.join(self.folder, "postern.db"),
            "POSTERN_LIMITS__SIGN_RATE": "0",
            "POSTERN_LIMITS__STATUS_RATE": "0",
            "POSTERN_LIMITS__EVENT_STREAM_RATE": "0",
            "POSTERN_LIMITS__EVENT_STREAMS": "0",
            "POSTERN_LIMITS__CONNECTIONS_PER_ADDRESS": "0",
        }
        self.environment.update({"POSTERN_" + k.upper(): str(v) for k, v in settings.items()})
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS"):
            if name in os.environ:
                self.environment[name] = os.environ[name]
        try:
            self.start()
        except RuntimeError:
            self.log.close()
            if not self.keep:
                shutil.rmtree(self.folder, ignore_errors=True)
            raise

    def start(self):
        self.log_path = os.path.join(self.folder, "log")
        self.log = open(self.log_path, "ab")
        seen = os.path.getsize(self.log_path)
        limited = ["prlimit", f"--nofile={self.descriptors}:{self.descriptors}"] if self.descriptors else []
        self.process = subprocess.Popen([*limited, BINARY, "serve", *self.arguments], env=self.environment, stderr=self.log, stdout=self.log, cwd=self.folder)
        watchdog.watch(self.process.pid)
        end = time.monotonic() + 30
        while time.monotonic() < end:
            with open(self.log_path, errors="replace") as f:
                f.seek(seen)
                text = f.read()
            if found := re.search(r'kind"?[=:]"?admin"?[ ,]"?address"?[=:]"?127.0.0.1:(\d+)"?[\n}]', text):  # as logfmt or as JSON
                self.admin_port = int(found.group(1))
                return
            if self.process.poll() is not None:
                raise RuntimeError("the server did not start:\n" + text)
            time.sleep(0.01)
        self.process.kill()
        self.process.wait()
        raise RuntimeError("the server did not listen within 30 s:\n" + text)

    def stop(self, number=signal.SIGTERM, seconds=60):
        """Drains the server, or waits for one that drains already (number=None). Returns 0; fails the test on any other exit code."""
        if number is not None and self.process.poll() is None:
            self.process.send_signal(number)
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            self.log.close()
            raise AssertionError(f"the server did not stop within {seconds} s:\n" + self.log_text()[-3000:]) from None
        return self.check_end(0)

    def kill(self):
        """Kills a server that runs: SIGKILL, as the kernel's out-of-memory killer does. Fails the test when the server had ended by itself."""
        ended_before = self.process.poll() is not None
        self.process.kill()
        self.process.wait()
        self.check_end(-signal.SIGKILL)
        if ended_before:
            raise AssertionError("the server was killed before the test killed it:\n" + self.log_text()[-6000:])

    def check_end(self, expected):
        """The exit code of the ended process. Another code than the expected one, a sanitizer's report and a logged bug fail the test."""
        self.log.close()
        code, text = self.process.returncode, self.log_text()
        if code != expected or SANITIZER_REPORT.search(text) or "bug: " in text:
            raise AssertionError(f"the server ended with {code}, not with {expected}:\n{text[-6000:]}")
        return code

    def restart(self):
        self.stop()
        self.start()

    def close(self):
        """Stops the server and removes its folder."""
        try:
            if not self.log.closed:
                self.stop()
        finally:
            if not self.keep:
                shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def log_text(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    # --- requests -------------------------------------------------------------------------------

    def request(self, method, path, body=None, headers=None, port=None, source=None):
        """Sends one request on its own connection, from the address `source`: (status, headers in lower case, body)."""
        own = (source, 0) if source else None  # a socket without it takes no port from all others
        if self.tls and not port:
            c = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=60, context=self.tls, source_address=own)
        else:
            c = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=60, source_address=own)
        try:
            c.request(method, path, body, headers or {})
            r = c.getresponse()
            return r.status, {k.lower(): v for k, v in r.getheaders()}, r.read()
        finally:
            c.close()

    def admin(self, path):
        return self.request("GET", path, port=self.admin_port)

    def metric(self, name):
        """The value of a metric, which is named with its labels. Fails the test when there is no such metric."""
        found = re.search(rf"(?m)^{re.escape(name)} (\S+)$", self.admin("/metrics")[2].decode())
        assert found, f"/metrics has no {name}"
        return float(found.group(1))

    def undelivered(self):
        """The webhooks that the ledger still holds, dead letters included."""
        done = subprocess.run([BINARY, "uploads", "webhooks", "--json", "--config", self.config], env=self.environment, cwd=self.folder, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return [json.loads(l) for l in done.stdout.splitlines()]

    def is_ready(self):
        return self.admin("/readyz")[0] == 200

    def uploads(self, state=""):
        """All rows of the ledger, page after page."""
        rows, after = [], ""
        while True:
            status, _, body = self.admin(f"/v1/uploads?limit=1000&state={state}{after}")
            assert status == 200, (status, body)
            page = [json.loads(l) for l in body.splitlines()]
            rows += page
            if not page:
                return rows
            after = "&after=" + page[-1]["id"]

    def sign(self, expect=201, headers=None, **ask):
        ask.setdefault("filename", "a b.bin")
        status, _, body = self.request("POST", "/v1/uploads", json.dumps(ask), {"Content-Type": "application/json", **(headers or {})})
        assert status == expect, (status, body)
        return json.loads(body)

    def status(self, id):
        status, _, body = self.request("GET", "/v1/uploads/" + id)
        return json.loads(body) if status == 200 else None

    def raw(self, timeout=30, source="127.0.0.1"):
        s = socket.create_connection(("127.0.0.1", self.port), timeout=timeout, source_address=(source, 0))
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return s

    def post_form(self, fields, data, bucket="local", filename="a b.bin", behind=b"", path=None, headers=None, source=None):
        body, content_type = form_body(fields, data, filename, behind)
        return self.request("POST", path or f"/upload/{bucket}", body, {"Content-Type": content_type, **(headers or {})}, source=source)

    # --- files on disk --------------------------------------------------------------------------

    def objects(self):
        """Path below the store's root and size of every visible object."""
        root, out = self.environment["POSTERN_STORE__PATH"], {}
        for folder, folders, files in os.walk(root):
            if folder == root and ".postern" in folders:
                folders.remove(".postern")
            for name in files:
                path = os.path.join(folder, name)
                out[os.path.relpath(path, root)] = os.path.getsize(path)
        return out

    def object_path(self, key, bucket="local"):
        return os.path.join(self.environment["POSTERN_STORE__PATH"], bucket, key)

    def leftovers(self):
        """Temporary files of uploads that are running or were interrupted."""
        root = os.path.join(self.environment["POSTERN_STORE__PATH"], ".postern", "tmp")
        return [os.path.join(f, n) for f, _, names in os.walk(root) for n in names if n != "lock"]

    def memory(self, what="VmRSS"):
        with open(f"/proc/{self.process.pid}/status") as f:
            return int(re.search(what + r":\s+(\d+) kB", f.read()).group(1)) * 1024

    def open_descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def reset_peak(self):
        with open(f"/proc/{self.process.pid}/clear_refs", "w") as f:
            f.write("5")


BOUNDARY = "----TestBoundary7MA4YWxkTrZu0gW"


def field(name, value, boundary=BOUNDARY):
    value = value if isinstance(value, bytes) else value.encode()
    return b"--" + boundary.encode() + b'\r\nContent-Disposition: form-data; name="' + name.encode() + b'"\r\n\r\n' + value + b"\r\n"


def form_begin(fields, filename="a b.bin", boundary=BOUNDARY):
    """The part of a form before the file's first byte. `fields` is a dict or a list of pairs."""
    pairs = fields.items() if isinstance(fields, dict) else fields
    return (b"".join(field(n, v, boundary) for n, v in pairs) + b"--" + boundary.encode() + b'\r\nContent-Disposition: form-data; name="file"; filename="' +
            filename.encode() + b'"\r\nContent-Type: application/octet-stream\r\n\r\n')


def form_end(behind=b"", boundary=BOUNDARY):
    return b"\r\n" + behind + b"--" + boundary.encode() + b"--\r\n"


def form_body(fields, data, filename="a b.bin", behind=b"", boundary=BOUNDARY):
    return form_begin(fields, filename, boundary) + data + form_end(behind, boundary), "multipart/form-data; boundary=" + boundary


def form_header(length, bucket="local", content_type="multipart/form-data; boundary=" + BOUNDARY, extra=""):
    how = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    return f"POST /upload/{bucket} HTTP/1.1\r\nHost: test\r\nContent-Type: {content_type}\r\n{how}\r\n{extra}\r\n".encode()


def read_answer(s):
    """Reads one response from a socket: (status, headers, body); None when the connection ended without one."""
    data = b""
    while b"\r\n\r\n" not in data:
        try:
            piece = s.recv(65536)
        except ConnectionError:
            return None
        if not piece:
            return None
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    status = int(lines[0].split()[1])
    headers = {k.lower(): v for k, v in (l.split(": ", 1) for l in lines[1:])}
    while len(body) < int(headers.get("content-length", 0)):
        piece = s.recv(65536)
        if not piece:
            break
        body += piece
    return status, headers, body


# --- forms signed elsewhere, as any S3 SDK would ------------------------------------------------------

def signing_key(secret, day, region=REGION, service="s3"):
    key = ("AWS4" + secret).encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key


def sdk_form(key="foo.txt", bucket="local", conditions=None, fields=None, expiration=None, document=None, access_key=ACCESS_KEY, secret=SECRET_KEY, drop=(), length=(0, 1024)):
    """A presigned POST like an SDK's: a list of (name, value). `document` replaces the policy, `drop` names fields that are left out."""
    now = time.gmtime()
    date, day = time.strftime("%Y%m%dT%H%M%SZ", now), time.strftime("%Y%m%d", now)
    credential = f"{access_key}/{day}/{REGION}/s3/aws4_request"
    expiration = expiration or time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 600))
    if document is None:
        document = {"expiration": expiration,
                    "conditions": (conditions if conditions is not None else [{"bucket": bucket}, ["starts-with", "$key", "foo"], {"acl": "private"},
                                                                              ["starts-with", "$Content-Type", "text/plain"], ["content-length-range", *length]]) +
                    [{"x-amz-algorithm": "AWS4-HMAC-SHA256"}, {"x-amz-credential": credential}, {"x-amz-date": date}]}
    policy = base64.b64encode((document if isinstance(document, str) else json.dumps(document)).encode()).decode()
    signature = hmac.new(signing_key(secret, day), policy.encode(), hashlib.sha256).hexdigest()
    out = [("key", key)] if key is not None else []
    out += list((fields if fields is not None else {"acl": "private", "Content-Type": "text/plain"}).items())
    out += [("x-amz-algorithm", "AWS4-HMAC-SHA256"), ("x-amz-credential", credential), ("x-amz-date", date), ("policy", policy), ("x-amz-signature", signature)]
    return [(n, v) for n, v in out if n not in drop]


def s3_code(body):
    found = re.search(rb"<Code>(\w+)</Code>", body)
    return found.group(1).decode() if found else None


def skip_all(reason):
    """Ends a test file that cannot run at all. ctest and tests/run count it as skipped and show the reason."""
    print("SKIPPED:", reason, flush=True)
    sys.exit(77)


def main():
    """Runs the file's tests. tests/run counts each line that begins with SKIPPED:. Exit code 5: no test has the requested name."""
    result = unittest.main(argv=[sys.argv[0]] + sys.argv[2:], verbosity=1, exit=False).result
    for test, reason in result.skipped:
        print(f"SKIPPED: {test.id().removeprefix('__main__.')}: {reason}", flush=True)
    sys.exit(1 if not result.wasSuccessful() else 0 if result.testsRun else 5)
