#!/bin/sh
# A small internet of one host, in network and mount namespaces of its own: world.sh FOLDER COMMAND...
set -eu
folder=$1
shift
mount --make-rprivate /
ip link set lo up
mkfifo "$folder/up"
unshare --net sh -c 'echo up; exec sleep 1000' > "$folder/up" &
host=$!
server=
plain=
trap 'kill $host $server $plain 2> /dev/null || true' EXIT
read -r _ < "$folder/up"
ip link add inner type veth peer name outer netns "$host"
ip addr add 93.184.216.1/24 dev inner
ip link set inner up
nsenter --target "$host" --net sh -c \
    'ip link set lo up; ip addr add 93.184.216.34/24 dev outer; ip link set outer up'
cat > "$folder/hosts" <<HOSTS
127.0.0.1 localhost
93.184.216.34 api.example other.example wrong.example
127.0.0.1 rebound.example
169.254.169.254 metadata.example
10.0.0.1 private.example
93.184.216.1 own.example
HOSTS
mount --bind "$folder/hosts" /etc/hosts
mount --bind "$folder/ca.pem" /etc/ssl/certs/ca-certificates.crt
nsenter --target "$host" --net python3 "$folder/server.py" "$folder" 443 > "$folder/up" &
server=$!
read -r _ < "$folder/up"
nsenter --target "$host" --net python3 "$folder/server.py" "$folder" 80 > "$folder/up" &
plain=$!
read -r _ < "$folder/up"
set +e
"$@"
exit $?
