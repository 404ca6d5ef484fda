"""Adapters: one module per provider, which reads like the provider's own documentation. No I/O, no Django, no tables.

``base.py`` is the contract, ``registry.py`` the list, ``ADDING_A_PROVIDER.md`` the way in for a new one.
"""
