#!/usr/bin/env bash
# Fetches the slicers of another Debian release into a folder, beside the installed ones, and says how to test with them:
#   bash extras/newer_engines.sh FOLDER [trixie]
# It needs about 1.5 GB. Nothing is installed: the packages are unpacked, and run with their own libraries.
set -euo pipefail

folder=$(realpath -m "$1") release=${2:-trixie}
mkdir -p "$folder"/apt/{lists/partial,cache/archives/partial} "$folder/unpacked" "$folder/bin"
mirror=$(apt-cache policy prusa-slicer | sed -nE 's/^ +[0-9]+ (https?:[^ ]+) .*/\1/p' | head -n 1)
touch "$folder/apt/status"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $release main" > "$folder/apt/sources.list"
cat > "$folder/apt/apt.conf" <<CONF
Dir::Etc::sourcelist "$folder/apt/sources.list";
Dir::Etc::sourceparts "-";
Dir::State::lists "$folder/apt/lists";
Dir::State::status "$folder/apt/status";
Dir::Cache "$folder/apt/cache";
APT::Sandbox::User "root";
CONF
export APT_CONFIG=$folder/apt/apt.conf
apt-get -qq update
apt-get -qq -y --no-install-recommends --download-only install prusa-slicer cura-engine fdm-materials
(cd "$folder/apt/cache/archives" && apt-get -qq download cura)

cd "$folder/unpacked"
ln -sfn usr/lib lib
ln -sfn usr/lib64 lib64
for package in "$folder"/apt/cache/archives/{prusa-slicer,cura,cura-engine,fdm-materials,lib*,zlib*,gcc*}_*.deb; do
    dpkg-deb -x "$package" .
done
# Their own C library comes with a loader of its own, whatever the architecture.
libraries=$(dirname "$folder"/unpacked/usr/lib/*/libc.so.6)
loader=$(find "$libraries" -name 'ld-linux*.so.*' | head -n 1)
for program in prusa-slicer CuraEngine; do
    printf '#!/bin/sh\nexec %q --library-path %q %q "$@"\n' "$loader" \
        "$libraries:$libraries/blas:$libraries/lapack" "$folder/unpacked/usr/bin/$program" > "$folder/bin/$program"
    chmod +x "$folder/bin/$program"
done
mkdir -p "$folder/assets/cura"
ln -sfn "$folder/unpacked/usr" "$folder/assets/cura/usr"
cat <<SAID
FACESCULPT_TEST_PRUSASLICER=$folder/bin/prusa-slicer FACESCULPT_TEST_CURAENGINE=$folder/bin/CuraEngine \\
FACESCULPT_TEST_CURA=$folder/assets pytest tests/slicing/test_newer_engines.py
SAID
