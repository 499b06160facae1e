"""One loop that waits for a socket and a ring: the producer rings a doorbell, whose descriptor is in the selector."""

import multiprocessing
import selectors
import socket

from mftcore import Doorbell, SpscRing

COUNT = 1_000


def work(ring: SpscRing, bell: Doorbell, answers: socket.socket) -> None:
    with ring.producer(bell) as tx, answers:  # rings after each push, without a system call while the loop is awake
        for i in range(COUNT):
            assert tx.push_wait(i.to_bytes(8, "little"), 10.0)
            if i % 100 == 0:
                answers.sendall(b".")


def main() -> None:
    near, far = socket.socketpair()
    near.setblocking(False)
    records, dots = 0, 0
    with Doorbell.create() as bell, SpscRing.create(8, capacity=64) as ring, ring.consumer() as rx:
        child = multiprocessing.get_context("spawn").Process(target=work, args=(ring, bell, far), daemon=True)
        child.start()
        far.close()
        with selectors.DefaultSelector() as selector, near:
            selector.register(near, selectors.EVENT_READ)
            selector.register(bell, selectors.EVENT_READ)
            while records < COUNT or dots < COUNT // 100:
                bell.arm()  # from here on a ring makes the descriptor readable ...
                ready = selector.select(0 if rx.waiting else 0.1)  # ... so look once more before sleeping
                bell.disarm()
                while (record := rx.pop()) is not None:
                    assert int.from_bytes(record, "little") == records
                    records += 1
                if any(key.fileobj is near for key, _ in ready):
                    dots += len(near.recv(4096))
        child.join()
        assert (child.exitcode, records, dots) == (0, COUNT, COUNT // 100)


if __name__ == "__main__":
    main()
