"""BLAKE3 of a file on all cores, as `b3sum` does it: memory-mapped. Prints the seconds of the fastest of five."""

import sys
import time

import blake3

best = float("inf")
for _ in range(5):
    begun = time.perf_counter()
    digest = blake3.blake3(max_threads=blake3.blake3.AUTO).update_mmap(sys.argv[1]).hexdigest()
    best = min(best, time.perf_counter() - begun)
print(f'{{"seconds": {best}, "digest": "{digest}"}}')
