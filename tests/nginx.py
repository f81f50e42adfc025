"""nginx on a free port of 127.0.0.1, as the documents say to set it up."""

import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import trustme

EMBEDDING = Path("docs/embedding.md")
REPLICAS = Path("docs/replicas.md")
PROGRAM = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin:{Path('.venv/nginx/usr/sbin').absolute()}")
AROUND = """
user nobody nogroup;
daemon off;
pid nginx.pid;
events {}
http {
    access_log off;
    client_body_temp_path body; proxy_temp_path proxy;
    fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    %s
}
"""


@contextmanager
def before(server: str) -> Iterator[tuple[str, trustme.CA]]:
    """Put nginx before a server; give the address of the chat, and who vouches for it."""
    with _documented(EMBEDDING, {"http://127.0.0.1:7860": server}) as (address, authority):
        yield f"{address}/assistant", authority


@contextmanager
def before_replicas(servers: Sequence[str]) -> Iterator[tuple[str, trustme.CA]]:
    """Put nginx before two servers, each host:port; give the address of the chat, and who vouches for it."""
    with _documented(REPLICAS, dict(zip(("10.0.0.1:7860", "10.0.0.2:7860"), servers, strict=True))) as reached:
        yield reached


@contextmanager
def _documented(document: Path, servers: Mapping[str, str]) -> Iterator[tuple[str, trustme.CA]]:
    """Run the configuration that a document prints.

    What serves runs as nobody, or as whoever runs the tests if that is not root. Of the documented configuration,
    ports, servers and the paths of the certificate are changed, and nothing else.
    """
    [configuration] = re.findall(r"^```nginx\n(.*?)^```", document.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    with tempfile.TemporaryDirectory(prefix="nginx-") as name, socket.create_server(("127.0.0.1", 0)) as taken:
        folder, port = Path(name), taken.getsockname()[1]
        authority = trustme.CA()
        certificate = authority.issue_cert("localhost")
        certificate.private_key_pem.write_to_path(folder / "key.pem")
        certificate.cert_chain_pems[0].write_to_path(folder / "certificate.pem")
        for printed, used in {
            "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
            "/etc/ssl/example.org.pem": "certificate.pem",
            "/etc/ssl/private/example.org.key": "key.pem",
            **servers,
        }.items():
            assert configuration.count(printed) == 1, printed
            configuration = configuration.replace(printed, used)
        (folder / "nginx.conf").write_text(AROUND % configuration, "utf-8")
        if os.geteuid() == 0:
            shutil.chown(folder, "nobody", "nogroup")
        taken.close()
        assert PROGRAM, "nginx is missing: make nginx"
        command = [PROGRAM, "-e", "error.log", "-p", name, "-c", "nginx.conf"]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            try:
                _wait_for(port, process, folder / "error.log")
                yield f"https://localhost:{port}", authority
            finally:
                process.terminate()


def _wait_for(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait until it listens."""
    end = time.monotonic() + 30
    while time.monotonic() < end and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise RuntimeError(f"nginx does not listen: {log.read_text('utf-8')}")
