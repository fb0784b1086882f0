# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2154,SC2034 # variables of run.sh and lib.sh
#
# What deploy/ does: a script of its own, that people may run on any server.

KUBECTL=$SERVERS_DIR/kubectl tests/api/deploy.sh || failed=1
