#!/bin/sh
# The box's own certificate authority and certificate, in /etc/mien/tls: made when missing, renewed 30 days before the
# end and when the box has another name or address. Your own certificate wins: own.crt and own.key.
# `live.crt` and `live.key` lead to what nginx and mosquitto use.
set -eu
umask 077

dir=${1:-/etc/mien/tls}
# CARD is the name of a box whose card lies in another machine: that one's name and addresses are not the box's.
host=${CARD:-$(hostname)}
mkdir -p "$dir"
chmod 755 "$dir"
cd "$dir"

work=$(mktemp -d ./.new.XXXXXX)
trap 'rm -rf "$work"' EXIT

say() { echo "certificates: $*"; }

authority() {
    [ -s ca.key ] && [ -s ca.crt ] && return
    # It vouches for names and addresses of a home or clinic network alone: whoever stole its key could
    # not pretend to be a site on the Internet to a tablet that trusts it.
    cat >"$work/ca.cnf" <<CNF
[req]
distinguished_name = dn
x509_extensions = ca
prompt = no
[dn]
CN = Mien on $host, $(date +%Y-%m-%d)
[ca]
basicConstraints = critical, CA:true, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
nameConstraints = critical, @names
[names]
permitted;DNS.0 = local
permitted;DNS.1 = $host
permitted;DNS.2 = localhost
permitted;IP.0 = 10.0.0.0/255.0.0.0
permitted;IP.1 = 172.16.0.0/255.240.0.0
permitted;IP.2 = 192.168.0.0/255.255.0.0
permitted;IP.3 = 169.254.0.0/255.255.0.0
permitted;IP.4 = 127.0.0.0/255.0.0.0
permitted;IP.5 = fc00::/fe00::
permitted;IP.6 = fe80::/ffc0::
CNF
    openssl ecparam -name prime256v1 -genkey -noout -out "$work/ca.key"
    openssl req -new -x509 -sha256 -days 3650 -config "$work/ca.cnf" -key "$work/ca.key" -out "$work/ca.crt"
    chmod 644 "$work/ca.crt"
    mv "$work/ca.key" ca.key
    mv "$work/ca.crt" ca.crt
    rm -f server.crt
    say "a new authority was made; tablets must be told to trust it (the page shows how)"
}

names() {
    for name in "$host.local" mien.local localhost; do echo "DNS:$name"; done
    # The bare name, unless the box was given another since the authority was made.
    openssl x509 -in ca.crt -noout -ext nameConstraints | grep -qx " *DNS:$host" && echo "DNS:$host"
    # Only addresses that the authority may vouch for.
    for address in $([ "${CARD-}" ] || hostname -I 2>/dev/null); do
        case $address in
        10.* | 192.168.* | 169.254.* | 172.1[6-9].* | 172.2?.* | 172.3[01].* | fd* | fc*) echo "IP:$address" ;;
        esac
    done | sort -u
}

# Whether it has all of these names: one that has more is good, too, for while the system starts the box
# has no address yet.
covered() {
    had=,$(cat names 2>/dev/null),
    for name in $(echo "$1" | tr , ' '); do case $had in *",$name,"*) ;; *) return 1 ;; esac; done
}

server() {
    wanted=$(names | awk '!seen[$0]++' | paste -sd, -)
    if [ -s server.crt ] && [ -s server.key ] && covered "$wanted" &&
        openssl x509 -checkend 2592000 -noout -in server.crt >/dev/null; then
        return
    fi
    # Apple's devices take no certificate that is valid for longer than 398 days.
    printf 'subjectAltName = %s\nextendedKeyUsage = serverAuth\nbasicConstraints = CA:false\n' "$wanted" >"$work/ext"
    printf 'keyUsage = critical, digitalSignature\nauthorityKeyIdentifier = keyid\n' >>"$work/ext"
    openssl ecparam -name prime256v1 -genkey -noout -out "$work/server.key"
    openssl req -new -sha256 -subj "/CN=$host" -key "$work/server.key" -out "$work/server.csr"
    openssl x509 -req -sha256 -days 397 -in "$work/server.csr" -CA ca.crt -CAkey ca.key \
        -set_serial "0x$(openssl rand -hex 16)" -extfile "$work/ext" -out "$work/server.crt" 2>/dev/null
    chmod 644 "$work/server.crt"
    mv "$work/server.key" server.key
    mv "$work/server.crt" server.crt
    echo "$wanted" >"$work/names"
    mv "$work/names" names
    say "a new certificate for $wanted"
}

live() {
    use=server
    if [ -s own.crt ] && [ -s own.key ]; then
        if openssl x509 -checkend 0 -noout -in own.crt >/dev/null 2>&1; then use=own; else
            say "own.crt is no certificate that is valid today; the box uses its own until you replace it"
        fi
    fi
    ln -sfn "$use.crt" "$work/crt" && mv -T "$work/crt" live.crt
    ln -sfn "$use.key" "$work/key" && mv -T "$work/key" live.key
    sum=$(cat live.crt live.key | sha256sum)
    [ "$(cat used 2>/dev/null)" != "$sum" ] || return 0
    if [ "$dir" = /etc/mien/tls ] && getent group mosquitto >/dev/null; then
        install -d -m 755 /etc/mosquitto/certs
        install -m 644 live.crt /etc/mosquitto/certs/mien.crt
        install -m 640 -g mosquitto live.key /etc/mosquitto/certs/mien.key
    fi
    if [ -d /run/systemd/system ]; then
        # They read their certificates anew. Where one does not run there is nothing to do, and nothing to wait
        # for: while the system starts they wait for this.
        ! systemctl is-active --quiet nginx || systemctl reload --no-block nginx || true
        ! systemctl is-active --quiet mosquitto || systemctl kill -s HUP mosquitto || true
    fi
    echo "$sum" >used
}

authority
server
live
