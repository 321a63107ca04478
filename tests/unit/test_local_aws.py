"""The local stack's stand-in for AWS can stay up for days."""

import subprocess
import sys

from dev.process import ROOT

_COUNTED = """
from moto.core.common_models import BaseModel
from dev.aws import track_nothing

class Stored(BaseModel):
    __module__ = "moto.stored"

    def __init__(self, value):
        self.value = value

track_nothing()
assert [Stored(number).value for number in range(3)] == [0, 1, 2]
print(len(Stored.instances_tracked))
"""


def test_moto_does_not_keep_what_a_request_made() -> None:
    # In a process of its own: the fixtures of other tests reset moto, which needs what it tracks
    program = [sys.executable, "-c", _COUNTED]
    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603 - our own program
    assert done.stdout.strip() == "0"
