#!/usr/bin/env bash
# Writes requirements/constraints.txt anew: the versions that go together, for Python 3.11 and 3.12.
# torch is left out, with what its CUDA build brings along: scripts/install.sh chooses its build.
set -euo pipefail
cd "$(dirname "$0")/.."
links=()
for link in ${PIP_FIND_LINKS:-}; do links+=(--find-links "$link"); done
{
  echo "# Written by scripts/lock.sh from pyproject.toml; do not edit."
  "${VENV:-.venv}/bin/uv" pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate --no-emit-index-url \
    "${links[@]}" --extra nemo --extra recordings --extra demo --extra evaluation --extra dev pyproject.toml |
    grep -vE '^(--|torch==|triton==|nvidia-|cuda-)'
} >requirements/constraints.txt.new
mv requirements/constraints.txt.new requirements/constraints.txt
