# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
#
# lib.sh - an etcd and a kube-apiserver for tests, sourced.  Needs SERVERS_DIR (set by build.sh),
# openssl and curl; keeps everything in one folder, ends what it started by its process id.
#
#   api_start DIR        PKI, etcd, API server; sets API_DIR, API_URL, KUBECONFIG (an administrator's);
#                        a DIR that was used before keeps its certificates and objects
#   api_stop             ends both
#   api_server_stop SIGNAL, api_server_start     the API server alone, on the same etcd and port
#   kubectl ARGUMENT...  with a time limit
#   pki_...              certificates, see below
#   api_kubeconfig FILE SERVER CA-FILE [CERT-FILE KEY-FILE | TOKEN-FILE]
#
# Before api_start, and kept by api_server_start: API_BIND (127.0.0.1) to listen on, API_HOST
# (127.0.0.1) under which clients find it, API_PORT and ETCD_PORT (free ones), API_SANS (more names
# of the certificate, such as "IP:10.1.2.3"), API_FLAGS (for the API server), ETCD_FLAGS
# (--unsafe-no-fsync: nobody will want the data after a power cut), API_SECONDS (180) for it
# to become ready: in a simulated machine it takes ten times as long as the five seconds of a real one.

# wait_until SECONDS COMMAND...: polls, with pauses of WAIT_STEP (0.1) seconds
wait_until() {
	_end=$(($(date +%s) + $1))
	shift
	until "$@"; do
		[ "$(date +%s)" -lt "$_end" ] || return 1
		sleep "${WAIT_STEP:-0.1}"
	done
}

# gone PID: it has ended, whether or not anybody has waited for it
gone() {
	case $(sed 's/.*) //; s/ .*//' "/proc/$1/stat" 2>/dev/null) in
	'' | Z | X) return 0 ;;
	esac
	return 1
}

# end PID [SIGNAL]: a child of ours, with a last resort after 20 s
end() {
	kill -s "${2:-TERM}" "$1" 2>/dev/null || return 0
	wait_until 20 gone "$1" || kill -s KILL "$1" 2>/dev/null || true
	wait "$1" 2>/dev/null || true
}

# A TCP port that nobody listens on.
free_port() {
	while :; do
		_port=$((10000 + $(od -An -N2 -tu2 /dev/urandom) % 20000))
		_hex=$(printf ':%04X ' "$_port")
		grep -qs "$_hex" /proc/net/tcp /proc/net/tcp6 || break
	done
	echo "$_port"
}

# Certificates.  A "NAME" below is a path without .crt or .key.

_openssl() {
	openssl "$@" >"$API_DIR/openssl.log" 2>&1 || {
		sed 's/^/# openssl: /' "$API_DIR/openssl.log"
		return 1
	}
}

# pki_key NAME ec|rsa
pki_key() {
	case $2 in
	ec) _openssl ecparam -name prime256v1 -genkey -noout -out "$1.key" ;;
	rsa) _openssl genrsa -out "$1.key" 2048 ;;
	esac
}

# pki_ca NAME ec|rsa COMMON-NAME
pki_ca() {
	pki_key "$1" "$2" && _openssl req -x509 -new -sha256 -key "$1.key" -days 30 -subj "/CN=$3" -out "$1.crt" \
		-addext keyUsage=critical,keyCertSign,cRLSign
}

# pki_sign CA NAME SUBJECT SANS [FROM-DAY TO-DAY]: for clients and servers alike; SANS may be empty;
# the days count from today and may be negative; PKI_USAGE: other extended key usages
pki_sign() {
	{
		echo 'basicConstraints=critical,CA:FALSE'
		echo 'keyUsage=critical,digitalSignature'
		echo "extendedKeyUsage=${PKI_USAGE:-clientAuth,serverAuth}"
		[ -z "$4" ] || echo "subjectAltName=$4"
	} >"$2.ext"
	mkdir -p "$2.ca"
	: >"$2.ca/index"
	{
		echo '[ca]'
		echo 'default_ca=own'
		echo '[own]'
		echo "database=$2.ca/index"
		echo "new_certs_dir=$2.ca"
		echo 'rand_serial=yes'
		echo 'default_md=sha256'
		echo 'policy=any'
		echo 'unique_subject=no'
		echo '[any]'
		echo 'organizationName=optional'
		echo 'commonName=supplied'
	} >"$2.conf"
	_openssl req -new -sha256 -key "$2.key" -subj "$3" -out "$2.csr" &&
		_openssl ca -batch -notext -config "$2.conf" -cert "$1.crt" -keyfile "$1.key" -in "$2.csr" -out "$2.crt" \
			-extfile "$2.ext" -startdate "$(date -u -d "${5:--1} days" +%Y%m%d%H%M%SZ)" \
			-enddate "$(date -u -d "${6:-30} days" +%Y%m%d%H%M%SZ)" || return 1
	rm -rf "$2.ca" "$2.ext" "$2.conf" "$2.csr"
}

# pki_cert CA NAME ec|rsa SUBJECT SANS [FROM-DAY TO-DAY]
pki_cert() {
	pki_key "$2" "$3" && pki_sign "$1" "$2" "$4" "$5" "${6:--1}" "${7:-30}"
}

_base64() {
	base64 -w0 "$1"
}

api_kubeconfig() {
	{
		echo 'apiVersion: v1'
		echo 'kind: Config'
		echo 'current-context: test'
		echo 'contexts:'
		echo '- {name: test, context: {cluster: test, user: test}}'
		echo 'clusters:'
		echo "- {name: test, cluster: {server: \"$2\", certificate-authority-data: $(_base64 "$3")}}"
		echo 'users:'
		if [ $# -gt 4 ]; then
			echo "- {name: test, user: {client-certificate-data: $(_base64 "$4"), client-key-data: $(_base64 "$5")}}"
		elif [ $# -gt 3 ]; then
			echo "- {name: test, user: {tokenFile: \"$4\"}}"
		else
			echo '- {name: test, user: {}}'
		fi
	} >"$1"
}

_healthy() {
	gone "$ETCD_PID" || curl -sf --max-time 5 "http://127.0.0.1:$ETCD_PORT/health" >/dev/null
}

_ready() {
	gone "$API_PID" || curl -sf --max-time 5 --cacert "$API_DIR/trust.crt" --cert "$API_DIR/admin.crt" \
		--key "$API_DIR/admin.key" "$API_URL/readyz" >/dev/null
}

# _logged NAME WORDS: what a server said last, as comments
_logged() {
	echo "# $2, its last words:"
	tail -n 15 "$API_DIR/$1.log" | cut -c1-300 | sed 's/^/# /'
}

_etcd_start() {
	_peer=$(free_port)
	# shellcheck disable=SC2086 # words
	"$SERVERS_DIR/etcd" --data-dir "$API_DIR/etcd" ${ETCD_FLAGS---unsafe-no-fsync} --log-level warn \
		--listen-client-urls "http://127.0.0.1:$ETCD_PORT" --advertise-client-urls "http://127.0.0.1:$ETCD_PORT" \
		--listen-peer-urls "http://127.0.0.1:$_peer" --initial-advertise-peer-urls "http://127.0.0.1:$_peer" \
		--initial-cluster "default=http://127.0.0.1:$_peer" >"$API_DIR/etcd.log" 2>&1 </dev/null &
	ETCD_PID=$!
	if ! wait_until "${API_SECONDS:-180}" _healthy || gone "$ETCD_PID"; then
		_logged etcd 'etcd does not become healthy'
		return 1
	fi
}

# No controllers run beside it, so nothing makes the service accounts that pods would wait for.
api_server_start() {
	# what it publishes as its own address may not be a loopback one: one that leads nowhere then
	case $API_HOST in
	127.*) _advertise=192.0.2.1 ;;
	*) _advertise=$API_HOST ;;
	esac
	# shellcheck disable=SC2086 # words
	"$SERVERS_DIR/kube-apiserver" --etcd-servers "http://127.0.0.1:$ETCD_PORT" \
		--bind-address "${API_BIND:-127.0.0.1}" --secure-port "$API_PORT" --advertise-address "$_advertise" \
		--tls-cert-file "$API_DIR/server.crt" --tls-private-key-file "$API_DIR/server.key" \
		--client-ca-file "$API_DIR/client-ca.crt" --authorization-mode Node,RBAC --allow-privileged \
		--service-account-issuer https://kubernetes.default.svc --service-account-key-file "$API_DIR/sa.pub" \
		--service-account-signing-key-file "$API_DIR/sa.key" --service-cluster-ip-range 10.96.0.0/16 \
		--disable-admission-plugins ServiceAccount ${API_FLAGS:-} >>"$API_DIR/apiserver.log" 2>&1 </dev/null &
	API_PID=$!
	if ! wait_until "${API_SECONDS:-180}" _ready || gone "$API_PID"; then
		_logged apiserver 'the API server does not become ready'
		return 1
	fi
}

api_server_stop() {
	[ -n "${API_PID:-}" ] || return 0
	end "$API_PID" "$1"
	API_PID=
}

# _pki: an EC certification authority and all that is signed by it.  trust.crt is what clients trust,
# client-ca.crt whose clients the server trusts: more may be added to both.
_pki() {
	_names="DNS:localhost,DNS:kubernetes.default.svc,IP:127.0.0.1,IP:10.96.0.1,IP:$API_HOST${API_SANS:+,$API_SANS}"
	pki_ca "$API_DIR/ca" ec test-ca &&
		pki_cert "$API_DIR/ca" "$API_DIR/server" ec /CN=kube-apiserver "$_names" &&
		pki_cert "$API_DIR/ca" "$API_DIR/admin" ec /O=system:masters/CN=admin '' &&
		_openssl genrsa -out "$API_DIR/sa.key" 2048 &&
		_openssl rsa -in "$API_DIR/sa.key" -pubout -out "$API_DIR/sa.pub" &&
		cp "$API_DIR/ca.crt" "$API_DIR/client-ca.crt" &&
		cp "$API_DIR/ca.crt" "$API_DIR/trust.crt"
}

api_start() {
	mkdir -p "$1"
	API_DIR=$1
	API_HOST=${API_HOST:-127.0.0.1}
	API_PORT=${API_PORT:-$(free_port)}
	ETCD_PORT=${ETCD_PORT:-$(free_port)}
	API_URL=https://$API_HOST:$API_PORT
	KUBECONFIG=$API_DIR/admin.conf
	export KUBECONFIG
	[ -e "$API_DIR/trust.crt" ] || _pki || return 1
	api_kubeconfig "$KUBECONFIG" "$API_URL" "$API_DIR/trust.crt" "$API_DIR/admin.crt" "$API_DIR/admin.key"
	: >"$API_DIR/apiserver.log"
	_etcd_start && api_server_start
}

api_stop() {
	api_server_stop TERM
	[ -z "${ETCD_PID:-}" ] || end "$ETCD_PID"
	ETCD_PID=
}

kubectl() {
	timeout "${KUBECTL_SECONDS:-60}" "$SERVERS_DIR/kubectl" "$@"
}
