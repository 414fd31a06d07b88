#!/usr/bin/env bash
# The cluster's end-to-end test, on a real engine: `make test-cluster`.
#
# A machine that has an engine uses it. A Debian machine without one, where this runs as root (a CI
# runner), gets one; where the base images cannot be pulled, stand-ins are made from Debian's packages.
# Any other machine skips, and says so. From then on, whatever fails fails the test.
set -euo pipefail
cd "$(dirname "$0")/../.."

engine_answers() {
    docker version >/dev/null 2>&1 && docker compose version >/dev/null 2>&1 \
        && docker buildx version >/dev/null 2>&1
}

if ! engine_answers; then
    if [[ $EUID != 0 ]] || ! command -v apt-get >/dev/null; then
        echo "SKIPPED test-cluster: no container engine with Compose and buildx answers on this machine," \
            "and only a Debian machine, as root, can be given one here"
        exit 0
    fi
    orchestration/cluster/install_engine.sh
fi
orchestration/cluster/stand_in_images.sh
CLUSTER_TESTS=1 exec .venv/bin/pytest -n0 --durations=0 orchestration/tests/cluster "$@"
