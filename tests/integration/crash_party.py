"""A party as a program: messages on its standard input, answers on its standard output, everything else on its disk.

It saves its snapshot before an answer leaves. Where it is told to, it dies as a program does whose machine loses power: by SIGKILL.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from unittest import mock

import numpy as np

from reference import messages
from securefl import ClientPolicy, SecAggClient, SecureFLError
from securefl.crypto.signing import SigningKey
from securefl.errors import LocalProtocolError
from securefl.plan import Roster
from securefl.records.used_file import UsedFile

if TYPE_CHECKING:
    from integration.crash_world import World

PASSWORD = "a password"
POLICY = 'server = "active"\nmin_parties = 3\n'


def write(pipe: BinaryIO, tag: bytes, data: bytes = b"") -> None:
    pipe.write(tag + len(data).to_bytes(4, "big") + data)
    pipe.flush()


def read(pipe: BinaryIO) -> tuple[bytes, bytes]:
    """A tag and its data; empty at the end, where a frame that is cut off counts as nothing."""
    head = pipe.read(5)
    size = int.from_bytes(head[1:], "big")
    data = pipe.read(size)
    return (head[:1], data) if len(head) == 5 and len(data) == size else (b"", b"")


def furnish(directory: Path, world: World, name: str) -> None:
    """Put a party's files where its program looks for them."""
    (directory / "roster.toml").write_text(world.roster.to_toml(), encoding="utf-8")
    (directory / "policy.toml").write_text(POLICY, encoding="utf-8")
    (directory / f"{name}.pem").write_bytes(world.keys[name].to_pem(None))
    (directory / f"{name}.used").unlink(missing_ok=True)


class Program:
    def __init__(self, directory: Path, name: str, update: str, die: str) -> None:
        self.snapshot = directory / f"{name}.snapshot"
        self.died = directory / f"{name}.died"
        self.die = "" if self.died.exists() else die
        used = directory / f"{name}.used"
        given = {
            "roster": Roster.load(directory / "roster.toml"),
            "policy": ClientPolicy.load(directory / "policy.toml"),
            "identity": SigningKey.from_pem((directory / f"{name}.pem").read_bytes(), None),
        }
        if self.snapshot.exists():
            data = self.snapshot.read_bytes()
            self.client = SecAggClient.restore(data, PASSWORD, used=UsedFile.open(used), **given)
        else:
            self.client = SecAggClient(name, used=UsedFile.open_or_create(used), **given)
        self.update = {"w": np.array(update.split(","), dtype=np.float32)}
        self.client.submit(self.update)

    def at(self, kind: str, point: str) -> None:
        if f"{kind}:{point}" == self.die:
            self.died.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    def save(self) -> None:
        fresh = self.snapshot.with_suffix(".new")
        with fresh.open("wb") as file:
            file.write(self.client.save(PASSWORD))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.snapshot)

    def answers(self, data: bytes) -> list[bytes]:
        try:
            return self.client.receive(data)
        except LocalProtocolError:  # what it handed in was for a round that is over
            self.client.submit(self.update)
            return self.client.receive(data)

    def run(self, incoming: BinaryIO, outgoing: BinaryIO) -> None:
        while True:
            _, data = read(incoming)
            if not data:
                return
            kind = messages.NAMES[data[2]]
            self.at(kind, "received")
            try:
                answers = self.answers(data)
            except SecureFLError as refusal:
                write(outgoing, b"r", str(refusal).encode())
                continue
            self.at(kind, "computed")
            self.save()
            self.at(kind, "saved")
            for place, answer in enumerate(answers):
                if place == (len(answers) + 1) // 2:
                    self.at(kind, "half")
                write(outgoing, b"a", answer)
            if len(answers) == 1:
                self.at(kind, "half")
            self.at(kind, "sent")
            write(outgoing, b"e")


if __name__ == "__main__":
    with (
        mock.patch("securefl.secagg.masked_input.CHUNK_VALUES", 2),
        mock.patch("securefl.session.masking.CHUNK_VALUES", 2),
    ):
        directory, name, update, die = sys.argv[1:]
        Program(Path(directory), name, update, die).run(sys.stdin.buffer, sys.stdout.buffer)
