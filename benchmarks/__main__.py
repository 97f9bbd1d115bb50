"""Run a benchmark: ``python -m benchmarks scale`` times every operation at growing sizes; else the contenders are compared."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    if sys.argv[1:2] == ["scale"]:
        from benchmarks.scale.command import main

        main(sys.argv[2:])
    else:
        from benchmarks.compare import main as compare

        compare()
