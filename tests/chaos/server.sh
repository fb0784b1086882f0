#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# usage: server.sh SECONDS
#
# Kills the API server whose process id is in $API_DIR/pid and starts it again after so many seconds.
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tests/api/lib.sh
. "$top/tests/api/lib.sh"
# shellcheck disable=SC2034 # of lib.sh
API_HOST=127.0.0.1 ETCD_PID=

kill -s KILL "$(cat "$API_DIR/pid")"
wait_until 20 gone "$(cat "$API_DIR/pid")"
sleep "$1"
# the killed one's last threads may still hold its port
api_server_start || api_server_start
echo "$API_PID" >"$API_DIR/pid.new"
mv "$API_DIR/pid.new" "$API_DIR/pid"
