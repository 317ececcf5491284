#!/bin/sh
# `docker run hpsv3 score …` runs hpsv3; `docker run hpsv3 /bin/bash`, run_hpsv3, or a program of a mounted folder, runs that.
set -eu
case ${1:-} in
  run_hpsv3 | hpsv3 | sh | bash | node | */*) exec "$@" ;;
  *) exec hpsv3 "$@" ;;
esac
