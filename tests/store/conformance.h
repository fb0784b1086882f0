/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conformance.h - what every store must do, whatever it is made of.  Uses cmocka; run by the unit
 * suite on a directory and by the api suite (main.c) on an API server.
 */
#ifndef TESTS_STORE_CONFORMANCE_H
#define TESTS_STORE_CONFORMANCE_H

/*
 * Runs all checks on the store of this spec (as store_open); the number of those that failed. Pools
 * and the objects of namespace "conformance" are removed by it.  An API server needs our CRDs.
 */
int store_conformance(const char *spec, const char *context);

#endif
