#!/usr/bin/env bash
# Fetches what a machine with torch, transformers and lightning, but without network, lacks: wheels, into a folder that
# git ignores and that run.sh looks for. The Python that they are for may be named: benchmarks/gpu/wheels.sh 3.12
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")"
python="${PYTHON:-python3}"
pip=("$python" -m pip --disable-pip-version-check --quiet)
rm -rf wheels
"${pip[@]}" download --no-deps --only-binary=:all: --python-version "${1:-3.12}" --dest wheels --requirement wheels.txt
"${pip[@]}" wheel --no-deps --wheel-dir wheels empath==0.89 # published as source alone
ls wheels
