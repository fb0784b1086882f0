#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The lint suite: what a reader should not have to check.  One TAP line per check.
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
cd "$top"
: "${BUILD_DIR:=$top/build}" "${DEPS:?DEPS is set by build.sh}" "${LAYERS:?LAYERS is set by build.sh}"
out=$BUILD_DIR/lint
mkdir -p "$out"
# shellcheck source=tests/tap.sh
. "$top/tests/tap.sh"
tap_log="$out/log"

files() {
	git ls-files -co --exclude-standard "$@" | while read -r f; do [ ! -e "$f" ] || echo "$f"; done
}
product_files() {
	files '*.c' '*.h' | grep -v '^tests/\|^deps/'
}

format() {
	files '*.c' '*.h' | xargs clang-format --dry-run -Werror
}

spdx() {
	! files '*.c' '*.h' '*.sh' 'build.sh' '.ci/run' | xargs grep -L 'SPDX-License-Identifier: Apache-2.0' | grep .
}

# may FOLDER FOLDER...: files in the first include project headers only from it and the others
may() {
	dir=$1
	allowed=$(printf '%s|' "$@")
	[ -d "$dir" ] || return 0
	if find "$dir" -maxdepth 1 -name '*.[ch]' -exec grep -Hn '^#include "' {} + |
		grep -vE "\"(${allowed%|})/"; then
		echo "$dir may include only: $*"
		bad=1
	fi
}

layers() {
	bad=0
	may base
	may json base
	may net base
	may http base
	may k8s pool net http json base
	may store k8s http json base
	may cni http net json base
	may datapath cni net json base
	may plugins datapath cni k8s http net json base
	may agent datapath cni store k8s pool http net json base
	may ctl datapath cni store k8s pool http net json base
	may applets plugins ctl agent datapath cni store k8s pool http net json base
	# pool/ is pure
	if find pool -name '*.[ch]' -exec grep -Hn '^#include "' {} + | grep -vE '"(pool/|base/|net/ip\.h)'; then
		echo 'pool may include only base and net/ip.h'
		bad=1
	fi
	[ "$bad" = 0 ]
}

# Each library's header in one file: replacing a library touches that file and those beside it.
one_door() {
	bad=0
	for header in cJSON.h bearssl.h libmnl/libmnl.h yaml.h; do
		n=$(product_files | xargs grep -l "#include <$header>" | wc -l)
		[ "$n" -le 1 ] || {
			echo "$header is included by $n files"
			bad=1
		}
	done
	[ "$bad" = 0 ]
}

headers_alone() {
	bad=0
	for h in $(product_files | grep '\.h$'); do
		echo "#include \"$h\"" | gcc -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -I. -isystem "$DEPS/include" -x c -fsyntax-only - || bad=1
	done
	[ "$bad" = 0 ]
}

# At -O0 the object names what the source calls; optimisation turns sprintf into strcpy and hides it.
banned() {
	bad=0
	rm -rf "$out/o0"
	mkdir -p "$out/o0"
	# shellcheck disable=SC2016 # expanded by the inner shell
	product_files | grep '\.c$' | xargs -P "$(nproc)" -I{} sh -c \
		'gcc -std=gnu11 -D_GNU_SOURCE -O0 -w -I. -isystem "$DEPS/include" -c {} -o "$0/o0/$(echo {} | tr / .).o"' "$out"
	for o in "$out"/o0/*.o; do
		if nm -u "$o" | grep -E ' (strcpy|strcat|sprintf|vsprintf|strncpy|strncat|strtok|atoi|atol|gets|alloca|system|popen)$'; then
			echo "in ${o##*/}"
			bad=1
		fi
	done
	[ "$bad" = 0 ]
}

# varFuncNullUB: NULL is a pointer in C with gcc, clang, glibc and musl
cppcheck_all() {
	product_files | grep '\.c$' | xargs cppcheck -q -j "$(nproc)" --std=c11 -D_GNU_SOURCE -D__GNUC__ -I. \
		--error-exitcode=1 --inline-suppr --enable=warning,performance,portability \
		--suppress=missingIncludeSystem --suppress=varFuncNullUB
}

tidy() {
	# shellcheck disable=SC2016 # expanded by the inner shell
	product_files | grep '\.c$' | xargs -P "$(nproc)" -n 4 sh -c \
		'clang-tidy --quiet --warnings-as-errors="*" "$@" -- -std=gnu11 -D_GNU_SOURCE -I. -isystem "$DEPS/include"' tidy
}

shell() {
	{
		files '*.sh' build.sh .ci/run
		files 'tests/*' | xargs grep -lE '^#!(/bin/|/bin/busybox )sh'
	} | sort -u | xargs shellcheck -x
}

marks() {
	! git grep -nE 'TODO|FIXME|XXX' -- '*.c' '*.h' '*.sh' ':!tests/lint' | grep -vE 'XXXXXX|(TODO|FIXME|XXX): .*\b(because|until|since)\b'
}

check 'every source names its licence' spdx
check 'formatted as .clang-format says' format
check 'includes point downwards' layers
check 'each library has one door' one_door
check 'every header compiles alone' headers_alone
check 'no banned function is called' banned
check 'no open marks without a reason' marks
check 'shellcheck' shell
check 'cppcheck' cppcheck_all
check 'clang-tidy' tidy
[ "$failed" = 0 ]
