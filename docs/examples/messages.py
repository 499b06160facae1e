"""Messages of any length to a child process, parsed where they lie in the ring."""

import json
import multiprocessing

from mftcore import ByteRing

COUNT = 1_000


def produce(ring: ByteRing) -> None:
    with ring.producer() as tx:
        for i in range(COUNT):
            message = json.dumps({"sequence": i, "text": "x" * (i % 300)}).encode()
            assert tx.push_wait(message, 10.0)
        while True:  # the last one is written in place: room for the longest, then what was needed of it
            with tx.claim(64) as claim:
                if claim.view is not None:
                    claim.view[:4] = b"null"
                    claim.length = 4
                    break
            assert tx.wait(10.0)


def main() -> None:
    with ByteRing.create(capacity=4096) as ring, ring.consumer() as rx:
        child = multiprocessing.get_context("spawn").Process(target=produce, args=(ring,), daemon=True)
        child.start()
        expected, longest = 0, 0
        while rx.wait(10.0):  # PeerDied if the child dies before its last message
            with rx.peek() as peek:
                assert peek.view is not None
                message = json.loads(bytes(peek.view))  # a parser that takes any buffer needs no copy
                longest = max(longest, len(peek.view))
            if message is None:
                break
            assert message["sequence"] == expected
            expected += 1
        child.join()
        assert (child.exitcode, expected, longest > 300, rx.pop()) == (0, COUNT, True, None)
        assert ring.counters().popped == COUNT + 1


if __name__ == "__main__":
    main()
