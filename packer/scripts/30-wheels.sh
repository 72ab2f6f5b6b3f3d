#!/usr/bin/env bash
# Install the locked wheels, if the environment has any, into /opt/dask from the uploaded ones. Without conda packages,
# the environment is a virtual one of the base image's Python, or of the uploaded one, which goes to /opt/python.
set -euo pipefail

root=${DASK_BAKE_ROOT:-} # tests set it to a folder
payload=$root$DASK_BAKE_PAYLOAD
test -e "$payload/wheels.tar" || exit 0
echo "PHASE: install wheels"
prefix=$root/opt/dask
own=$root/opt/python
owner=${SUDO_USER:-root}
wheels=$root/var/tmp/dask-bake-wheels

rm -rf "$wheels"
install -d -o "$owner" -m 0755 "$wheels"
tar --extract --no-same-owner --file "$payload/wheels.tar" --directory "$wheels"
rm "$payload/wheels.tar"

if [ ! -d "$prefix/conda-meta" ]; then
    wanted=$(sed -n 's/^# python: //p' "$payload/pip.lock")
    python=python3
    if [ -e "$payload/python.tar.gz" ]; then
        # The same archive as was locked; root owns its files, and nobody else can write them.
        digest=$(sed -n 's/^# interpreter: [^ ]* //p' "$payload/pip.lock")
        echo "$digest  $payload/python.tar.gz" | sha256sum --check --strict --status || {
            echo "wheels: the archive of Python $wanted is not the one in pip.lock" >&2
            exit 1
        }
        rm -rf "$own"
        install -d -m 0755 "$own"
        tar --extract --gzip --no-same-owner --strip-components 1 --file "$payload/python.tar.gz" --directory "$own"
        chmod -R go-w "$own"
        rm "$payload/python.tar.gz"
        python=$own/bin/python${wanted%.*}
    fi
    found=$("$python" -IBc 'import platform; print(platform.python_version())')
    if [ "${found%.*}" != "${wanted%.*}" ]; then
        echo "wheels: pip.lock is for Python $wanted, the base image has $found: choose another --base" >&2
        exit 1
    fi
    if [ "$python" != python3 ]; then # as in 40-compile.sh: no node can write its bytecode
        "$python" -IB "$payload/compile_sources.py" "$own/lib/python${wanted%.*}"
    fi
    rm -rf "$prefix"
    install -d -o "$owner" -m 0755 "$prefix"
    runuser -u "$owner" -- "$python" -m venv --without-pip "$prefix"
fi
install_by_uv() {
    local tool=$wheels/uv link=hardlink cache=$prefix/.uv room needed
    # uv unpacks wheels into its cache. In memory it costs a copy of each file, on disk the removal, which takes longer.
    room=$(df --output=avail --block-size=1M /dev/shm | tail -n 1)
    needed=$((5 * $(du --summarize --block-size=1M "$wheels" | cut -f 1)))
    if [ "$room" -gt "$needed" ]; then
        link=copy
        cache=$(runuser -u "$owner" -- mktemp -d /dev/shm/dask-bake-uv.XXXXXX)
        # shellcheck disable=SC2064  # the path of now
        trap "rm -rf '$cache'" EXIT
    fi
    install -d -o "$owner" -m 0755 "$tool"
    tar --extract --no-same-owner --file "$payload/uv.tar" --directory "$tool"
    python3 -m zipfile --extract "$tool"/uv-*.whl "$tool"
    chmod 0755 "$tool"/uv-*.data/scripts/uv
    runuser -u "$owner" -- env HOME="$wheels" "$tool"/uv-*.data/scripts/uv pip install --python "$prefix/bin/python" \
        --offline --no-index --find-links "$wheels" --require-hashes --no-deps --no-build --no-config \
        --cache-dir "$cache" --link-mode "$link" --quiet --requirement "$payload/pip.lock"
    rm -rf "$cache" "$prefix/.lock" "$payload/uv.tar"
}

install_by_pip() {
    local pip=(-m pip)
    if ! "$prefix/bin/python" -B -c 'import pip' 2>/dev/null; then # -B: the owner could not replace root's bytecode
        pip=("$wheels"/pip-*.whl)
        pip=("${pip[0]}/pip")
    fi
    runuser -u "$owner" -- env HOME="$wheels" PYTHONDONTWRITEBYTECODE=1 "$prefix/bin/python" "${pip[@]}" install \
        --no-index --find-links "$wheels" --require-hashes --no-deps --no-compile \
        --no-cache-dir --disable-pip-version-check --quiet \
        --requirement "$payload/pip.lock"
}

# uv takes a third of pip's time. It is missing where the index that the wheels come from does not have it.
if [ -e "$payload/uv.tar" ]; then install_by_uv; else install_by_pip; fi
rm -rf "$wheels"

"$prefix/bin/python" --version
