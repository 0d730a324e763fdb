#!/bin/sh
# Makes the certificates beside this file anew, for tests of TLS on 127.0.0.1. They are valid for a hundred years but for the
# one that is expired and the one that is not valid yet. Needs openssl 3.
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
early() { # name, authority: only `openssl ca` can make one whose time is to come
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
    -keyout "$1.key" -out "$1.csr" -subj "/CN=alice" 2>/dev/null
  mkdir db
  touch db/index.txt
  echo 1000 >db/serial
  printf '[ca]\ndefault_ca=c\n[c]\ndatabase=db/index.txt\nnew_certs_dir=db\nserial=db/serial\npolicy=p\n[p]\ncommonName=supplied\n' >db/conf
  openssl ca -batch -config db/conf -md sha256 -notext -in "$1.csr" -out "$1.pem" \
    -cert "$2.pem" -keyfile "$2.key" -startdate 21000101000000Z -enddate 21010101000000Z 2>/dev/null
  rm -r "$1.csr" db
}
ca authority
ca stranger
signed server localhost authority -days 36500
signed alice alice authority -days 36500
signed mallory alice stranger -days 36500
signed expired alice authority -days -1
early future authority
rm -f ./*.srl authority.key stranger.key stranger.pem
