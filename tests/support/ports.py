"""Ports for programs that a test starts, or starts again later on the same port.

A port that the kernel chose and a test closed may be taken by any outgoing connection before the program listens on it.
So these ports lie below the ones that the kernel gives to connections, and a name in the kernel, which ends with this
process, keeps other tests from the same port.
"""

import random, socket

with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as f:
    FIRST_OF_CONNECTIONS = int(f.read().split()[0])
if FIRST_OF_CONNECTIONS < 14000:
    FIRST_OF_CONNECTIONS = 32768  # nearly all ports are the kernel's: a collision is possible then
PORTS = range(FIRST_OF_CONNECTIONS - 12000, FIRST_OF_CONNECTIONS)
names = []  # descriptors that are open until this process ends


def is_ours(port):
    name = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        name.bind(f"\0postern-test-port-{port}")
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        name.close()
        return False
    names.append(name.detach())
    return True


def free_port():
    """A port of 127.0.0.1 on which nobody listens. No other Python test gets it while this process runs."""
    for _ in range(1000):
        if is_ours(port := random.choice(PORTS)):
            return port
    raise RuntimeError(f"no port from {PORTS[0]} to {PORTS[-1]} is free")
