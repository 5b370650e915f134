#!/bin/bash
# Start a real Tryton 6.0 ERP on loopback, filled with a small company.
#
#   start.sh [PORT] [DIR]          defaults: 18069  /tmp/headrace-tryton-PORT
#   eval "$(./start.sh 18069)"     stdout carries only NAME=value lines
#
# Knobs (environment):
#   TRYTON_BACKEND   postgresql (default) | sqlite
#   TRYTON_FRONT     uwsgi   (default) Debian's packaged shape: http-socket
#                    uwsgi11 uWSGI with HTTP keep-alive
#                    dev     trytond's own werkzeug server, thread per request
#   TRYTON_PROCESSES 1   TRYTON_THREADS 4      (Debian's packaged numbers)
#   TRYTON_WORKER    0 | 1   run trytond-worker, so that `confirm` only queues
#   TRYTON_LISTEN    100     uWSGI listen backlog
#   TRYTON_HARAKIRI  empty   uWSGI: kill a request after that many seconds
#   TRYTON_SESSION_TIMEOUT 300   seconds a session stays "fresh"
#   TRYTON_FSYNC     on | off    PostgreSQL durability
#   TRYTON_PG_OPTIONS  empty     more for the postgres command line
#   TRYTON_KEEP      1: restart on the data already in DIR instead of a
#                    fresh copy (after a stop or a crash)
#   TRYTON_CACHE     where prepared databases are kept
#                    (/var/tmp/headrace-tryton-cache-UID)
#   SHOP_CUSTOMERS / SHOP_PRODUCTS / SHOP_STOCK / SHOP_GATEWAY_USERS
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
port=${1:-18069}
dir=${2:-/tmp/headrace-tryton-$port}
backend=${TRYTON_BACKEND:-postgresql}
front=${TRYTON_FRONT:-uwsgi}
processes=${TRYTON_PROCESSES:-1}
threads=${TRYTON_THREADS:-4}
worker=${TRYTON_WORKER:-0}
db=headrace
# Test credentials for a loopback throw-away server; nothing secret here.
admin_pw=${TRYTON_ADMIN_PASSWORD:-Headrace-admin-93x}
gateway_pw=${TRYTON_GATEWAY_PASSWORD:-sluice-Gate-42}
cache=${TRYTON_CACHE:-/var/tmp/headrace-tryton-cache-$(id -u)}
modules="sale_credit_limit sale_supply sale_stock_quantity web_user"
packages="tryton-server tryton-modules-sale tryton-modules-sale-credit-limit
    tryton-modules-sale-supply tryton-modules-sale-stock-quantity
    tryton-modules-purchase tryton-modules-web-user
    python3-psycopg2 uwsgi-core uwsgi-plugin-python3 curl procps"
PY=/usr/bin/python3        # Debian's, not whatever is first in PATH

say() { echo "tryton: $*" >&2; }
die() { say "$*"; exit 1; }
case $dir in /*) ;; *) dir=$PWD/$dir ;; esac
case $dir in *[!A-Za-z0-9._/-]*) die "plain characters only in DIR" ;; esac

# --- packages --------------------------------------------------------------
pgbin=
for d in /usr/lib/postgresql/15/bin /usr/lib/postgresql/*/bin /usr/local/bin
do
    if [ -x "$d/initdb" ] && [ -x "$d/postgres" ]; then pgbin=$d; break; fi
done
missing=
for p in $packages; do
    dpkg-query -W -f '${db:Status-Abbrev}' "$p" 2>/dev/null \
        | grep -q '^ii' || missing="$missing $p"
done
if [ "$backend" = postgresql ] && [ -z "$pgbin" ]; then
    missing="$missing postgresql"
fi
if [ -n "$missing" ]; then
    [ "$(id -u)" = 0 ] || die "as root: apt-get install$missing"
    say "installing:$missing"
    export DEBIAN_FRONTEND=noninteractive
    case $missing in *postgresql*)
        mkdir -p /etc/postgresql-common
        [ -e /etc/postgresql-common/createcluster.conf ] || echo \
            'create_main_cluster = false' \
            > /etc/postgresql-common/createcluster.conf ;;
    esac
    # a freshly installed trytond must not start on its own
    blocked=
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
        chmod 755 /usr/sbin/policy-rc.d
        blocked=1
    fi
    aptlog=$(mktemp)
    {
        apt-get -qq update || true
        # --force-unsafe-io: no fsync per file, several times faster
        apt-get -y -qq --no-install-recommends \
            -o Dpkg::Options::=--force-unsafe-io install $missing
    } > "$aptlog" 2>&1 || { tail -20 "$aptlog" >&2; die "apt failed"; }
    rm -f "$aptlog"
    if [ -n "$blocked" ]; then rm -f /usr/sbin/policy-rc.d; fi
    for d in /usr/lib/postgresql/*/bin; do
        if [ -x "$d/initdb" ]; then pgbin=$d; fi
    done
fi

# --- who runs it -------------------------------------------------------------
# PostgreSQL refuses to run as root, so everything runs as "tryton" (the
# user the Debian package creates).
if [ "$(id -u)" = 0 ]; then
    owner=tryton
    as() { runuser -u tryton -- "$@"; }
else
    owner=$(id -un)
    as() { "$@"; }
fi

# --- is it running already? --------------------------------------------------
running() {             # ended but not yet collected counts as gone
    local state
    state=$(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$1/status" \
        2>/dev/null) || true
    [ -n "$state" ] && [ "$state" != Z ]
}
alive() { [ -s "$1" ] && running "$(head -1 "$1")"; }
version_of() {
    curl -s -m 5 -H 'Content-Type: application/json' \
        -d '{"id":0,"method":"common.server.version","params":[]}' \
        "http://127.0.0.1:$1/" 2>/dev/null || true
}
answer() {
    cat <<EOF
TRYTON_URL=http://127.0.0.1:$port
TRYTON_DB=$db
TRYTON_RPC=http://127.0.0.1:$port/$db/
TRYTON_ADMIN=admin
TRYTON_ADMIN_PASSWORD=$admin_pw
TRYTON_USER=gateway
TRYTON_PASSWORD=$gateway_pw
TRYTON_OUTSIDER=outsider
TRYTON_DIR=$dir
TRYTON_PID=$(head -1 "$dir/front.pid")
EOF
}
pg_start() {            # extra server options as arguments
    # after a kill -9: a lock file that names nobody
    if [ -s "$dir/pg/postmaster.pid" ] && ! alive "$dir/pg/postmaster.pid"
    then
        rm -f "$dir/pg/postmaster.pid" "$sock/.s.PGSQL.5432.lock"
    fi
    as "$pgbin/pg_ctl" -D "$dir/pg" -l "$dir/pg.log" -s -w -t 60 \
        -o "-k $sock -c listen_addresses='' -c max_connections=300 $*" start \
        >&2 || { tail -5 "$dir/pg.log" >&2; die "PostgreSQL did not start"; }
}
if alive "$dir/front.pid" && version_of "$port" | grep -q '"result":"6'; then
    if [ "$backend" = postgresql ] && ! alive "$dir/pg/postmaster.pid"; then
        say "starting PostgreSQL again in $dir"
        sock=$(cat "$dir/sock")
        pg_start -c fsync="${TRYTON_FSYNC:-on}" ${TRYTON_PG_OPTIONS:-}
    fi
    say "already running in $dir"
    answer
    exit 0
fi
if [ -n "$(version_of "$port")" ]; then
    die "port $port is taken by something else"
fi

# --- directory ---------------------------------------------------------------
if [ -e "$dir" ] && [ ! -e "$dir/.headrace-tryton" ] \
        && [ -n "$(ls -A "$dir" 2>/dev/null)" ]; then
    die "$dir exists and is not ours"
fi
[ -e "$dir/.headrace-tryton" ] && "$here/stop.sh" "$dir"
mkdir -p "$dir"
touch "$dir/.headrace-tryton"
chown "$owner" "$dir"
chmod 700 "$dir"
as test -w "$dir" || die "user $owner cannot reach $dir; choose one in /tmp"
sock=$dir
if [ ${#dir} -gt 80 ]; then          # a socket path holds 107 characters
    sock=$(as mktemp -d /tmp/hrXXXXXX)
fi
echo "$sock" > "$dir/sock"

conf=$dir/trytond.conf
write_conf() {          # $1 = directory of the database
    {
        echo "[web]"
        echo "listen = 127.0.0.1:$port"
        echo "root ="
        echo "[database]"
        if [ "$backend" = sqlite ]; then
            echo "uri = sqlite://"
        else
            echo "uri = postgresql://tryton@/?host=$sock"
        fi
        echo "path = $dir/data"
        echo "[session]"
        echo "timeout = ${TRYTON_SESSION_TIMEOUT:-300}"
        echo "[queue]"
        echo "worker = $([ "$worker" = 1 ] && echo True || echo False)"
        echo "[email]"
        echo "uri = smtp://127.0.0.1:9"
    } > "$conf"
    chown "$owner" "$conf"
}

pg_stop() { as "$pgbin/pg_ctl" -D "$dir/pg" -s -m fast -w stop >&2; }

front_start() {
    local front=$1
    local env="TRYTOND_CONFIG=$conf PYTHONOPTIMIZE=1 PYTHONWARNINGS=ignore"
    case $front in
    dev)
        as env $env setsid $PY /usr/bin/trytond -c "$conf" -d $db \
            > "$dir/front.log" 2>&1 < /dev/null &
        ;;
    *)
        local how=--http-socket
        if [ "$front" = uwsgi11 ]; then how=--http11-socket; fi
        as env $env TRYTOND_DATABASE_NAMES=$db setsid uwsgi \
            --plugins python3 --wsgi trytond.application:app \
            --master --need-app --die-on-term \
            $how "127.0.0.1:$port" --listen "${TRYTON_LISTEN:-100}" \
            --processes "$processes" --threads "$threads" \
            ${TRYTON_HARAKIRI:+--harakiri $TRYTON_HARAKIRI} \
            --procname-prefix "headrace-tryton-$port " \
            --disable-logging --pidfile "$dir/uwsgi.pid" \
            > "$dir/front.log" 2>&1 < /dev/null &
        ;;
    esac
    local launcher=$! i
    for i in $(seq 1 1200); do
        version_of "$port" | grep -q '"result":"6' && break
        running $launcher || break
        sleep 0.05
    done
    version_of "$port" | grep -q '"result":"6' || {
        tail -15 "$dir/front.log" >&2
        die "the server did not come up"
    }
    if [ "$front" = dev ]; then
        pgrep -u "$owner" -f "/usr/bin/trytond -c $conf" | tail -1 \
            > "$dir/front.pid"
    else
        cp "$dir/uwsgi.pid" "$dir/front.pid"
    fi
}

# --- a prepared database, kept for the next time ------------------------------
key=$({
    cat "$here/setup.py" "$here/trytonrpc.py"
    echo "$modules $backend $admin_pw $gateway_pw $(date +%Y)"
    echo "${SHOP_CUSTOMERS:-} ${SHOP_PRODUCTS:-} ${SHOP_STOCK:-}" \
        "${SHOP_GATEWAY_USERS:-}"
    dpkg-query -W -f '${Package} ${Version}\n' 'tryton-*' 2>/dev/null
    if [ "$backend" = postgresql ]; then "$pgbin/postgres" --version; fi
} | sha256sum | cut -c1-16)
template=$cache/$backend-$key

if [ "${TRYTON_KEEP:-0}" = 1 ] && [ -d "$dir/pg" -o -d "$dir/data" ]; then
    say "keeping the data in $dir"
    write_conf
    if [ "$backend" = postgresql ]; then
        pg_start -c fsync="${TRYTON_FSYNC:-on}" ${TRYTON_PG_OPTIONS:-}
    fi
else
    rm -rf "$dir/pg" "$dir/data"
    write_conf
    mkdir -p "$cache"
    chmod 755 "$cache"
    exec 9> "$cache/lock"
    flock 9
    if [ ! -d "$template" ]; then
        say "preparing a database ($backend); kept in $template"
        t0=$SECONDS
        as mkdir -p "$dir/data"
        if [ "$backend" = postgresql ]; then
            as "$pgbin/initdb" -D "$dir/pg" -U tryton -E UTF8 \
                --locale=C.UTF-8 --auth=trust --no-sync \
                > "$dir/initdb.log" 2>&1 9>&- || {
                    tail -5 "$dir/initdb.log" >&2; die "initdb failed"; }
            pg_start -c fsync=off -c full_page_writes=off \
                -c synchronous_commit=off -c wal_level=minimal \
                -c max_wal_senders=0 \
                -c autovacuum_naptime=1 -c autovacuum_analyze_threshold=20 \
                -c autovacuum_analyze_scale_factor=0.05 9>&-
            as psql -q -h "$sock" -U tryton -d postgres \
                -c "create database $db" >&2
        else
            # trytond-admin wants the file to be there
            as touch "$dir/data/$db.sqlite"
        fi
        as sh -c "umask 077; printf '%s\n' '$admin_pw' > '$dir/pass'"
        as env TRYTONPASSFILE="$dir/pass" PYTHONWARNINGS=ignore \
            $PY /usr/bin/trytond-admin -c "$conf" -d $db -u $modules \
            --activate-dependencies --email admin@example.invalid \
            > "$dir/init.log" 2>&1 9>&- || {
                tail -15 "$dir/init.log" >&2; die "trytond-admin failed"; }
        rm -f "$dir/pass"
        say "modules in after $((SECONDS - t0)) s"
        front_start dev 9>&-
        PYTHONDONTWRITEBYTECODE=1 $PY "$here/setup.py" 127.0.0.1 "$port" \
            $db "$admin_pw" "$gateway_pw" >&2 9>&-
        kill "$(cat "$dir/front.pid")"
        for i in $(seq 1 100); do
            alive "$dir/front.pid" || break
            sleep 0.05
        done
        rm -f "$dir/front.pid"
        if [ "$backend" = postgresql ]; then
            as psql -q -h "$sock" -U tryton -d $db -c 'delete from ir_session' \
                -c 'vacuum analyze' -c checkpoint >&2 9>&-
            pg_stop
        fi
        rm -rf "$template.new"
        mkdir -p "$template.new"
        for d in pg data; do
            if [ -d "$dir/$d" ]; then cp -a "$dir/$d" "$template.new/"; fi
        done
        mv "$template.new" "$template"
        say "prepared in $((SECONDS - t0)) s"
    else
        for d in pg data; do
            if [ -d "$template/$d" ]; then
                cp -a --reflink=auto "$template/$d" "$dir/"
            fi
        done
    fi
    flock -u 9
    exec 9>&-
    chown "$owner" "$dir"
    if [ "$backend" = postgresql ]; then
        pg_start -c fsync="${TRYTON_FSYNC:-on}" ${TRYTON_PG_OPTIONS:-}
    fi
fi

front_start "$front"
if [ "$worker" = 1 ]; then
    as env PYTHONOPTIMIZE=1 PYTHONWARNINGS=ignore setsid \
        $PY /usr/bin/trytond-worker -c "$conf" -d $db -n 1 \
        > "$dir/worker.log" 2>&1 < /dev/null &
    sleep 0.3
    pgrep -u "$owner" -f "/usr/bin/trytond-worker -c $conf" | head -1 \
        > "$dir/worker.pid"
fi
say "up on 127.0.0.1:$port ($backend, $front, ${processes}x$threads)"
answer
