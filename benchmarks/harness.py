"""What every benchmark shares: contenders in turn, exact calls, CPU milliseconds, medians, ratios, one table."""

import os
import platform
import statistics
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

ROUNDS = 11
_NONE = "-"


class NotMeasured(Exception):
    """Something could not be set up or run; the text says why."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One run: milliseconds of the process's CPU and of the clock on the wall, and the AWS operations it made."""

    cpu: float
    wall: float
    calls: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Measured:
    """Medians of the rounds that made the usual calls; `unusual` counts the others, which are left out.

    A release that takes a second reads once more, and a log-in ends a session from the sixth browser on.
    """

    cpu: float
    wall: float
    calls: tuple[str, ...]
    rounds: int
    unusual: int = 0

    @classmethod
    def of(cls, samples: Sequence[Sample]) -> "Measured":
        """Raises NotMeasured where no calls are those of most rounds: then no number is the number."""
        calls, count = Counter(sample.calls for sample in samples).most_common(1)[0]
        if count * 2 <= len(samples):
            raise NotMeasured(f"rounds made different calls: {sorted({sample.calls for sample in samples})}")
        usual = [sample for sample in samples if sample.calls == calls]
        cpu, wall = (statistics.median(getattr(sample, unit) for sample in usual) for unit in ("cpu", "wall"))
        return cls(cpu, wall, calls, count, len(samples) - count)


Contender = Callable[[], Sample]


@dataclass(frozen=True, slots=True)
class Job:
    """One row: the vault, its floor, and peers. A string in place of a measurement says why there is none."""

    name: str
    vault: Measured
    floor: Measured | str
    peers: Mapping[str, Measured | str]

    def ratio(self, other: str = "") -> float | None:
        """The vault's CPU over the floor's, or over that of the peer named; None where that was not measured."""
        beside = self.peers[other] if other else self.floor
        return None if isinstance(beside, str) or not beside.cpu else self.vault.cpu / beside.cpu


def timed(act: Callable[[], Any]) -> Sample:
    """CPU of this process and time on the wall of one act, without its calls."""
    wall, cpu = time.perf_counter(), time.process_time()
    act()
    cpu = time.process_time() - cpu
    return Sample(cpu * 1000, (time.perf_counter() - wall) * 1000)


def in_turn(contenders: Mapping[str, Contender], rounds: int = ROUNDS) -> dict[str, Measured | str]:
    """Each contender once a round, after one round that does not count, so that what disturbs one disturbs all.

    A contender that raises NotMeasured is out, with its reason; others go on.
    """
    samples: dict[str, list[Sample]] = {name: [] for name in contenders}
    out: dict[str, str] = {}
    for number in range(rounds + 1):
        for name, once in contenders.items():
            if name in out:
                continue
            try:
                sample = once()
            except NotMeasured as reason:
                out[name] = str(reason)
                continue
            if number:
                samples[name].append(sample)
    return {name: out.get(name) or _measured(taken) for name, taken in samples.items()}


def _measured(samples: Sequence[Sample]) -> Measured | str:
    try:
        return Measured.of(samples)
    except NotMeasured as reason:
        return str(reason)


def job(name: str, measured: Mapping[str, Measured | str]) -> Job:
    """The row of what `in_turn` gave for "vault", "floor" and peers. Raises NotMeasured without the vault."""
    vault = measured["vault"]
    if isinstance(vault, str):
        raise NotMeasured(f"{name}: {vault}")
    peers = {peer: value for peer, value in measured.items() if peer not in ("vault", "floor")}
    return Job(name, vault, measured.get("floor", "there is none"), peers)


def machine() -> dict[str, str]:
    """What numbers depend on, and nothing that names a host."""
    return {
        "cores": str(os.cpu_count()),
        "python": platform.python_version(),
        "kernel": f"{platform.system()} {platform.release().partition('-')[0]}",
        "date": datetime.now(UTC).date().isoformat(),
    }


def markdown(jobs: Sequence[Job]) -> str:
    """The table: CPU in milliseconds, ratios of the vault's CPU to the other's."""
    lines = ["| job | vault, CPU ms | AWS calls | floor | vault / floor | peers |", "|---|---|---|---|---|---|"]
    return "\n".join([*lines, *map(_row, jobs)]) + "\n"


def _row(one: Job) -> str:
    floor = _NONE if isinstance(one.floor, str) else f"{one.floor.cpu:.1f}"
    ratio = one.ratio()
    peers = "; ".join(_peer(one, name) for name in one.peers) or _NONE
    cells = (
        one.name,
        f"{one.vault.cpu:.1f}",
        _calls(one.vault.calls),
        floor,
        f"{ratio:.2f}" if ratio else _NONE,
        peers,
    )
    return f"| {' | '.join(cells)} |"


def _peer(one: Job, name: str) -> str:
    value = one.peers[name]
    if isinstance(value, str):
        return f"{name}: not measured"
    ratio = one.ratio(name)
    return f"{name} {value.cpu:.1f}, {len(value.calls)} calls" + (f" (vault {ratio:.2f} of it)" if ratio else "")


def _calls(calls: Sequence[str]) -> str:
    return f"{len(calls)}: {', '.join(calls)}" if calls else "0"


def as_json(jobs: Sequence[Job], of: Mapping[str, str]) -> dict[str, Any]:
    """Everything measured, and why something was not."""
    return {"machine": dict(of), "unit": "milliseconds", "jobs": [_job_as_json(one) for one in jobs]}


def _job_as_json(one: Job) -> dict[str, Any]:
    return {
        "job": one.name,
        "vault": _as_json(one.vault),
        "floor": _as_json(one.floor),
        "ratio_to_floor": one.ratio(),
        "peers": {name: _as_json(value) | {"ratio": one.ratio(name)} for name, value in one.peers.items()},
    }


def _as_json(value: Measured | str) -> dict[str, Any]:
    if isinstance(value, str):
        return {"not_measured": value}
    return {
        "cpu": round(value.cpu, 3),
        "wall": round(value.wall, 3),
        "calls": list(value.calls),
        "rounds": value.rounds,
        "unusual_rounds": value.unusual,
    }
