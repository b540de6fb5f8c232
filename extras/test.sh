#!/usr/bin/env bash
# Installs what is missing, then checks style and types and runs all tests. Arguments go to pytest.
set -euo pipefail

source "$(dirname "${BASH_SOURCE[0]}")/setup.sh" test
cd "$ROOT"
"$PYTHON" -m ruff check .
"$PYTHON" -m ruff format --check .
"$PYTHON" -m mypy
# Two at a time, each file as a whole: a file's tests share one server, and most wait for it or for a printer.
# The plugin's children step back behind everything else, so beside a test that computes they would hardly get on: the tests step
# back nearly as far, with their session (sched(7), autogroup) where that is not a terminal's.
[ -t 0 ] || echo 15 2>/dev/null >/proc/self/autogroup || true
BACK=$((15 - $(nice)))
# Threads of two tests that compute wait for each other, and spin while they do.
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 OPENCV_FOR_THREADS_NUM=1
exec nice -n "$((BACK > 0 ? BACK : 0))" "$PYTHON" -m pytest -n 2 --dist loadfile "$@"
