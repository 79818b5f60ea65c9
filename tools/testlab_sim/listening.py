"""Where the lab listens: apart from what serves, so that connections are accepted before that is imported."""

from __future__ import annotations

import socket

HOST = "127.0.0.1"


def listen(port: int = 0) -> socket.socket:
    """A socket that accepts connections on `port` of this machine alone; 0 takes a free port."""
    # asyncio turns Nagle's algorithm off only for sockets that name their protocol: else each answer costs 40 ms
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen(2048)
    except OSError:
        listener.close()
        raise
    return listener
