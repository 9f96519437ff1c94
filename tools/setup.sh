#!/usr/bin/env bash
# Prepare .venv/ with the tested versions: tools/setup.sh [python]. `make setup` calls it.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${1:-python3}
# what open3d (pictures, windows, outliers) and pymeshlab (the method rimls) link to; nothing else needs them
libraries="libegl1 libgl1 libusb-1.0-0 libopengl0"

fail() {
  echo "setup: $*" >&2
  exit 1
}

command -v "$python" >/dev/null || fail "$python is not installed; type: apt-get install python3 python3-venv"
"$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' ||
  fail "$("$python" --version) is not 3.11 to 3.13; name another one: make setup PYTHON=python3.11"

if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
  # Debian's Python without python3-venv has no ensurepip; its pip (22.3 or newer) can still fill an empty environment.
  "$python" -m venv .venv >/dev/null 2>&1 ||
    { "$python" -m venv --clear --without-pip .venv && "$python" -m pip --python .venv/bin/python install --quiet pip; } ||
    fail "cannot make .venv; type: apt-get install python3-venv"
fi
echo "setup: installing into .venv, a minute or more"
.venv/bin/python -m pip install --disable-pip-version-check -qq -c constraints.txt -e '.[dev]'

# pymeshlab has no wheel for some platforms
libraries_load() {
  .venv/bin/python -c 'import importlib.util, open3d; importlib.util.find_spec("pymeshlab") and __import__("pymeshlab")' >/dev/null 2>&1
}

if ! libraries_load; then
  if command -v apt-get >/dev/null; then
    root=none
    [ "$(id -u)" -eq 0 ] && root=""
    [ "$root" = none ] && sudo -n true 2>/dev/null && root="sudo -n"
    if [ "$root" != none ]; then
      # shellcheck disable=SC2086
      { $root apt-get update -qq && $root apt-get install -y -qq --no-install-recommends $libraries; } >/dev/null 2>&1 || true
    fi
  fi
  libraries_load ||
    echo "setup: pictures and the method rimls need system libraries (the rest works without); type: apt-get install $libraries"
fi
echo "setup: ready, $(.venv/bin/python --version) in .venv"
