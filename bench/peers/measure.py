"""Runs one command and prints what it took as one line of JSON: wall, user and system seconds, the largest resident set in
KiB of it and its children. Its output is thrown away; its exit code is ours."""

import json
import os
import sys
import time

null = os.open(os.devnull, os.O_RDWR)
begun = time.perf_counter()
child = os.posix_spawnp(
    sys.argv[1], sys.argv[1:], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, null, fd) for fd in (0, 1, 2)]
)
_, status, used = os.wait4(child, 0)
wall = time.perf_counter() - begun
print(json.dumps({"wall": wall, "user": used.ru_utime, "system": used.ru_stime, "resident": used.ru_maxrss}))
sys.exit(os.waitstatus_to_exitcode(status) != 0)
