"""A whole deployment on this machine: certificates, keys, a roster, policies, a SuperLink and SuperNodes with TLS and node authentication.

    python examples/flower/deploy.py --nodes 4 --rounds 2

Each hospital has a directory of its own, as it would have a machine of its own; what it keeps to itself never leaves it.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import ipaddress
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import securefl as sfl

APP = Path(__file__).resolve().parent
BIN = Path(sys.executable).parent
POLICY = """\
# {name}'s own floors: whatever the server proposes, this hospital takes part in nothing weaker.
server = "{server}"
min_parties = {parties}                # all but one: a hospital that is down for an hour does not stop the others
min_survivors = 3
purposes = ["digits"]
"""


class Deployment:
    """A SuperLink and its SuperNodes.

    Args:
        directory: where everything is written.
        nodes: how many hospitals.
        server: "semi-honest" or "active".
        run_config: what the app's own config is overridden with.
    """

    def __init__(self, directory: Path, nodes: int, *, server: str = "semi-honest", **run_config: object) -> None:
        self.directory = directory
        self.names = [f"hospital-{number}" for number in range(nodes)]
        self.server = server
        self.output = directory / "output"
        self.run_config = {
            "roster": str(directory / "roster.toml"),
            "output": str(self.output),
            "server": server,
            **run_config,
        }
        self.port = free_port()
        self.link: subprocess.Popen | None = None
        self.supernodes: dict[str, subprocess.Popen] = {}
        self.environment = {
            **os.environ,
            "FLWR_HOME": str(directory / "flwr-home"),
            "FLWR_TELEMETRY_ENABLED": "0",
            "FLWR_DISABLE_UPDATE_CHECK": "1",
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        }

    def ceremony(self) -> None:
        """Make certificates, identity keys, the roster that all sides compare, and each hospital's policy."""
        certificates(self.directory / "tls", len(self.names))
        roster, keys = sfl.Roster.generate(self.names)
        (self.directory / "roster.toml").write_text(roster.to_toml(), encoding="utf-8")
        for name in self.names:
            home = self.directory / name
            home.mkdir()
            (home / "identity.pem").write_bytes(keys[name].to_pem(None))
            (home / "identity.pem").chmod(0o600)
            (home / "roster.toml").write_text(roster.to_toml(), encoding="utf-8")
            (home / "policy.toml").write_text(
                POLICY.format(name=name, server=self.server, parties=max(3, len(self.names) - 1)), encoding="utf-8"
            )
        home = self.directory / "flwr-home"
        home.mkdir()
        (home / "config.toml").write_text(
            f'[superlink]\ndefault = "tls"\n[superlink.tls]\naddress = "127.0.0.1:{self.port}"\n'
            f'root-certificates = "{self.directory}/tls/ca.crt"\n',
            encoding="utf-8",
        )

    def start(self) -> None:
        """Start the SuperLink, register the nodes' keys, start the SuperNodes."""
        tls = self.directory / "tls"
        self.link = self._spawn(
            "superlink",
            "flower-superlink",
            *(
                "--ssl-ca-certfile",
                tls / "ca.crt",
                "--ssl-certfile",
                tls / "server.pem",
                "--ssl-keyfile",
                tls / "server.key",
            ),
            *("--enable-supernode-auth", "--disable-runtime-dependency-installation"),
            *("--host", "127.0.0.1", "--port", self.port),
        )
        wait_for(lambda: listening(self.port), 60, "the SuperLink listens")
        for number in range(len(self.names)):
            done = self._run("flwr", "supernode", "register", tls / f"node{number}.pub", "tls")
            if done.returncode:
                raise RuntimeError(f"registering node {number}: {done.stdout}{done.stderr}")
        for name in self.names:
            self.start_node(name)

    def start_node(self, name: str) -> None:
        """Start one hospital's SuperNode, or start it again."""
        number, home = self.names.index(name), self.directory / name
        settings = {
            "partition-id": number,
            "num-partitions": len(self.names),
            "securefl-party": f'"{name}"',
            "securefl-roster": f'"{home}/roster.toml"',
            "securefl-policy": f'"{home}/policy.toml"',
            "securefl-identity": f'"{home}/identity.pem"',
            "securefl-state": f'"{home}/state"',
        }
        tls = self.directory / "tls"
        self.supernodes[name] = self._spawn(
            name,
            "flower-supernode",
            *("--root-certificates", tls / "ca.crt", "--auth-supernode-private-key", tls / f"node{number}"),
            *("--superlink", f"127.0.0.1:{self.port}", "--port", free_port()),
            *("--node-config", " ".join(f"{key}={value}" for key, value in settings.items())),
        )

    def stays_up(self, name: str, seconds: float = 20.0) -> bool:
        """Start a node again, as a supervisor would; whether the SuperLink took it."""
        self.start_node(name)
        try:
            self.supernodes[name].wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return True
        return False

    def run(self, rounds: int, *, timeout: float = 600) -> str:
        """Run the app to its end; returns what was printed."""
        app = self.directory / "app"
        shutil.copytree(APP, app, ignore=shutil.ignore_patterns("__pycache__", "*.pyc", "deploy.py"))
        settings = {**self.run_config, "num-server-rounds": rounds}
        text = " ".join(
            f'{key}="{value}"' if isinstance(value, str) else f"{key}={value}" for key, value in settings.items()
        )
        done = self._run("flwr", "run", app, "tls", "--stream", "--run-config", text, timeout=timeout)
        return done.stdout + done.stderr

    def kill(self, name: str) -> None:
        """As a machine that loses power."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.supernodes[name].pid, signal.SIGKILL)
        self.supernodes[name].wait()

    def stop(self) -> None:
        """Stop everything that was started."""
        for process in [*self.supernodes.values(), *([self.link] if self.link else [])]:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        for process in [*self.supernodes.values(), *([self.link] if self.link else [])]:
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)

    def logs(self) -> str:
        """What the SuperLink and the SuperNodes have said."""
        return "\n".join(
            f"--- {path.name}\n{path.read_text(errors='replace')[-3000:]}"
            for path in sorted(self.directory.glob("*.log"))
        )

    def _spawn(self, name: str, command: str, *arguments: object) -> subprocess.Popen:
        log = (self.directory / f"{name}.log").open("ab")
        with log:
            return subprocess.Popen(
                [str(BIN / command), *map(str, arguments)],
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.environment,
                cwd=self.directory,
                start_new_session=True,
            )

    def _run(self, command: str, *arguments: object, timeout: float = 120) -> subprocess.CompletedProcess:
        return subprocess.run(
            [str(BIN / command), *map(str, arguments)],
            capture_output=True,
            text=True,
            env=self.environment,
            cwd=self.directory,
            timeout=timeout,
            check=False,
        )


@contextlib.contextmanager
def deployed(nodes: int, *, server: str = "semi-honest", **run_config: object) -> Iterator[Deployment]:
    """A deployment that runs, in a directory that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="securefl-flower-", ignore_cleanup_errors=True) as directory:
        deployment = Deployment(Path(directory), nodes, server=server, **run_config)
        try:
            deployment.ceremony()
            deployment.start()
            yield deployment
        finally:
            deployment.stop()


def certificates(directory: Path, nodes: int) -> None:
    """A certificate authority, a certificate for the SuperLink on loopback, and a key pair for each SuperNode."""
    directory.mkdir()
    authority, link = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    (directory / "ca.crt").write_bytes(_certificate("ca", authority, authority, ca=True))
    (directory / "server.pem").write_bytes(_certificate("localhost", link, authority))
    write_key(
        directory / "server.key",
        link.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )
    for number in range(nodes):
        key = ec.generate_private_key(ec.SECP384R1())
        write_key(
            directory / f"node{number}",
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
            ),
        )
        (directory / f"node{number}.pub").write_bytes(
            key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
        )


def _certificate(name: str, subject, issuer, *, ca: bool = False) -> bytes:
    def named(common: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])

    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(named("ca"))
        .public_key(subject.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(subject.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key()), critical=False)
    )
    if ca:
        usage = dict.fromkeys(
            (
                "content_commitment",
                "key_encipherment",
                "data_encipherment",
                "key_agreement",
                "encipher_only",
                "decipher_only",
            ),
            False,
        )
        builder = builder.add_extension(
            x509.KeyUsage(digital_signature=True, key_cert_sign=True, crl_sign=True, **usage), critical=True
        )
    else:
        hosts = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        builder = builder.add_extension(x509.SubjectAlternativeName(hosts), critical=False)
    return builder.sign(issuer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def write_key(path: Path, data: bytes) -> None:
    """A private key, for its owner alone."""
    path.touch(mode=0o600)
    path.write_bytes(data)


def free_port() -> int:
    """A port that nobody listens on; not of those that the system gives to whoever asks for any, lest it is gone before it is used."""
    for port in random.sample(range(20_000, 32_768), 100):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("100 ports between 20000 and 32768 are taken")


def listening(port: int) -> bool:
    """Whether somebody listens on a port of this machine."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_for(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait until something holds.

    Raises:
        TimeoutError: it does not, for so long.
    """
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError(f"{what}: not after {seconds:g} seconds")
        time.sleep(0.1)


def main() -> None:
    """Deploy, train, and show the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=4, help="hospitals, 4 or more")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--server", choices=("semi-honest", "active"), default="semi-honest")
    chosen = parser.parse_args()
    started = time.monotonic()
    with deployed(chosen.nodes, server=chosen.server) as deployment:
        print(f"deployed after {time.monotonic() - started:.0f} s")
        printed = deployment.run(chosen.rounds)
        report = deployment.output / "report.txt"
        well = report.exists()
        print(report.read_text(encoding="utf-8") if well else printed + deployment.logs())
        print(f"done after {time.monotonic() - started:.0f} s")
    sys.exit(0 if well else 1)


if __name__ == "__main__":
    main()
