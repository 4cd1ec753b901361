# shellcheck shell=bash
# The virtual environment .venv at the repository root, for the scripts beside this file. To be sourced, not run:
#   . scripts/environment.sh; prepare_environment    # afterwards $root and $python are set, and the package is installed
# A stamp in .venv says what is installed, so that a second run does nothing and needs no network.
# PYTHON=/path/to/python in the environment chooses the Python that .venv is made with.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
environment=$root/.venv
python=$environment/bin/python
environment_log=$environment/install.log
made_here=$environment/made-by-videossl-scripts
stamp_file=$environment/installed-by-videossl-scripts

NEWEST_TESTED_MINOR=13   # scripts/requirements.lock is known to resolve on Python 3.11 to 3.13
NEEDED_MEGABYTES=3500
CUDA_MEGABYTES=8000      # what the environment takes where pip brings the CUDA build of torch

say() { printf '%s\n' "$*"; }

fail() {  # one line: what is wrong, and the remedy
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# Print the command of a Python that can be used. Tested versions first, and first of all the one that `python3` means.
find_python() {
    local candidate version minor untested="" found=""
    for candidate in ${PYTHON:+"$PYTHON"} python3 python3.13 python3.12 python3.11; do
        # Run it: the shims of pyenv exist for Pythons that are not there.
        version=$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue
        found="$found $candidate is $version;"
        minor=${version#3.}
        case $version in 3.*) ;; *) continue ;; esac
        [ "$minor" -ge 11 ] || continue
        if [ "$minor" -le "$NEWEST_TESTED_MINOR" ] || [ "$candidate" = "${PYTHON:-}" ]; then
            printf '%s\n' "$candidate"
            return
        fi
        untested=${untested:-$candidate}
    done
    if [ -n "$untested" ]; then
        printf 'note: %s is newer than Python 3.%s, the newest that the pinned packages are known to install on.\n' \
            "$untested" "$NEWEST_TESTED_MINOR" >&2
        printf '%s\n' "$untested"
        return
    fi
    fail "needs Python 3.11 or newer, found${found:- none}" \
        "Install one (Debian, Ubuntu: apt install python3.11 python3.11-venv) or name it: PYTHON=/path/to/python bash $0"
}

check_disk() {
    local free
    free=$(df -Pk "$root" 2>/dev/null | awk 'NR == 2 { print int($4 / 1024) }') || return 0
    case $free in "" | *[!0-9]*) return 0 ;; esac  # a file system that df cannot tell of
    [ "$free" -ge "$NEEDED_MEGABYTES" ] ||
        fail "needs $NEEDED_MEGABYTES MB of free disk in $root, found $free MB. Make room, or clone the repository to another disk."
    if [ "$free" -lt "$CUDA_MEGABYTES" ] && [ "$(uname -s)" = Linux ]; then
        say "note: $free MB are free; enough for torch for the CPU, but a CUDA build of torch needs $CUDA_MEGABYTES MB."
    fi
}

make_environment() {
    local chosen version
    if [ -e "$environment" ] && [ ! -e "$made_here" ]; then
        # Someone's own environment: used if it can be, never removed.
        version=$("$python" -c 'import pip, sys; print("%d" % (sys.version_info >= (3, 11)))' 2>/dev/null) || version=""
        [ "$version" = 1 ] ||
            fail "$environment exists, but holds no working Python 3.11 or newer with pip. Move it away; a new one is made then."
        return
    fi
    # The Python that it was made with may be gone since.
    if [ -e "$made_here" ] && "$python" -c 'import pip' >/dev/null 2>&1; then
        return
    fi
    chosen=$(find_python) || exit 1
    # Debian and Ubuntu ship Python without these two.
    "$chosen" -c 'import ensurepip, venv' >/dev/null 2>&1 ||
        fail "$chosen has no module venv or ensurepip. On Debian and Ubuntu: apt install $(venv_package "$chosen")"
    say "making $environment with $("$chosen" --version 2>&1)"
    # The mark comes first, so that what an interrupted run leaves is known as ours.
    mkdir -p "$environment"
    rm -f "$stamp_file"
    : >"$made_here"
    "$chosen" -m venv "$environment" >"$environment_log" 2>&1 ||
        fail "$chosen -m venv failed: $(tail -n 1 "$environment_log"). The whole output: $environment_log"
}

venv_package() {
    "$1" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])' 2>/dev/null || printf 'python3-venv\n'
}

# What the environment must hold: the two files that say so, its Python, and the place that the package is read from.
wanted_stamp() {
    "$python" -c '
import hashlib, pathlib, sys
root = pathlib.Path(sys.argv[1])
parts = [(root / "scripts" / "requirements.lock").read_bytes(), (root / "pyproject.toml").read_bytes()]
parts += [sys.version.encode(), str(root).encode()]
print(hashlib.sha256(b"\0".join(parts)).hexdigest())' "$root"
}

# Run pip with its output in the log, and say from time to time what it is at.
run_pip() {
    local process started=$SECONDS next=15
    "$python" -m pip --disable-pip-version-check --no-input "$@" >>"$environment_log" 2>&1 &
    process=$!
    # shellcheck disable=SC2064  # the number of this process, now
    trap "kill $process 2>/dev/null || true" EXIT
    while kill -0 "$process" 2>/dev/null; do
        sleep 0.2
        if [ $((SECONDS - started)) -ge $next ]; then
            next=$((next + 15))
            say "    $((SECONDS - started)) s: $(grep -E 'Collecting|Downloading|Using cached|Installing' "$environment_log" |
                tail -n 1 | sed -e 's/^ *//' | cut -c1-80 || true)"
        fi
    done
    trap - EXIT
    wait "$process"
}

explain_pip_failure() {
    if grep -qi 'no space left' "$environment_log"; then
        fail "the disk is full: packages need $NEEDED_MEGABYTES MB ($CUDA_MEGABYTES MB with a CUDA build of torch). Make room and run this again."
    fi
    if grep -qiE 'NewConnectionError|ConnectTimeout|ReadTimeout|name resolution|ProxyError|SSLError|Network is unreachable|\(from versions: none\)' "$environment_log"; then
        fail "pip could not reach a package index. Connect to the network (or set pip's index or proxy) and run this again; pip's output: $environment_log"
    fi
    fail "pip failed: $(grep -E '^ERROR: |[A-Z][A-Za-z]+Error: ' "$environment_log" | tail -n 1 | sed -e 's/^ *//' | cut -c1-200 || true)." \
        "The whole output: $environment_log"
}

prepare_environment() {
    local wanted
    make_environment
    wanted=$(wanted_stamp)
    [ "$(cat "$stamp_file" 2>/dev/null || true)" != "$wanted" ] || return 0
    check_disk
    say "installing the pinned packages into $environment (torch is large: 1 to 10 minutes; log: $environment_log)"
    rm -f "$stamp_file"
    : >"$environment_log"
    run_pip install --requirement "$root/scripts/requirements.lock" || explain_pip_failure
    run_pip install --no-deps --no-build-isolation --editable "$root" || explain_pip_failure
    printf '%s\n' "$wanted" >"$stamp_file"
}
