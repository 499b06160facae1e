"""Named memory between processes that are not each other's children, and what is left when its maker is killed."""

import os
import subprocess
import sys

from mftcore import PeerDied, RoleTaken, SpscRing

COUNT = 100


def maker(name: str) -> None:
    with SpscRing.create(8, capacity=128, name=name) as ring, ring.producer() as tx:
        for i in range(COUNT):
            tx.push(i.to_bytes(8, "little"))
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.read()  # until somebody kills us


def main() -> None:
    name = f"example-{os.getpid()}"
    with subprocess.Popen(
        [sys.executable, __file__, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
        with SpscRing.attach(name, dtype=8) as ring, ring.consumer() as rx:
            assert int.from_bytes(rx.pop() or b"", "little") == 0
            user = 0
            try:
                SpscRing.remove(name)
            except RoleTaken as taken:
                user = taken.pid
            assert user == other.pid  # not while somebody who uses it is alive
            other.kill()  # it cannot take its name away any more
            for i in range(1, COUNT):
                assert rx.pop_wait(10.0) == i.to_bytes(8, "little")  # what it had pushed is still there
            dead = 0
            try:
                rx.wait(10.0)
            except PeerDied as death:
                dead = death.pid
            assert dead == other.pid
    SpscRing.remove(name)  # the maker is dead and we have given our role back
    SpscRing.create(8, capacity=128, name=name).close()  # the name is free again


if __name__ == "__main__":
    maker(sys.argv[1]) if len(sys.argv) > 1 else main()
