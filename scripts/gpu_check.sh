#!/usr/bin/env bash
# What only a GPU can show, in one call of under ten minutes (and what an installation takes, the first time): drives and
# training steps at full size with random weights, and the tests that need a GPU. Needs Python 3.11 and a GPU; no data.
# Writes gpu-check.json and a table into docs/benchmarks.md.
#
#     scripts/gpu_check.sh
#     scripts/gpu_check.sh --device cpu --preset debug-cogvideox     # tries it out where there is none
set -euo pipefail
cd "$(dirname "$0")/.."
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
if [ -x .venv/bin/python ]; then
    python=.venv/bin/python
elif python3 -c 'import accelerate, diffusers, pytest, torch, longdwm_env.video' 2>/dev/null; then
    python=python3
else
    python3 -m venv .venv
    .venv/bin/pip install --quiet -c constraints.txt '.[train]' pytest
    python=.venv/bin/python
fi
exec "$python" -m longdwm_env.cli bench gpu "$@"
