# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2154,SC2034 # variables of run.sh and lib.sh
#
# Certificates: what is accepted, by the API server and of it, and what is refused in which words.
# What a whole API server would not do (it checks its own certificate) is done by openssl s_server.

# conf NAME SERVER [CERT KEY]: a kubeconfig that trusts what trust.crt holds
conf() {
	_conf=$work/$1.conf _server=$2
	shift 2
	api_kubeconfig "$_conf" "$_server" "$API_DIR/trust.crt" "$@"
}

# who_am_i NAME: somebody with rights, says the API server to that kubeconfig
who_am_i() {
	timeout 20 "$client" "$work/$1.conf" get /api/v1/namespaces/kube-system >"$work/answer" 2>&1 || {
		cat "$work/answer"
		return 1
	}
}

# The API server with another certificate.
serve_with() {
	api_server_stop TERM
	cp "$1.crt" "$API_DIR/server.crt"
	cp "$1.key" "$API_DIR/server.key"
	api_server_start
}

# refuses_server WORDS NAME: our client does not trust this certificate of a server on 127.0.0.1
refuses_server() {
	port=$(free_port)
	: >"$work/s_server" # what the one before said, if the next is slow to open it
	openssl s_server -accept "127.0.0.1:$port" -cert "$2.crt" -key "$2.key" -www ${3:+"$3"} >"$work/s_server" 2>&1 </dev/null &
	server=$!
	rc=0
	if wait_until 20 grep -q ACCEPT "$work/s_server"; then
		conf bad "https://127.0.0.1:$port"
		says PROTO "API server 127.0.0.1:$port: TLS with 127.0.0.1: $1" timeout 20 "$client" "$work/bad.conf" get /version || rc=1
	else
		cat "$work/s_server"
		rc=1
	fi
	end "$server"
	return "$rc"
}

# refused_client NAME: the API server does not believe this certificate
refused_client() {
	conf stranger "$API_URL" "$1.crt" "$1.key"
	says IDENTITY "API server 127.0.0.1:$API_PORT does not accept our credentials: Unauthorized" \
		timeout 20 "$client" "$work/stranger.conf" get /api/v1/namespaces/kube-system
}

pki=$work/pki
mkdir -p "$pki"
names=DNS:localhost,DNS:kubernetes.default.svc,IP:127.0.0.1
pki_ca "$pki/rsa-ca" rsa rsa-test-ca
pki_ca "$pki/other-ca" ec other-ca
pki_ca "$pki/twin-ca" ec test-ca
pki_cert "$pki/rsa-ca" "$pki/rsa-server" rsa /CN=kube-apiserver "$names"
pki_cert "$pki/rsa-ca" "$pki/rsa-admin" rsa /O=system:masters/CN=rsa-admin ''

# With the EC chain that the API server has from the beginning.
conf ec "$API_URL" "$API_DIR/admin.crt" "$API_DIR/admin.key"
conf by-name "https://localhost:$API_PORT" "$API_DIR/admin.crt" "$API_DIR/admin.key"
check 'EC authority, server and client, by IP address' who_am_i ec
check 'by DNS name' who_am_i by-name

# With RSA on both sides, both authorities being trusted on both sides.
cp "$API_DIR/server.crt" "$pki/ec-server.crt"
cp "$API_DIR/server.key" "$pki/ec-server.key"
cat "$pki/rsa-ca.crt" >>"$API_DIR/trust.crt"
cat "$pki/rsa-ca.crt" >>"$API_DIR/client-ca.crt"
check 'the API server with an RSA certificate' serve_with "$pki/rsa-server"
conf rsa "$API_URL" "$pki/rsa-admin.crt" "$pki/rsa-admin.key"
conf mixed "$API_URL" "$API_DIR/admin.crt" "$API_DIR/admin.key"
api_kubeconfig "$work/ec-only.conf" "$API_URL" "$API_DIR/ca.crt"
check 'RSA authority, server and client, by IP address' who_am_i rsa
check 'RSA server and EC client, two authorities in one file' who_am_i mixed
check 'an RSA server whose authority we do not trust' says PROTO \
	"API server 127.0.0.1:$API_PORT: TLS with 127.0.0.1: the server's certificate is signed by an unknown CA, CN=rsa-test-ca; known here: CN=test-ca" \
	timeout 20 "$client" "$work/ec-only.conf" get /version
check 'the API server with its EC certificate again' serve_with "$pki/ec-server"

# Clients that the server does not know.
pki_cert "$pki/other-ca" "$pki/stranger" ec /O=system:masters/CN=admin ''
pki_cert "$API_DIR/ca" "$pki/late" ec /O=system:masters/CN=admin '' -10 -2
check 'a client certificate of an unknown authority' refused_client "$pki/stranger"
check 'an expired client certificate' refused_client "$pki/late"

# Servers that our client must not believe.
pki_cert "$API_DIR/ca" "$pki/wrong-ip" ec /CN=127.0.0.1 DNS:kubernetes,IP:10.9.8.7
pki_cert "$API_DIR/ca" "$pki/no-san" ec /CN=127.0.0.1 ''
pki_cert "$API_DIR/ca" "$pki/dns-ip" ec /CN=x DNS:127.0.0.1
pki_cert "$API_DIR/ca" "$pki/expired" ec /CN=expired IP:127.0.0.1 -10 -2
pki_cert "$API_DIR/ca" "$pki/early" ec /CN=early IP:127.0.0.1 2 10
pki_cert "$pki/other-ca" "$pki/unknown" ec /CN=unknown IP:127.0.0.1
pki_cert "$pki/twin-ca" "$pki/twin" ec /CN=twin IP:127.0.0.1
PKI_USAGE=clientAuth
pki_cert "$API_DIR/ca" "$pki/client" ec /CN=client IP:127.0.0.1
PKI_USAGE=
check 'wrong address' refuses_server "the server's certificate is not for 127.0.0.1 but for DNS:kubernetes, IP:10.9.8.7" "$pki/wrong-ip"
check 'a common name does not count' refuses_server \
	"the server's certificate is not for 127.0.0.1: it has no subjectAltName (a common name does not count)" "$pki/no-san"
check 'an address as DNS name does not count' refuses_server "the server's certificate is not for 127.0.0.1 but for DNS:127.0.0.1" "$pki/dns-ip"
check 'expired' refuses_server "the certificate of CN=expired expired on $(date -u -d '-2 days' +%Y-%m-%dT)" "$pki/expired"
check 'not valid yet' refuses_server "the certificate of CN=early is not valid before $(date -u -d '2 days' +%Y-%m-%dT)" "$pki/early"
check 'unknown authority' refuses_server \
	"the server's certificate is signed by an unknown CA, CN=other-ca; known here: CN=test-ca; CN=rsa-test-ca" "$pki/unknown"
check 'an authority of the same name with another key' refuses_server \
	"the server's certificate is signed by an unknown CA: the CA certificate of CN=test-ca known here has the same name but another key" "$pki/twin"
check 'a certificate for clients only' refuses_server \
	'the certificate of CN=client is not for servers: its extended key usage lacks serverAuth' "$pki/client"
check 'TLS 1.3 only' refuses_server \
	'needs TLS 1.2, and the server speaks only other versions: allow TLS 1.2 there' "$pki/ec-server" -tls1_3
