"""The largest value that a number has while something runs."""

import threading


class Highest(threading.Thread):
    """Reads a number again and again while a block runs, and keeps the largest one."""

    def __init__(self, read, pause):
        super().__init__(daemon=True)
        self.read, self.pause, self.most, self.ends = read, pause, 0, threading.Event()

    def run(self):
        while not self.ends.wait(self.pause):
            self.most = max(self.most, self.read())

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ends.set()
        self.join()
