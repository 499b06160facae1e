"""Anonymous memory handed to an unrelated process: its descriptor over a Unix socket, by SCM_RIGHTS."""

import os
import socket
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

from mftcore import SpscRing

COUNT = 100


def client(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(path)
        message, descriptors, _, _ = socket.recv_fds(server, 16, 1)
        assert message == b"trades"
        with SpscRing.attach_fd(descriptors[0]) as ring, ring.producer() as tx:  # checks all, owns the descriptor
            for i in range(COUNT):
                assert tx.push_wait(i.to_bytes(8, "little"), 10.0)


def main() -> None:
    with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX) as listener:  # mode 0700
        path = str(Path(directory) / "socket")
        listener.bind(path)
        listener.listen()
        with (
            subprocess.Popen([sys.executable, __file__, path]) as other,
            SpscRing.create(8, capacity=16) as ring,
            ring.consumer() as rx,
        ):
            peer, _ = listener.accept()
            with peer:
                who = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
                assert struct.unpack("3i", who)[:2] == (other.pid, os.geteuid())
                socket.send_fds(peer, [b"trades"], [ring.fileno()])
            for i in range(COUNT):
                assert rx.pop_wait(10.0) == i.to_bytes(8, "little")
        assert other.returncode == 0


if __name__ == "__main__":
    client(sys.argv[1]) if len(sys.argv) > 1 else main()
