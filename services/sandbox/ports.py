"""Ports of this machine's loopback address."""

import socket


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago: all are held until the last one is chosen, so that they differ."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [int(server.getsockname()[1]) for server in sockets]
    finally:
        for server in sockets:
            server.close()


def is_free(port: int) -> bool:
    """Whether nobody listens on the port."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True
