/* SPDX-License-Identifier: Apache-2.0 */
/*
 * version.h - what this binary is, as "spiderbox --version" says it.
 */
#ifndef BASE_VERSION_H
#define BASE_VERSION_H

extern const char version_string[];

#endif
