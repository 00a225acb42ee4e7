#!/usr/bin/env bash
# Checks, then measures a GPU in at most nine minutes. Results go to $OUT, else to runs/gpu.
#
#     benchmarks/gpu/run.sh                        # on a machine with a GPU
#     benchmarks/gpu/run.sh --device cpu --tiny    # a dry run without one
#
# Nothing is fetched. Packages that are missing are taken from benchmarks/gpu/wheels, which wheels.sh fills elsewhere.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
python="${PYTHON:-python3}"
if [[ -x .venv/bin/python && -z "${PYTHON:-}" ]]; then
    python=.venv/bin/python
fi
export PYTHONPATH="src:.${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1 HF_HUB_OFFLINE=1
if ! "$python" -c "import datasets, empath, gguf, jsonargparse, platformdirs, vaderSentiment" 2> /dev/null; then
    if ! compgen -G "benchmarks/gpu/wheels/*.whl" > /dev/null; then
        echo "Packages are missing, and benchmarks/gpu/wheels is empty: make install, or fill it by wheels.sh" >&2
        exit 1
    fi
    site="$(mktemp -d)"
    trap 'rm -rf "$site"' EXIT
    "$python" -m pip install --disable-pip-version-check --quiet --no-index --no-deps --no-compile \
        --target "$site" benchmarks/gpu/wheels/*.whl
    export PYTHONPATH="$PYTHONPATH:$site"
fi
"$python" -m benchmarks.gpu --output "${OUT:-runs/gpu}" "$@"
