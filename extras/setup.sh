#!/usr/bin/env bash
# Makes a machine ready: Debian packages, a virtual environment with the project in it, the model files.
#
#   bash extras/setup.sh          what the demo needs
#   bash extras/setup.sh test     what the tests need as well
#
# demo.sh and test.sh source it and then run "$PYTHON". FACESCULPT_VENV names another place for the virtual environment
# than .venv in the checkout, FACESCULPT_PYTHON another Python to make it with than python3.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
VENV=${FACESCULPT_VENV:-$ROOT/.venv}
PYTHON=$VENV/bin/python
EXTRA=${1:-}
# setup.py accepts a range. This release is the one the project was tried with; its CPU build has no CUDA libraries.
TORCH=torch==2.13.0
TORCH_INDEX=https://download.pytorch.org/whl/cpu

# step TITLE COMMAND...: run a command, print its title and time; its output only when it fails.
step() {
    local title=$1 started=$SECONDS log
    shift
    log=$(mktemp)
    printf '%-34s' "$title"
    if ! "$@" >"$log" 2>&1 </dev/null; then
        printf 'failed\n'
        tail -n 40 "$log" >&2
        rm -f "$log"
        return 1
    fi
    rm -f "$log"
    printf '%4d s\n' $((SECONDS - started))
}

any_of() {
    local name
    for name in "$@"; do
        command -v "$name" >/dev/null && return 0
    done
    return 1
}

missing_packages() {
    local python=${FACESCULPT_PYTHON:-python3}
    any_of prusa-slicer || echo prusa-slicer
    any_of "$python" || echo python3
    if [ ! -x "$PYTHON" ]; then
        "$python" -c 'import ensurepip, venv' 2>/dev/null || echo python3-venv
        # OctoPrint's netifaces has no wheel for today's Pythons: pip compiles it.
        any_of cc || echo build-essential
        "$python" -c 'import pathlib, sysconfig; assert pathlib.Path(sysconfig.get_path("include"), "Python.h").exists()' \
            2>/dev/null || echo python3-dev
    fi
    if [ "$EXTRA" = test ]; then
        any_of chromium chromium-browser google-chrome || echo chromium
        any_of msgfmt || echo gettext
        any_of CuraEngine || echo cura-engine
        [ -d /usr/share/cura/resources/materials ] || echo fdm-materials
    fi
}

apt_install() {
    local -a as_root=()
    [ "$(id -u)" -eq 0 ] || as_root=(sudo -n)
    "${as_root[@]}" apt-get update -q
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -yq --no-install-recommends "$@"
}

install_packages() {
    local -a packages
    mapfile -t packages < <(missing_packages)
    [ ${#packages[@]} -gt 0 ] || return 0
    if any_of apt-get && { [ "$(id -u)" -eq 0 ] || sudo -n true 2>/dev/null; }; then
        step "Debian packages (${packages[*]})" apt_install "${packages[@]}"
        mapfile -t packages < <(missing_packages)
        [ ${#packages[@]} -gt 0 ] || return 0
    fi
    printf 'These programs are missing and cannot be installed from here. Please run:\n\n' >&2
    printf '    sudo apt-get install %s\n\nand start this script again.\n' "${packages[*]}" >&2
    return 1
}

# Cura's printer definitions are in its graphical program, which brings half a gigabyte: of that package only they are kept.
unpack_cura_definitions() {
    local to=$1 from
    from=$(mktemp -d)
    (cd "$from" && apt-get download cura && dpkg-deb --fsys-tarfile cura_*.deb >cura.tar)
    mkdir -p "$to"
    tar -x -f "$from/cura.tar" -C "$to" ./usr/share/cura/resources/{definitions,extruders,quality,variants}
    rm -r "$from"
}

make_venv() {
    "${FACESCULPT_PYTHON:-python3}" -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed.")'
    "${FACESCULPT_PYTHON:-python3}" -m venv "$VENV"
}

install_torch() {
    local -a from=()
    # Only where the public index can be reached: pip tries an unreachable one for minutes.
    if "$PYTHON" -c "import urllib.request as u; u.urlopen('$TORCH_INDEX/torch/', timeout=8)" 2>/dev/null; then
        from=(--extra-index-url "$TORCH_INDEX")
    fi
    "$PYTHON" -m pip install "${from[@]}" "$TORCH"
}

install_project() {
    "$PYTHON" -m pip install --editable "$ROOT${EXTRA:+[$EXTRA]}" "$TORCH"
}

# What pip last installed from; the same again needs no second run of pip.
recipe() {
    echo "$ROOT"
    cksum <"$ROOT/setup.py"
    cksum <"$ROOT/pyproject.toml"
    cksum <"$ROOT/extras/setup.sh"
}

set_up() {
    local stamp=$VENV/.facesculpt${EXTRA:+-$EXTRA}
    install_packages
    # pip comes last into a new environment.
    [ -x "$VENV/bin/pip" ] || step "Virtual environment" make_venv
    if [ "$(cat "$stamp" 2>/dev/null)" != "$(recipe)" ]; then
        step "PyTorch (CPU)" install_torch
        step "FaceSculpt and OctoPrint" install_project
        # An environment for the tests also does for the demo.
        recipe | tee "$VENV/.facesculpt" >"$stamp"
    fi
    # What pip does for a package that it copies: otherwise each child compiles it anew where bytecode is not to be written.
    "$PYTHON" -m compileall -q "$ROOT/octoprint_facesculpt"
    step "Model files" "$PYTHON" -m octoprint_facesculpt assets fetch
    if [ "$EXTRA" = test ] && [ ! -d /usr/share/cura/resources/definitions ]; then
        local cura
        cura=$("$PYTHON" -c 'from octoprint_facesculpt.folders import user_folder; print(user_folder() / "cura")')
        [ -d "$cura/usr/share/cura/resources/variants" ] || step "Cura's printer definitions" unpack_cura_definitions "$cura"
    fi
}

set_up
