#!/bin/sh
# Makes one cluster of empty nodes: the first half become primaries, each of the others the replica of one of them. Waits
# until the cluster is usable. Does nothing to a cluster that exists.
#
#     sh create-cluster.sh ADDRESS:PORT ADDRESS:PORT …      (IP addresses; CLUSTER MEET takes no names)
set -eu

node() { # ADDRESS:PORT COMMAND…
    target=$1
    shift
    valkey-cli -e -h "${target%:*}" -p "${target##*:}" "$@"
}

fact() { # ADDRESS:PORT NAME: one line of CLUSTER INFO
    node "$1" CLUSTER INFO | tr -d '\r' | sed -n "s/^$2://p"
}

wait_until() { # WHAT COMMAND…
    what=$1
    shift
    tries=0
    until "$@"; do
        tries=$((tries + 1))
        if [ "$tries" -gt 300 ]; then
            echo "waited in vain: $what" >&2
            exit 1
        fi
        sleep 0.2
    done
}

answers() { # ADDRESS:PORT
    node "$1" PING >/dev/null 2>&1
}

all_known() {
    for each in $nodes; do
        [ "$(fact "$each" cluster_known_nodes)" = "$count" ] || return 1
    done
}

known_to() { # ADDRESS:PORT ID
    node "$1" CLUSTER NODES | grep "^$2 " | grep -qv handshake
}

all_usable() {
    for each in $nodes; do
        [ "$(fact "$each" cluster_state)" = ok ] || return 1
        [ "$(fact "$each" cluster_slots_ok)" = 16384 ] || return 1
        [ "$(node "$each" CLUSTER NODES | grep -c 'slave ')" = "$((count - primaries))" ] || return 1
    done
}

in_sync() { # ADDRESS:PORT
    node "$1" INFO replication | grep -q 'master_link_status:up'
}

nodes=$*
count=$#
primaries=$((count / 2))
first=$1

for each in $nodes; do
    wait_until "$each answers" answers "$each"
done

if [ "$(fact "$first" cluster_state)" = ok ]; then
    echo "the cluster exists"
    exit 0
fi

number=0
for each in $nodes; do
    number=$((number + 1))
    if [ "$number" -le "$primaries" ]; then
        node "$each" CLUSTER SET-CONFIG-EPOCH "$number" >/dev/null
        node "$each" CLUSTER ADDSLOTSRANGE "$((16384 * (number - 1) / primaries))" "$((16384 * number / primaries - 1))" >/dev/null
    fi
    if [ "$number" -gt 1 ]; then
        node "$first" CLUSTER MEET "${each%:*}" "${each##*:}" >/dev/null
    fi
done
wait_until "the nodes meet" all_known

number=0
for each in $nodes; do
    number=$((number + 1))
    [ "$number" -gt "$primaries" ] || continue
    primary=$(echo "$nodes" | tr -s ' ' '\n' | sed -n "$((number - primaries))p")
    id=$(node "$primary" CLUSTER MYID)
    wait_until "$each knows $primary" known_to "$each" "$id"
    node "$each" CLUSTER REPLICATE "$id" >/dev/null
    wait_until "$each is in sync" in_sync "$each"
done
wait_until "all slots are served" all_usable
echo "the cluster is usable: valkey://$first"
