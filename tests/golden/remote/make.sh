#!/bin/sh
# A certificate for servers on the loopback interface that tests start: it signs itself, and its key is no secret.
cd "$(dirname "$0")" || exit 1
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 36500 -subj /CN=localhost \
  -addext 'subjectAltName=DNS:localhost,DNS:media.test,IP:127.0.0.1' -keyout key.pem -out certificate.pem
