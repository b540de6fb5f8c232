#!/usr/bin/env bash
# From a photo to a finished (simulated) print: bash extras/demo.sh [photo.jpg] [--height MM] [--scale N] [--exit]
set -euo pipefail

source "$(dirname "${BASH_SOURCE[0]}")/setup.sh" ""
# The server's harness and the simulated printer are the tests' own.
PYTHONPATH=$ROOT exec "$PYTHON" "$ROOT/extras/demo.py" "$@"
