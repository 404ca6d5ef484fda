"""One dialect in, another out: how a caller of one API is served by a provider that speaks another.

The rule: pure functions. No I/O, no Django, no providers, no gateway; plain JSON values and bytes in and out, so that
every pair is tested with values and every door can use it. What the target cannot express is refused by name, or
dropped and listed where the operator says so; nothing is silently changed into something else. A token count, a tool
call, a finish reason or a refusal that the provider sent always arrives.

:mod:`~tikhub_app.translation.base` is the contract, :mod:`~tikhub_app.translation.registry` the list of pairs. A pair
is a package named after its two dialects; ``chat_*`` modules and :mod:`~tikhub_app.translation.media` read and write
the chat side for all of them. What becomes of each field of a request stands in ``request.py`` of the pair.
"""
