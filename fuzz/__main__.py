"""`python -m fuzz [--seconds 60] [TARGET ...]`: each target in a process of its own, with coverage if atheris is there.

Without it the walk of `fuzz.walk` goes on for as long, with a seed of its own each time. What is found is written to
`.run/fuzz/<target>`, and the exit code is 1.
"""

import argparse
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

from .targets import TARGETS
from .walk import corpus, walk

FOUND = Path(".run/fuzz")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--engine", choices=("atheris", "walk"), default="atheris" if find_spec("atheris") else "walk")
    parser.add_argument("targets", nargs="*", default=sorted(TARGETS), metavar="TARGET")
    chosen = parser.parse_args()
    failed = [name for name in chosen.targets if not fuzz(name, chosen.seconds, chosen.engine)]
    print(f"{len(chosen.targets)} targets, {chosen.seconds} s each by {chosen.engine}; findings in {failed or 'none'}")
    return 1 if failed else 0


def fuzz(name: str, seconds: int, engine: str) -> bool:
    """Whether the target kept its contract."""
    if engine == "walk":
        return _walked(name, seconds)
    found, learned, seeds = FOUND / name, FOUND / "learned" / name, FOUND / "seeds" / name
    for folder in (found, learned, seeds):
        folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(corpus(name)):
        (seeds / str(number)).write_bytes(data)
    limits = [f"-max_total_time={seconds}", "-max_len=4096", "-rss_limit_mb=2048", "-timeout=10", "-verbosity=0"]
    places = [f"-artifact_prefix={found}/", str(learned), str(seeds)]
    done = subprocess.run([sys.executable, "-m", "fuzz.engine", name, *limits, *places], check=False)
    return done.returncode == 0


def _walked(name: str, seconds: int) -> bool:
    end = time.monotonic() + seconds
    for data in walk(name, 10**9, seed=time.time_ns()):
        try:
            TARGETS[name](data)
        except Exception as error:
            (FOUND / name).mkdir(parents=True, exist_ok=True)
            (FOUND / name / f"{type(error).__name__}-{time.time_ns()}").write_bytes(data)
            print(f"{name}: {type(error).__name__} for {data[:60]!r}")
            return False
        if time.monotonic() >= end:
            return True
    return True


if __name__ == "__main__":
    sys.exit(main())
