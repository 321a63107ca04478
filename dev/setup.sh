#!/bin/sh
# Makes .venv with everything that running and testing need; does nothing when the requirements are as they were.
set -eu

stamp=.venv/requirements.cksum
wanted=$(cat requirements.txt requirements-dev.txt | cksum)
if [ -x .venv/bin/python ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
    exit 0
fi

python=
for candidate in python3.13 python3.12 python3.11 python3; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        python=$candidate
        break
    fi
done
if [ -z "$python" ]; then
    echo "Token Vault needs Python 3.11 or newer, and none was found. Install it and try again." >&2
    exit 1
fi
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    echo "$python cannot make virtual environments. On Debian: apt-get install python3-venv" >&2
    exit 1
fi

if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    echo "Making a virtual environment with $("$python" --version) ..."
    "$python" -m venv --clear .venv
fi
echo "Installing packages (a minute or two the first time) ..."
rm -f "$stamp"
.venv/bin/python -m pip install --quiet --disable-pip-version-check --requirement requirements-dev.txt
echo "$wanted" >"$stamp"
echo "Everything is installed."
