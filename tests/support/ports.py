"""Ports of this machine, for tests."""

import socket


def free_port() -> int:
    """Return a port of 127.0.0.1 at which nothing listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_closed_while_dripping(connection: socket.socket, *, most: int = 2000) -> bool:
    """Return whether the server closes a connection that sends a request's head byte by byte.

    The connection's time-out is the pause between two bytes.
    """
    connection.sendall(b"GET / HTTP/1.1\r\nX: ")
    for _ in range(most):
        try:
            connection.sendall(b"a")
            if connection.recv(1) == b"":
                return True
        except TimeoutError:
            continue
        except OSError:
            return True
    return False
