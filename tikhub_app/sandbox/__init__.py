"""A fake of the upstream vendors over real HTTP, for the demo, the tests and the chaos runs.

The rule of this package: it knows nothing of Django and nothing of the gateway, so what it answers can never agree with
the gateway by sharing its code. It needs only aiohttp and msgspec.

Start it with ``manage.py tikhub_sandbox``, ``python -m tikhub_app.sandbox`` or, in a test, ``process.SandboxProcess``.
Each vendor is one module under ``vendors/`` with its own path prefix (``/openai/v1/...``). Under ``/sandbox/`` stand
the bill of accepted calls, the log of received calls and the faults to come.
"""
