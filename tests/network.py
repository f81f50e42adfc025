"""Closes the network of this process, but for loopback.

As a program it runs the command line that way: python -m tests.network index seeds
"""

import ipaddress
import socket
import sys

LOCAL_NAMES = {"localhost", "", None}


class OutsideRequestError(RuntimeError):
    """Something asked for a host outside."""


def close_network() -> None:
    """Refuse, from now on, to look up or connect to a host outside, and say so on standard error."""
    look_up, connect = socket.getaddrinfo, socket.socket.connect

    def guarded_look_up(host, *rest, **options):
        if not is_local(host):
            refuse(f"looked up {host!r}")
        return look_up(host, *rest, **options)

    def guarded_connect(self, address):
        if self.family in (socket.AF_INET, socket.AF_INET6) and not is_local(address[0]):
            refuse(f"connected to {address!r}")
        return connect(self, address)

    socket.getaddrinfo = guarded_look_up
    socket.socket.connect = guarded_connect


def refuse(what: str) -> None:
    """Say what was asked for, where a library may swallow the error."""
    sys.stderr.write(f"OUTSIDE REQUEST: {what}\n")
    raise OutsideRequestError(what)


def is_local(host: object) -> bool:
    """Say whether a host is this computer."""
    name = host.decode() if isinstance(host, bytes) else host
    if name in LOCAL_NAMES:
        return True
    try:
        address = ipaddress.ip_address(str(name))
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


if __name__ == "__main__":
    close_network()
    from assistant.__main__ import main

    main()
