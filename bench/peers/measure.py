"""Runs one command and prints what it took as one line of JSON: wall, user and system seconds, the largest resident set in
KiB of it and its children. Its output is thrown away, with `--keep` as the first argument it comes before that line; its exit
code is ours."""

import json
import os
import sys
import time

command = sys.argv[1:]
silent = (0, 1, 2)
if command[0] == "--keep":
    command = command[1:]
    silent = (0,)
null = os.open(os.devnull, os.O_RDWR)
begun = time.perf_counter()
child = os.posix_spawnp(
    command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, null, fd) for fd in silent]
)
_, status, used = os.wait4(child, 0)
wall = time.perf_counter() - begun
print(json.dumps({"wall": wall, "user": used.ru_utime, "system": used.ru_stime, "resident": used.ru_maxrss}))
sys.exit(os.waitstatus_to_exitcode(status) != 0)
