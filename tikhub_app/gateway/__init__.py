"""The core: authenticate -> allow -> route -> begin -> call -> relay -> finish. Knows no door and no request objects.

``core.py`` is the sequence; each step is a module of its own name.
"""
