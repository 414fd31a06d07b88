#!/usr/bin/env bash
# Makes stand-ins for the official images from Debian's packages, under the official names:
# python:3.13-slim, postgres:17, redis:8, and those of the metrics. Only for machines that cannot pull from a registry, and
# only when asked for by name (`make test-cluster`, CI): `make up` never calls this.
#
# They are not the official images. They have what the cluster relies on: the same paths, user names,
# environment variables and entrypoints. Images that are here already are left alone.
set -euo pipefail

release=trixie
statsd_exporter=prom/statsd-exporter:v0.28.0
prometheus=prom/prometheus:v2.53.3
alertmanager=prom/alertmanager:v0.28.1
postgres_exporter=prometheuscommunity/postgres-exporter:v0.17.1
redis_exporter=oliver006/redis_exporter:v1.69.0
names=(
    python:3.13-slim postgres:17 redis:8
    "$statsd_exporter" "$prometheus" "$alertmanager" "$postgres_exporter" "$redis_exporter"
)
label=forex-warehouse.stand-in
base=$label:base

here() { docker image inspect "$1" >/dev/null 2>&1; }

missing=()
for name in "${names[@]}"; do
    here "$name" || missing+=("$name")
done
if [[ ${#missing[@]} == 0 ]]; then
    exit 0
fi
if [[ ${1:-} != --without-pull ]]; then
    for name in "${missing[@]}"; do
        timeout 60 docker pull --quiet "$name" 2>/dev/null || break
    done
    for name in "${names[@]}"; do
        here "$name" || break
        [[ $name == "${names[-1]}" ]] && exit 0
    done
fi

echo "No registry can be reached: making stand-ins from Debian packages for ${missing[*]}" >&2
[[ $EUID == 0 ]] || { echo "stand_in_images: making them needs root" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# debootstrap unpacks as root and chroots, which a container is not needed for.
make_base() {
    here "$base" && return
    command -v debootstrap >/dev/null || {
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends debootstrap >/dev/null
    }
    local mirror
    mirror=$(apt-get indextargets --format '$(SITE)' 'Identifier: Packages' | grep -m 1 '/debian/\?$')
    debootstrap --variant=minbase --include=ca-certificates "$release" "$work/root" "$mirror" >"$work/log" 2>&1 \
        || { tail "$work/log" >&2; exit 1; }
    # A machine behind a proxy of its own trusts more than Debian does.
    find /usr/local/share/ca-certificates -name '*.crt' \
        -exec cp {} "$work/root/usr/local/share/ca-certificates/" \;
    chroot "$work/root" update-ca-certificates >/dev/null 2>&1
    rm -rf "$work/root"/var/cache/apt/*.bin "$work/root"/var/cache/apt/archives/*.deb
    tar -C "$work/root" -c . | docker import --change "LABEL $label=true" - "$base" >/dev/null
}

# build NAME: a Dockerfile on standard input; what it copies lies in $work/context
build() {
    here "$1" && return
    cat >"$work/Dockerfile"
    DOCKER_BUILDKIT=1 docker build --quiet --label "$label=true" --tag "$1" \
        --file "$work/Dockerfile" "$work/context" >/dev/null
}

mkdir "$work/context"
cat >"$work/context/postgres-entrypoint.sh" <<'SCRIPT'
#!/bin/bash
# What the cluster uses of the official image's entrypoint, run by the user postgres.
set -Eeuo pipefail
umask 077

value() { # of NAME, or of the file that NAME_FILE names
    local file="$1_FILE"
    if [[ -n ${!file:-} ]]; then cat "${!file}"; else printf '%s' "${!1:-}"; fi
}

if [[ ${1:0:1} == - ]]; then set -- postgres "$@"; fi
if [[ $1 == postgres && ! -s $PGDATA/PG_VERSION ]]; then
    mkdir -p "$PGDATA"
    user=$(value POSTGRES_USER); user=${user:-postgres}
    database=$(value POSTGRES_DB); database=${database:-$user}
    PGPASSWORD=$(value POSTGRES_PASSWORD)
    export PGPASSWORD
    [[ -n $PGPASSWORD ]] || { echo "no POSTGRES_PASSWORD" >&2; exit 1; }
    eval "initdb --username=\"$user\" --pwfile=<(printf '%s\n' \"\$PGPASSWORD\") ${POSTGRES_INITDB_ARGS:-}"
    printf '\nhost all all all scram-sha-256\n' >>"$PGDATA/pg_hba.conf"
    pg_ctl --pgdata "$PGDATA" --options "-c listen_addresses='' -p 5432" --wait start
    if [[ $database != postgres ]]; then
        psql --no-psqlrc --username "$user" --dbname postgres --command "create database \"$database\""
    fi
    for file in /docker-entrypoint-initdb.d/*.sql; do
        [[ -e $file ]] && psql --no-psqlrc -v ON_ERROR_STOP=1 --username "$user" --dbname "$database" --file "$file"
    done
    pg_ctl --pgdata "$PGDATA" --mode fast --wait stop
    unset PGPASSWORD
fi
exec "$@"
SCRIPT
chmod 755 "$work/context/postgres-entrypoint.sh"

make_base
build python:3.13-slim <<DOCKERFILE
FROM $base
RUN apt-get update && apt-get install -y --no-install-recommends python3.13 python3.13-venv netbase tzdata \\
    && rm -rf /var/lib/apt/lists/* \\
    && python3.13 -m venv /usr/local && /usr/local/bin/python -m pip install --quiet --upgrade pip
ENV LANG=C.UTF-8
CMD ["python3"]
DOCKERFILE
build postgres:17 <<DOCKERFILE
FROM $base
RUN groupadd --system --gid 999 postgres && useradd --system --uid 999 --gid 999 --home-dir /var/lib/postgresql postgres \\
    && mkdir -p /etc/postgresql-common && echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf \\
    && apt-get update && apt-get install -y --no-install-recommends postgresql-17 && rm -rf /var/lib/apt/lists/* \\
    && sed -ri "s/^#?(listen_addresses\s*=\s*)\S+.*/\\1'*'/" /usr/share/postgresql/17/postgresql.conf.sample \\
    && mkdir -p /docker-entrypoint-initdb.d /var/run/postgresql /var/lib/postgresql/data \\
    && chown -R postgres:postgres /var/run/postgresql /var/lib/postgresql \\
    && chmod 3777 /var/run/postgresql && chmod 700 /var/lib/postgresql/data
COPY postgres-entrypoint.sh /usr/local/bin/docker-entrypoint.sh
ENV LANG=C.UTF-8 PG_MAJOR=17 PGDATA=/var/lib/postgresql/data PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/postgresql/17/bin
VOLUME /var/lib/postgresql/data
ENTRYPOINT ["docker-entrypoint.sh"]
STOPSIGNAL SIGINT
EXPOSE 5432
CMD ["postgres"]
DOCKERFILE
build redis:8 <<DOCKERFILE
FROM $base
RUN groupadd --system --gid 999 redis && useradd --system --uid 999 --gid 999 redis \\
    && apt-get update && apt-get install -y --no-install-recommends redis-server && rm -rf /var/lib/apt/lists/* \\
    && mkdir -p /data && chown redis:redis /data
VOLUME /data
WORKDIR /data
EXPOSE 6379
CMD ["redis-server"]
DOCKERFILE

# What watches. Debian's Prometheus, Alertmanager and exporters are the real ones; of the StatsD
# exporter there is no package, and what stands in for it is a program of this project.
# daemon NAME PACKAGES PROGRAM PORTS [STORE]
daemon() {
    build "$1" <<DOCKERFILE
FROM $base
RUN apt-get update && apt-get install -y --no-install-recommends $2 && rm -rf /var/lib/apt/lists/* \\
    && mkdir -p ${5:-/nonexistent} && chown nobody:nogroup ${5:-/nonexistent}
USER nobody
EXPOSE $4
ENTRYPOINT ["/usr/bin/$3"]
DOCKERFILE
}
daemon "$prometheus" "prometheus promtool" prometheus 9090 /prometheus
daemon "$alertmanager" prometheus-alertmanager prometheus-alertmanager 9093 /alertmanager
daemon "$postgres_exporter" prometheus-postgres-exporter prometheus-postgres-exporter 9187
daemon "$redis_exporter" prometheus-redis-exporter prometheus-redis-exporter 9121
cp "$(dirname "$0")/statsd_stand_in.py" "$work/context/"
build "$statsd_exporter" <<DOCKERFILE
FROM $base
RUN apt-get update && apt-get install -y --no-install-recommends python3-yaml && rm -rf /var/lib/apt/lists/*
COPY statsd_stand_in.py /usr/local/bin/statsd_stand_in.py
USER nobody
EXPOSE 9102 9125/udp
ENTRYPOINT ["python3", "-u", "/usr/local/bin/statsd_stand_in.py"]
DOCKERFILE
