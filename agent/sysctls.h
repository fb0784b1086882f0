/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sysctls.h - the node's own values below /proc/sys/net (Documentation/networking/ip-sysctl.rst of
 * the kernel).  What is right already is not written.
 */
#ifndef AGENT_SYSCTLS_H
#define AGENT_SYSCTLS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* A container's own /proc/sys can only be read: there the node's lies here as well. */
#define SYSCTLS_HOST_DIR "/host/proc/sys/net"

/*
 * Makes the key below /proc/sys/net of this namespace have the value.  *was (may be NULL) is true
 * when it had it before.  ERR_NOT_FOUND: there is no such key.
 */
int sysctls_set(const char *key, const char *value, bool *was, struct err *e) MUST_USE;

/*
 * For many neighbours and for forwarding: neigh/default/gc_thresh3 at least 28160, conf/all/
 * forwarding 1, IPv4's arp_notify 1 and rp_filter 0.  Each change is an info line; what cannot be
 * is told once: *told (0 at first) remembers.
 */
void sysctls_tune(bool ipv4, bool ipv6, uint32_t *told);

#endif
