#!/usr/bin/env bash
# Every check of the repository: ruff (rules and format), mypy, pytest. 10 to 13 minutes on 2 cores after the first install.
#   bash scripts/test.sh                     # all
#   bash scripts/test.sh tests/data -k gif   # arguments go to pytest
# Makes .venv if it is missing. All four are run even if one fails; exit code 1 if any did.
set -euo pipefail

# shellcheck source=scripts/environment.sh
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
prepare_environment
cd "$root"
export OMP_NUM_THREADS=1  # two workers with one thread each: faster on small tensors than one with two

failed=""
check() {
    local name=$1
    shift
    say "== $name"
    "$@" || failed="$failed, $name"
}

check "ruff check" "$python" -m ruff check .
check "ruff format" "$python" -m ruff format --check .
check "mypy" "$python" -m mypy
check "pytest" "$python" -m pytest -n 2 --durations 5 "$@"

[ -z "$failed" ] || fail "failed: ${failed#, }. What is wrong stands above, under the == of its name."
say "all checks passed"
