"""Runs the in-process database tests once more on PostgreSQL: ``python -m tests.on_postgres [pytest arguments]``.

Tests against real servers take both databases in the ordinary run; this is for those that use Django's own database,
which is SQLite there. The choice of tests is made in ``conftest.py``.
"""

from __future__ import annotations

import os
import subprocess
import sys

from tests.services import IN_CI, REPOSITORY, find_postgres


def main() -> int:
    server = find_postgres()
    if server is None:
        sys.stderr.write("PostgreSQL was not found, so nothing is tested on it\n")
        return int(IN_CI)
    environment = dict(os.environ) | {"DATABASE_URL": server}
    command = [sys.executable, "-m", "pytest", *sys.argv[1:]]
    return subprocess.run(command, cwd=REPOSITORY, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
