"""Print the seconds that this process needs to open an index and search once: ``first_search URL NAME``, vector on stdin."""

from __future__ import annotations

import json
import sys
import time

from benchmarks.scale.workload import K
from valkey_vector import Index

if __name__ == "__main__":
    url, name = sys.argv[1:]
    vector = json.load(sys.stdin)
    start = time.perf_counter()
    with Index.open(name, url=url, must_exist=True) as index:
        found = index.search(vector, k=K)
        seconds = time.perf_counter() - start
    assert len(found) == K
    print(seconds)
