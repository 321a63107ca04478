#!/bin/sh
# Makes .venv-secure beside .venv, whose packages it sees as well; does nothing when the requirements are as they were.
set -eu

stamp=.venv-secure/requirements.cksum
wanted=$(cat requirements.txt requirements-dev.txt requirements-secure.txt | cksum)
if [ -x .venv-secure/bin/python ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
    exit 0
fi

echo "Installing the programs of static analysis and fuzzing (some minutes the first time) ..."
.venv/bin/python -m venv --clear .venv-secure
.venv-secure/bin/python -m pip install --quiet --disable-pip-version-check --requirement requirements-secure.txt
.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
    >"$(.venv-secure/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/product.pth"
echo "$wanted" >"$stamp"
