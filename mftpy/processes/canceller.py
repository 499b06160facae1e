"""The emergency canceller: a one-shot process for when execution died. Logs in itself, cancels ours, asks, reports."""

from __future__ import annotations

from multiprocessing.connection import Connection

from mftpy.errors import MftpyError
from mftpy.links import Instrument
from mftpy.processes.child import ignore_terminal_signals
from mftpy.processes.conversation import Conversation, connect
from mftpy.processes.jobs import Credentials, Job
from mftpy.processes.trading_session import cancel_ours, close_report, log_in, read_books
from mftpy.venue.scale import Scale


def main(instrument: Instrument, job: Job, credentials: Credentials, conn: Connection) -> None:
    """Cancel every order of this instance and tell the supervisor what the exchange says is left."""
    ignore_terminal_signals()
    try:
        with connect(job.url, job.config) as session:
            talk = Conversation(
                session, lambda _note, _ns: None, lambda: None, patience_s=job.config.system.request_timeout_s
            )
            log_in(talk, credentials)
            cancelled, left = cancel_ours(talk, job.label_prefix)
            books = read_books(talk, instrument, Scale(instrument.tick_size, instrument.lot_size))
        if cancelled:
            conn.send(("warning", f"the emergency canceller took {cancelled} orders out of the market"))
        conn.send(("final", close_report(books, left), "canceller"))
    except MftpyError as error:
        conn.send(("error", error.exit_code, f"emergency canceller: {error}", ""))
        raise SystemExit(error.exit_code) from error
