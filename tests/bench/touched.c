/* SPDX-License-Identifier: Apache-2.0 */
/*
 * touched.c - which functions a program runs, in the order of their first calls: each has a
 * breakpoint at its first byte, which is taken away when it is hit.  x86-64 only.
 *
 * usage: touched OUT ADDRESSES PROGRAM [ARGUMENT]...
 *          ADDRESSES holds the functions' addresses as the file was linked, one to a line, in
 *          hexadecimal digits; so does OUT.  The exit status is PROGRAM's.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define BREAKPOINT 0xccL /* int3: one byte (Intel SDM, volume 2, INT n) */
#define MOST 10000

struct function {
	uintptr_t address;
	long byte; /* what the breakpoint stands for */
	bool hit;
};

static struct function functions[MOST];
static size_t count;
static pid_t pid;
static uintptr_t base; /* where the program is, against where it was linked for */

static void die(const char *what)
{
	fprintf(stderr, "touched: %s: %s\n", what, strerror(errno));
	exit(126);
}

static FILE *open_file(const char *path, const char *mode)
{
	FILE *f = fopen(path, mode);

	if (!f)
		die(path);
	return f;
}

static int compare(const void *a, const void *b)
{
	const struct function *x = a, *y = b;

	return x->address < y->address ? -1 : x->address > y->address;
}

static void read_functions(const char *path)
{
	FILE *f = open_file(path, "re");
	char line[100];

	while (count < MOST && fgets(line, sizeof(line), f))
		functions[count++].address = strtoul(line, NULL, 16);
	fclose(f);
	qsort(functions, count, sizeof(*functions), compare);
}

static void start(char **argv)
{
	int status;

	pid = fork();
	if (pid == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0)
			execv(argv[0], argv);
		_exit(127);
	}
	/* the stop after its exec */
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
		die("the program does not start");
}

static void find_base(void)
{
	char path[64], line[400] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	f = open_file(path, "re");
	if (!fgets(line, sizeof(line), f))
		die(path);
	fclose(f);
	base = strtoul(line, NULL, 16); /* the program's first page is the first of all */
}

/* Changes the byte at a function; returns what was there. */
static long set_byte(uintptr_t address, long byte)
{
	/* ptrace() has words and addresses both as pointers */
	void *at = (void *)(base + address); /* NOLINT(performance-no-int-to-ptr) */
	long word;

	errno = 0;
	word = ptrace(PTRACE_PEEKTEXT, pid, at, NULL);
	if (errno || ptrace(PTRACE_POKETEXT, pid, at, (word & ~0xffL) | byte) < 0)
		die("a breakpoint");
	return word & 0xff;
}

static void set_breakpoints(void)
{
	for (size_t i = 0; i < count; i++)
		if (!i || functions[i].address != functions[i - 1].address)
			functions[i].byte = set_byte(functions[i].address, BREAKPOINT);
}

/* The first of those with this address; NULL: it is none of ours. */
static struct function *find(uintptr_t address)
{
	for (size_t i = 0; i < count; i++)
		if (functions[i].address == address)
			return &functions[i];
	return NULL;
}

/* False: the signal is the program's own. */
static bool take_hit(FILE *out)
{
	struct user_regs_struct regs;
	struct function *f;

	if (ptrace(PTRACE_GETREGS, pid, NULL, &regs) < 0)
		die("registers");
	f = find(regs.rip - 1 - base);
	if (!f)
		return false;
	(void)set_byte(f->address, f->byte);
	regs.rip--;
	if (ptrace(PTRACE_SETREGS, pid, NULL, &regs) < 0)
		die("registers");
	if (!f->hit)
		fprintf(out, "%lx\n", (unsigned long)f->address);
	f->hit = true;
	return true;
}

int main(int argc, char **argv)
{
	int status, pass = 0;
	FILE *out;

	if (argc < 4) {
		fputs("usage: touched OUT ADDRESSES PROGRAM [ARGUMENT]...\n", stderr);
		return 2;
	}
	read_functions(argv[2]);
	out = open_file(argv[1], "we");
	start(argv + 3);
	find_base();
	set_breakpoints();
	while (ptrace(PTRACE_CONT, pid, NULL, pass) == 0 && waitpid(pid, &status, 0) == pid &&
	       WIFSTOPPED(status))
		pass = WSTOPSIG(status) == SIGTRAP && take_hit(out) ? 0 : WSTOPSIG(status);
	if (fclose(out) != 0)
		die(argv[1]);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 126;
}
