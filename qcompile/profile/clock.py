"""How fast this machine's processor runs, as far as the system tells."""

from __future__ import annotations

from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
CPUFREQ = Path("/sys/devices/system/cpu/cpu0/cpufreq")


def clock(cpuinfo: Path = CPUINFO, cpufreq: Path = CPUFREQ) -> str:
    """The clock now, and the governor and the highest clock where the system knows them."""
    now, most = _now(cpuinfo), _governor(cpufreq)
    if not now:
        return most or "unknown: the system does not tell"
    return f"{now}, {most or 'whether it changes is unknown'}"


def _now(cpuinfo: Path) -> str:
    lines = _text(cpuinfo).splitlines()
    found = [float(line.partition(":")[2]) for line in lines if line.startswith("cpu MHz")]
    return f"{max(found):.0f} MHz by /proc/cpuinfo" if found else ""


def _governor(cpufreq: Path) -> str:
    governor, most = _text(cpufreq / "scaling_governor"), _text(cpufreq / "cpuinfo_max_freq")
    if not governor or not most:
        return ""
    return f"at most {int(most) // 1000} MHz, governor {governor.strip()}"


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
