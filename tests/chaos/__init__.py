"""Thousands of calls with faulty upstreams and killed web processes, after which every sum has to be right.

``python -m tests.chaos`` (``make chaos``) does for each database what ``trial.py`` tells: two web processes, a sandbox
that fails on purpose, callers that stay or leave, ``kill -9`` in between, then ``tikhub_reconcile``. ``audit.py`` joins
the sandbox's bill, the ledger and what the callers saw, and names everything that does not agree.
"""
