"""A flood of connections from one address, as a process of its own.

    with Flood(server.port, 2000, 8) as flood:    2 000 connections a second for eight seconds; the process ends with the block, or before
        ...
    flood.opened, flood.refused, flood.seconds    connections that were established; those that were answered 503; how long it took

One connection of three is silent, one sends half a header, and one is reset as soon as it is established. Those that the server does not close stay open, until the process has no descriptor left; then the oldest is reset.
"""

import collections, errno, json, os, select, socket, struct, subprocess, sys, time
from slow_clients import raise_descriptor_limit

SOURCE = "127.66.0.1"
HALF_A_HEADER = b"POST /upload/local HTTP/1.1\r\nHost: test\r\nContent-Ty"
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close resets, so that no port waits for its end
IP_BIND_ADDRESS_NO_PORT = 24  # the port is chosen when the connection is made: many at once can share one


class Flood:
    def __init__(self, port, per_second, seconds):
        self.process = subprocess.Popen([sys.executable, os.path.abspath(__file__), str(port), str(per_second), str(seconds)], stdout=subprocess.PIPE, text=True)
        self.longest = seconds + 60
        self.opened = self.refused = 0
        self.seconds = 0.0

    def wait(self):
        out, _ = self.process.communicate(timeout=self.longest)
        assert self.process.returncode == 0, out
        for name, value in json.loads(out).items():
            setattr(self, name, value)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()


# --- the flood's process --------------------------------------------------------------------------------

class Connections:
    def __init__(self, port):
        self.port, self.max_open = port, raise_descriptor_limit() - 100
        self.events, self.all = select.epoll(), collections.OrderedDict()  # by descriptor: (socket, number)
        self.begun = self.opened = self.refused = 0

    def begin(self):
        s = socket.socket()
        s.setblocking(False)
        s.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        s.bind((SOURCE, 0))
        if s.connect_ex(("127.0.0.1", self.port)) not in (0, errno.EINPROGRESS):
            s.close()  # no port is free: this one is not counted
            return
        self.all[s.fileno()] = s, self.begun
        self.begun += 1
        self.events.register(s, select.EPOLLOUT)
        if len(self.all) > self.max_open:
            self.end(next(iter(self.all)))

    def end(self, fd):
        self.all.pop(fd)[0].close()  # which takes it out of epoll, too

    def serve(self, seconds):
        for fd, event in self.events.poll(seconds):
            try:
                self.serve_one(fd, event)
            except OSError:
                self.end(fd)

    def serve_one(self, fd, event):
        s, number = self.all[fd]
        if event & (select.EPOLLERR | select.EPOLLHUP) or event & select.EPOLLIN:
            self.refused += b" 503 " in s.recv(4096)
            self.end(fd)
            return
        self.opened += 1
        if number % 3 == 2:
            self.end(fd)
            return
        if number % 3 == 1:
            s.send(HALF_A_HEADER)
        self.events.modify(fd, select.EPOLLIN)


def run(port, per_second, seconds):
    connections, begin = Connections(port), time.monotonic()
    while (now := time.monotonic() - begin) < seconds:
        for _ in range(min(int(now * per_second) - connections.begun, 100)):
            connections.begin()
        connections.serve(0.001)
    print(json.dumps({"opened": connections.opened, "refused": connections.refused, "seconds": time.monotonic() - begin}))


if __name__ == "__main__":
    run(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
