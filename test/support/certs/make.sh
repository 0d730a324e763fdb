#!/bin/sh
# Makes the certificates beside this file anew, for tests of TLS on 127.0.0.1. They are valid for a hundred years but for the
# one that is expired. Needs openssl 3.
set -eu
cd "$(dirname "$0")"
ca() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 36500 \
    -keyout "$1.key" -out "$1.pem" -subj "/CN=$1" 2>/dev/null
}
signed() { # name, common name, authority, more options of x509
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
    -keyout "$1.key" -out "$1.csr" -subj "/CN=$2" 2>/dev/null
  printf 'subjectAltName=IP:127.0.0.1,DNS:localhost\n' >san.ext
  name=$1 authority=$3
  shift 3
  openssl x509 -req -in "$name.csr" -CA "$authority.pem" -CAkey "$authority.key" -CAcreateserial \
    -out "$name.pem" -extfile san.ext "$@" 2>/dev/null
  rm "$name.csr" san.ext
}
ca authority
ca stranger
signed server localhost authority -days 36500
signed alice alice authority -days 36500
signed mallory alice stranger -days 36500
signed expired alice authority -days -1
rm -f ./*.srl authority.key stranger.key stranger.pem
