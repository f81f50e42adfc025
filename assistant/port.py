"""The port that a server listens on."""

import errno
import socket


class PortInUse(OSError):
    """Another program listens on the port."""


def listen(host: str, port: int) -> socket.socket:
    """Take the port, so that it is known to be free before anything else is done; 0 takes any.

    Raises:
        PortInUse: another program listens there.
        OSError: `host` is no address of this computer.
    """
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen()
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(f"Port {port} is in use. Choose another: --port {port + 1}") from error
        raise
    return listener
