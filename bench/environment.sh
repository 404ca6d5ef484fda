# Sourced by bench/run and bench/profile: makes bench/.venv from the pinned requirements, once for
# each state of the file. It is apart from the project's environment because the peer pins its own
# versions of most libraries, and because nothing of the project may come to depend on a peer.
set -eu
cd "$(dirname "$0")/.."

environment=bench/.venv
wanted=$(cksum < bench/requirements.txt)
if [ "$(cat "$environment/READY" 2>/dev/null || true)" != "$wanted" ]; then
    echo "Making $environment from bench/requirements.txt (once; about two minutes) ..." >&2
    "${PYTHON:-$(command -v python3.11 || command -v python3)}" -m venv --clear "$environment"
    "$environment/bin/python" -m pip install --quiet --disable-pip-version-check \
        --require-hashes --only-binary :all: -r bench/requirements.txt
    printf '%s\n' "$wanted" > "$environment/READY"
fi
