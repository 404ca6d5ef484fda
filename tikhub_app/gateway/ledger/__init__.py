"""The ledger: rows that are durable before anything is sent, and finished exactly once.

``rows.py`` holds the rows as the core fills them, ``statements.py`` turns them into SQL for the database at hand,
``batches.py`` gathers them, ``writer.py`` is the one thread per process that commits them in groups.
"""

from tikhub_app.gateway.ledger.batches import Finish, UpstreamMark
from tikhub_app.gateway.ledger.rows import AttemptRow, RequestRow
from tikhub_app.gateway.ledger.writer import LedgerWriter, writer, writer_state

__all__ = [
    "AttemptRow", "Finish", "LedgerWriter", "RequestRow", "UpstreamMark", "writer", "writer_state",
]  # fmt: skip
