"""Prints what `bench check` costs by size: seconds and peak memory, each size in a process of its own.

    python docs/scale/measure.py 100000 300000 1000000

Seconds are the processor's, which other work on the machine changes least, and the best of `--repeats`; memory is the
process's peak resident set, Python and its libraries among it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from make_corpus import make

MEGABYTE = 1_000_000
LOAD = "import sys; from bench import suite; suite.load(sys.argv[1]).digest"
QUICK = "import sys; from bench import checks, suite; checks.check(suite.load(sys.argv[1]), thorough=False)"


def cost(command: list[str]) -> tuple[float, float]:
    """Seconds and peak megabytes of a command, which is run in a fresh process."""
    watch = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, "
        "stderr=subprocess.DEVNULL, check=True); used = resource.getrusage(resource.RUSAGE_CHILDREN); "
        "print(used.ru_utime + used.ru_stime, used.ru_maxrss)"
    )
    whole = [sys.executable, "-c", watch, *command]
    found = subprocess.run(whole, check=True, capture_output=True, text=True)  # noqa: S603 (commands of this file)
    seconds, memory = map(float, found.stdout.split())
    return seconds, memory * (1 if sys.platform == "darwin" else 1024) / MEGABYTE


def measure(sizes: list[int], *, repeats: int) -> None:
    """One row a size and command."""
    print("| documents | command | seconds | seconds per million | peak MB |")
    print("| --: | --- | --: | --: | --: |")
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            made = str(make(Path(folder) / "made", documents=size))
            commands = {
                "`suite.load`": [sys.executable, "-c", LOAD, made],
                "`checks.check`, not thorough": [sys.executable, "-c", QUICK, made],
                "`bench check`": [sys.executable, "-m", "bench", "check", made],
            }
            for name, command in commands.items():
                runs = [cost(command) for _ in range(repeats)]
                seconds, memory = min(s for s, _ in runs), max(m for _, m in runs)
                print(f"| {size:,} | {name} | {seconds:.1f} | {seconds / size * 1e6:.1f} | {memory:.0f} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", type=int, nargs="+")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    measure(options.sizes, repeats=options.repeats)
