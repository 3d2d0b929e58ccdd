# Sourced by the scripts beside this file: where the project is, and a virtual environment that fits it.
#
#   root                          the project's folder, whatever the current folder and however many symlinks led here
#   prepare_environment EXTRA...  makes or completes $venv; without work to do it takes some milliseconds and no network
#
# $venv may be set to another folder first. $PYTHON may name the interpreter for a new environment; an existing one keeps
# its own. Standard output and standard input are left alone: they belong to the program that the script runs.

root=$(dirname "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")")
venv=$root/.venv

say() {
    printf '%s\n' "$*" >&2
}

is_suitable() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 10))' </dev/null >/dev/null 2>&1
}

find_python() {
    local candidate
    if [[ -n ${PYTHON:-} ]]; then
        is_suitable "$PYTHON" && printf '%s\n' "$PYTHON" && return
        say "PYTHON=$PYTHON does not run or is older than Python 3.10; name another, or unset PYTHON"
        return 1
    fi
    for candidate in python3 python3.14 python3.13 python3.12 python3.11 python3.10; do
        is_suitable "$candidate" && printf '%s\n' "$candidate" && return
    done
    say "no Python 3.10 or newer found as python3 or python3.N; install one, or name it: PYTHON=/path/to/python3 $0"
    return 1
}

run_quietly() {
    local output
    output=$("$@" 2>&1 </dev/null) && return
    say "$output"
    say "failed: $*"
    return 1
}

# The extras asked for and those already there, so that two scripts taking turns do not undo each other's work.
join_extras() {
    {
        printf '%s\n' "$@"
        [[ ! -f $venv/stamp ]] || sed -n 's/^extras //p' "$venv/stamp" | tr ',' '\n'
    } | sed '/^$/d' | sort -u | paste -sd, -
}

# The place counts because scripts in an environment hold its absolute path: a copied project needs a new one.
print_identity() {
    printf 'root %s\npython %s\n' "$root" "$("$venv/bin/python" -V 2>&1)"
}

print_stamp() {
    print_identity
    printf 'project %s\nextras %s\n' "$(cksum <"$root/pyproject.toml")" "$1"
}

is_prepared() {
    [[ -x $venv/bin/python && -f $venv/stamp && $(print_stamp "$1") == "$(cat "$venv/stamp")" ]]
}

is_reusable() {
    [[ -x $venv/bin/python ]] || return 1
    if [[ -f $venv/stamp ]]; then
        [[ $(print_identity) == "$(head -n 2 "$venv/stamp")" ]]
    else  # made by hand, or the last preparation was cut short
        is_suitable "$venv/bin/python" && "$venv/bin/python" -m pip --version </dev/null >/dev/null 2>&1
    fi
}

create_venv() {
    local python
    python=$(find_python) || return 1
    if ! "$python" -c 'import venv, ensurepip' </dev/null >/dev/null 2>&1; then
        say "$python has no venv module; install it (on Debian and Ubuntu: apt install python3-venv), or name another: PYTHON=/path/to/python3 $0"
        return 1
    fi
    run_quietly "$python" -m venv --clear "$venv"
}

build_environment() {
    local extras=$1
    say "preparing ${venv##*/} …"
    is_reusable || create_venv || return 1
    rm -f "$venv/stamp"
    run_quietly "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
        --editable "$root${extras:+[$extras]}" || return 1
    # An editable install leaves out what belongs beside the package: the kernelspec that Jupyter looks for.
    if "$venv/bin/python" -c 'import jupyter_client' </dev/null >/dev/null 2>&1; then
        run_quietly "$venv/bin/python" -m rpyc_kernel jupyter install --prefix "$venv" || return 1
    fi
    print_stamp "$extras" >"$venv/stamp.new" && mv "$venv/stamp.new" "$venv/stamp"
}

# The lock is held by a subshell: a descriptor kept open here would be inherited by every kernel that is started later.
prepare_environment() {
    is_prepared "$(join_extras "$@")" && return
    (
        if command -v flock >/dev/null; then flock 9; fi
        extras=$(join_extras "$@")  # again: whoever held the lock may have added some
        is_prepared "$extras" || build_environment "$extras"
    ) 9>"$root/.venv.lock"
}
