"""Thousands of clients that send their forms slowly, from many addresses, in one thread.

A client has an address of 127.0.0.0/8, or is named in X-Forwarded-For where a proxy stands in between. It sends the whole form up to its file at once, and then so many bytes a second.
"""

import http.client, json, re, resource, selectors, socket, threading, time
from whole import form_begin, form_end, form_header

TICK = 1.0  # seconds between two pieces of the same client
SLOTS = 20  # parts of a tick; in each, other clients send


def address(number):
    """A loopback address of its own for each number."""
    return f"127.{10 + number // 62500}.{number // 250 % 250}.{number % 250 + 1}"


def raise_descriptor_limit():
    """Each client needs a descriptor. Returns how many this process may have."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def sign_forms(port, count, **ask):
    """So many forms, asked for from so many addresses that limits.sign_rate refuses none."""
    forms, each = [], 90  # limits.sign_burst is 100
    for n in range(0, count, each):
        c = http.client.HTTPConnection("127.0.0.1", port, timeout=60, source_address=(f"127.254.0.{n // each + 1}", 0))
        for _ in range(min(each, count - n)):
            c.request("POST", "/v1/uploads", json.dumps({"filename": "a b.bin", **ask}), {"Content-Type": "application/json"})
            r = c.getresponse()
            body = r.read()
            assert r.status == 201, (r.status, body)
            forms.append(json.loads(body))
        c.close()
    return forms


def unread_bytes(port):
    """For each connection to that port: how many bytes have come that the server has not read. A list; the kernel counts them."""
    found = []
    with open("/proc/net/tcp", encoding="ascii") as f:
        next(f)
        for line in f:
            _, local, _, state, queues = line.split(None, 5)[:5]
            if state == "01" and int(local.split(":")[1], 16) == port:
                found.append(int(queues.split(":")[1], 16))
    return found


class Client:
    def __init__(self, form, size, rate, source, chunked=False, bucket="local", named=None):
        self.rate, self.chunked, self.size, self.source = rate, chunked, size, source
        begin, end = form_begin(form["fields"]), form_end()
        extra = f"X-Forwarded-For: {named}\r\n" if named else ""
        self.ahead = form_header(None if chunked else len(begin) + size + len(end), bucket, extra=extra) + self.framed(begin)
        self.tail = self.framed(end) + (b"0\r\n\r\n" if chunked else b"")
        self.left = size
        self.status = None  # of the answer; "closed" when the connection ended without one
        self.retry_after, self.answer = None, b""
        self.begun = self.ended = None
        self.socket = None

    def framed(self, piece):
        return b"%x\r\n%b\r\n" % (len(piece), piece) if self.chunked else piece

    def next_piece(self):
        """What is sent next; empty when everything was sent."""
        if self.ahead:
            piece, self.ahead = self.ahead, b""
            return piece
        n = min(self.left, max(1, int(self.rate * TICK)))
        if n:
            self.left -= n
            return self.framed(b"x" * n) if self.left else self.framed(b"x" * n) + self.tail
        return b""


class SlowClients(threading.Thread):
    """Runs the clients until stop(). They connect at `per_second`."""

    def __init__(self, port, clients, per_second=500):
        super().__init__(daemon=True)
        self.port, self.clients, self.per_second = port, clients, per_second
        self.selector = selectors.DefaultSelector()
        self.ends = False
        self.failed_to_connect = 0
        self.longest_lag = 0.0  # seconds that the machine kept all clients from sending

    def run(self):
        waiting = list(reversed(self.clients))
        due = [[] for _ in range(SLOTS)]
        at, started, begun = 0, 0, time.monotonic()
        next_slot = begun
        while not self.ends:
            while waiting and started < (time.monotonic() - begun) * self.per_second:
                client = waiting.pop()
                started += 1
                if self.connect(client):
                    due[(at + started) % SLOTS].append(client)
            for client in due[at % SLOTS]:
                if client.status is None:
                    self.send(client)
            due[at % SLOTS] = [c for c in due[at % SLOTS] if c.status is None]
            at += 1
            next_slot += TICK / SLOTS
            self.longest_lag = max(self.longest_lag, time.monotonic() - next_slot)
            for key, _ in self.selector.select(max(0, next_slot - time.monotonic())):
                self.receive(key.data)
        for client in self.clients:
            if client.socket:
                client.socket.close()

    def connect(self, client):
        s = socket.socket()
        s.setblocking(False)
        try:
            s.bind((client.source, 0))
            s.connect_ex(("127.0.0.1", self.port))
        except OSError:
            self.failed_to_connect += 1
            client.status = "closed"
            return False
        client.socket, client.begun = s, time.monotonic()
        self.selector.register(s, selectors.EVENT_READ, client)
        return True

    def send(self, client):
        piece = client.next_piece()
        try:
            if piece and client.socket.send(piece) < len(piece):
                self.end(client, "stuck")
        except BlockingIOError:
            client.ahead = piece  # not connected yet, or the server does not read
        except OSError:
            self.receive(client)

    def receive(self, client):
        if client.status is not None:
            return
        try:
            piece = client.socket.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        client.answer += piece
        if found := re.match(rb"HTTP/1.1 (\d+)", client.answer):
            client.retry_after = re.search(rb"(?i)\r\nretry-after: (\d+)", client.answer)
            self.end(client, int(found.group(1)))
        elif not piece:
            self.end(client, "closed")

    def end(self, client, status):
        client.status, client.ended = status, time.monotonic()
        self.selector.unregister(client.socket)
        client.socket.close()
        client.socket = None

    def stop(self):
        self.ends = True
        self.join()

    def count(self, *statuses):
        return sum(c.status in statuses for c in self.clients)

    def summary(self):
        seen = {}
        for c in self.clients:
            what = "running" if c.status is None else f"{c.status} without Retry-After" if c.status == 503 and not c.retry_after else c.status
            seen[what] = seen.get(what, 0) + 1
        return ", ".join(f"{n} {what}" for what, n in sorted(seen.items(), key=str))
