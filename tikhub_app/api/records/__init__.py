"""The management REST under ``/api/v1/``: the operator's records as DRF viewsets.

Nothing is open by default: a caller is a session user with Django permissions or a key of scope manage, sees what is
theirs or what their permissions show, and gets 404 for the rest.
"""
