"""Signals that host code may listen to; sent from worker threads, never from the event loop."""

from django.dispatch import Signal

#: Sent after a revocation, rotation or any other change of keys, upstreams, routes or prices was seen by this process.
#: Arguments: ``version`` (int).
configuration_changed = Signal()
