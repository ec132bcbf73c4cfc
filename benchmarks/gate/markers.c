/* The two marks between which callgrind counts; on a bare processor each is a few instructions that do nothing. */
#include <valgrind/callgrind.h>

void begin(void) { CALLGRIND_ZERO_STATS; CALLGRIND_TOGGLE_COLLECT; }

void end(const char *label) { CALLGRIND_TOGGLE_COLLECT; CALLGRIND_DUMP_STATS_AT(label); }
