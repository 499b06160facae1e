"""Where processes begin whose modules bring the compiler along: it is imported there, and not by the supervisor."""

from __future__ import annotations

from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mftpy.links import Links
    from mftpy.processes.jobs import Credentials, Job


def strategy(links: Links, job: Job, conn: Connection) -> None:
    """Run the strategy process."""
    from mftpy.processes.strategy import main

    main(links, job, conn)


def single(links: Links, job: Job, credentials: Credentials, conn: Connection) -> None:
    """Run market data, strategy and execution in one process."""
    from mftpy.processes.single import main

    main(links, job, credentials, conn)
