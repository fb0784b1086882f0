/* SPDX-License-Identifier: Apache-2.0 */
/*
 * version.c - the only file that the build tells the version, so that a new one compiles one file.
 */
#include "base/version.h"

#ifndef SPIDERBOX_VERSION
#define SPIDERBOX_VERSION "unknown"
#endif

const char version_string[] = SPIDERBOX_VERSION;
