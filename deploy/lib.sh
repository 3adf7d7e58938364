# Shell functions that deploy/demo, tests/run and perf/run share. To be sourced by bash, with $top
# set to the source tree.

die() {
    echo "$(basename "$0"): $*" >&2
    exit 1
}

need_root() {
    [ "$(id -u)" = 0 ] || die "network namespaces and packet sockets need root; run it as root"
}

# install_packages GROUP...: those of deploy/packages.txt that are missing.
install_packages() {
    local wanted missing=() package
    wanted=$(awk -v groups=" $* " 'index(groups, " " $1 " ") { print $2 }' "$top/deploy/packages.txt")
    for package in $wanted; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
            missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    command -v apt-get >/dev/null || die "install these packages first: ${missing[*]}"
    [ "$(id -u)" = 0 ] || die "these packages are missing; as root: apt-get install ${missing[*]}"
    echo "Installing Debian packages: ${missing[*]}"
    local log
    log=$(mktemp)
    if ! { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y \
        --no-install-recommends -o DPkg::Lock::Timeout=300 "${missing[@]}"; } >"$log" 2>&1 </dev/null; then
        tail -n 20 "$log" >&2
        rm -f "$log"
        die "apt-get failed; see above"
    fi
    rm -f "$log"
}

readonly programs='sluice-dataplane sluice-controlplane ipfw'

# build_tree DIRECTORY TARGETS [OPTION OF MESON SETUP]...: sets it up if it is new, and compiles the
# targets, or everything if that is empty. Two runs in the same tree wait for each other.
build_tree() {
    local directory=$1 targets=$2 log
    shift 2
    mkdir -p "$directory"
    log=$directory/build-output.txt
    (
        flock 9
        if [ ! -f "$directory/build.ninja" ]; then
            meson setup "$directory" "$top" "$@" >"$log" 2>&1 </dev/null ||
                { tail -n 30 "$log" >&2; exit 1; }
        fi
        # $targets is a list of words.
        meson compile -C "$directory" $targets >"$log" 2>&1 </dev/null ||
            { grep -A 20 -E '^FAILED|error: ' "$log" | head -n 60 >&2; exit 1; }
    ) 9>"$directory/.lock"
}
