"""A handle through a multiprocessing Queue; a program of its own, as the sending needs a thread of multiprocessing."""

import multiprocessing
from typing import Any

from mftcore import SpscRing


def answer(handles: Any, answers: Any) -> None:
    answers.put(handles.get(timeout=60).consumer().pop())


def main() -> None:
    context = multiprocessing.get_context("spawn")
    handles, answers = context.Queue(), context.Queue()
    child = context.Process(target=answer, args=(handles, answers))
    child.start()
    with SpscRing.create(8, 4) as ring:
        ring.producer().push(b"in queue")
        handles.put(ring)
        print(answers.get(timeout=60))
    child.join()


if __name__ == "__main__":
    main()
