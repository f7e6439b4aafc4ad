#!/bin/sh
# One stage of what is to be done on a graphics card, in at most five minutes: see on_gpu.py.
#   performance/on_gpu.sh pack | check | denoiser | varnet | primal-dual | time
set -eu
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-$([ -x .venv/bin/python ] && echo .venv/bin/python || echo python3)}
exec env PYTHONPATH=".:performance${PYTHONPATH:+:$PYTHONPATH}" "$PYTHON" performance/on_gpu.py "$@"
