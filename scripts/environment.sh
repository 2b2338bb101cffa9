# Sourced by the other scripts: makes .venv in the project's folder, and puts the package and what it needs into it.
# PYTHON names another Python; LLAMALET_WHEEL_INDEX an index of prebuilt llama-cpp-python wheels, which saves the build.

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
venv=.venv
[ -d "$venv/Scripts" ] && bin=$venv/Scripts || bin=$venv/bin

die() { printf '%s\n' "$@" >&2; exit 1; }

fits() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null; }

find_python() {
    for name in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11 python}; do
        if fits "$name"; then echo "$name"; return; fi
    done
    die "llamalet needs Python 3.11 to 3.14, and none was found." "Install one, or name it: PYTHON=/path/to/python $0"
}

# Runs a command into a log, and shows every few seconds that it is alive; on failure, the end of the log.
watched() {
    what=$1; shift
    log=$venv/install.log
    "$@" >"$log" 2>&1 &
    pid=$!
    trap 'kill "$pid" 2>/dev/null; exit 130' INT TERM
    started=$SECONDS
    while kill -0 "$pid" 2>/dev/null; do
        sleep 1
        elapsed=$((SECONDS - started))
        if [ -t 2 ]; then printf '\r%s ... %d s ' "$what" "$elapsed" >&2
        elif [ $((elapsed % 20)) -eq 0 ]; then printf '%s ... %d s\n' "$what" "$elapsed" >&2
        fi
    done
    [ -t 2 ] && printf '\n' >&2
    trap - INT TERM
    wait "$pid" || { tail -n 40 "$log" >&2; die "" "$what failed; the whole log is in $log."; }
}

# ensure REQUIREMENT...: an environment that has them; it is only added to when the project file or the list is new.
ensure() {
    python=$(find_python) || exit 1
    stamp=$venv/installed-$(printf '%s' "$*" | cksum | cut -d ' ' -f 1)
    wanted="$("$python" --version) $* $(cksum pyproject.toml)"
    [ -x "$bin/python" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && return
    if ! [ -x "$bin/python" ] || [ "$("$bin/python" --version)" != "$("$python" --version)" ]; then
        "$python" -m venv --clear "$venv" || die "Python could not make an environment (on Debian: apt install python3-venv)."
        [ -d "$venv/Scripts" ] && bin=$venv/Scripts || bin=$venv/bin
    fi
    options="--prefer-binary"
    if [ -n "${LLAMALET_WHEEL_INDEX:-}" ]; then
        options="$options --only-binary llama-cpp-python --extra-index-url $LLAMALET_WHEEL_INDEX"
    elif ! "$bin/python" -c 'import llama_cpp' 2>/dev/null; then
        command -v c++ >/dev/null || command -v g++ >/dev/null || command -v clang++ >/dev/null || command -v cl >/dev/null || die \
            "llama.cpp must be built, and no C++ compiler was found (on Debian: apt install build-essential)." \
            "Or name an index of prebuilt wheels: LLAMALET_WHEEL_INDEX=https://... $0"
        echo "Installing. Building llama.cpp takes 3 to 6 minutes on 2 cores, once." >&2
    fi
    watched "installing" "$bin/python" -m pip install --disable-pip-version-check $options "$@"
    "$bin/python" -c 'from runtime.engine.binary import check; found = check(); exit(found.problem or " ".join(found.missing) or 0)' ||
        die "This llama.cpp was built for another CPU, or is broken; docs/install.md has what to do."
    printf '%s' "$wanted" >"$stamp"
}

# JavaScript packages that tests/clients uses, where npm is. Without them their tests skip, so a failure is only told.
ensure_node_packages() {
    stamp=tests/clients/node_modules/installed
    wanted=$(cat tests/clients/package.json tests/clients/package-lock.json | cksum)
    command -v npm >/dev/null || return 0
    [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && return
    echo "Installing the JavaScript packages that the tests use: 0.4 GB, once." >&2
    if npm ci --prefix tests/clients --ignore-scripts --no-audit --no-fund --loglevel=error \
        --fetch-retries=1 --fetch-retry-mintimeout=1000 --fetch-retry-maxtimeout=1000 >"$venv/npm.log" 2>&1; then
        printf '%s' "$wanted" >"$stamp"
    else
        echo "npm could not install the packages of tests/clients ($venv/npm.log says why): its tests will skip." >&2
    fi
}

# Python packages that tests/clients uses, each list in an environment of its own: they need other versions than we do,
# and than each other. Without them their tests skip.
ensure_client_environments() {
    for list in tests/clients/*.txt; do
        place=.cache/clients/$(basename "$list" .txt)
        wanted="$("$bin/python" --version) $(cksum <"$list")"
        [ "$(cat "$place/installed" 2>/dev/null)" = "$wanted" ] && continue
        echo "Installing the Python packages of $list, once." >&2
        rm -rf "$place"
        if "$bin/python" -m venv --without-pip "$place" && "$bin/python" -m pip --python "$place" install \
            --disable-pip-version-check --prefer-binary --retries 1 -r "$list" >"$venv/clients.log" 2>&1; then
            printf '%s' "$wanted" >"$place/installed"
        else
            echo "pip could not install the packages of $list ($venv/clients.log says why): its tests will skip." >&2
            rm -rf "$place"
        fi
    done
}

# The JSON Schema Test Suite, which is in the source of jsonschema. Without it those tests skip, so a failure is only told.
ensure_schema_suite() {
    suite=.cache/json-schema-test-suite
    [ -d "$suite" ] && return
    fetched=$(mktemp -d)
    if "$bin/python" -m pip download --disable-pip-version-check --quiet --retries 1 --no-deps --no-binary jsonschema \
        --dest "$fetched" jsonschema==4.26.0 >"$venv/suite.log" 2>&1 &&
        tar -xzf "$fetched"/jsonschema-*.tar.gz -C "$fetched" && mkdir -p .cache; then
        mv "$fetched"/jsonschema-*/json/tests "$suite"
    else
        echo "The JSON Schema Test Suite could not be fetched ($venv/suite.log says why): its tests will skip." >&2
    fi
    rm -rf "$fetched"
}
