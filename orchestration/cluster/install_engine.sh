#!/usr/bin/env bash
# Installs a container engine from Debian packages and starts it: for a throw-away Debian machine
# (a CI runner) that has none. Needs root. Does nothing where an engine with Compose answers already.
set -euo pipefail

compose_release=trixie # whose Compose and buildx plugins are taken; bookworm has none
plugins=/usr/local/lib/docker/cli-plugins
log=/var/log/dockerd.log

complain() {
    echo "install_engine: $*" >&2
    exit 1
}

engine_answers() { docker version >/dev/null 2>&1; }
has_plugins() { docker compose version >/dev/null 2>&1 && docker buildx version >/dev/null 2>&1; }

install_packages() {
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        docker.io iptables ca-certificates openssh-client >/dev/null
}

# The plugins come from another release of Debian, with an apt configuration of its own, so that
# the machine's own stays as it is. The same mirror is asked.
install_plugins() {
    local folder mirror package
    folder=$(mktemp -d)
    mirror=$(apt-get indextargets --format '$(SITE)' 'Identifier: Packages' | grep -m 1 '/debian/\?$')
    mkdir -p "$folder"/{lists/partial,cache/archives/partial,unpacked} "$plugins"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $compose_release main" \
        >"$folder/sources.list"
    (
        cd "$folder"
        apt() {
            apt-get -qq -o "Dir::Etc::sourcelist=$folder/sources.list" -o Dir::Etc::sourceparts=/dev/null \
                -o "Dir::State::lists=$folder/lists" -o "Dir::Cache=$folder/cache" \
                -o APT::Sandbox::User=root "$@"
        }
        apt update
        apt download docker-compose docker-buildx
        for package in ./*.deb; do
            dpkg-deb -x "$package" unpacked
        done
        install -m 755 unpacked/usr/libexec/docker/cli-plugins/docker-{compose,buildx} "$plugins"
    )
    rm -rf "$folder"
}

start_engine() {
    # Needs no init system; the engine goes on when this script ends.
    setsid dockerd >"$log" 2>&1 </dev/null &
    for _ in $(seq 60); do
        engine_answers && return
        sleep 0.5
    done
    tail -n 20 "$log" >&2
    complain "the engine does not start; see $log"
}

if engine_answers && has_plugins; then
    exit 0
fi
[[ $EUID == 0 ]] || complain "no container engine answers, and installing one needs root"
command -v apt-get >/dev/null || complain "no container engine answers, and this is no Debian machine"
command -v dockerd >/dev/null || install_packages
has_plugins || install_plugins
engine_answers || start_engine
docker version --format 'engine {{.Server.Version}}'
docker compose version
