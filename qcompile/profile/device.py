"""Which device of this machine a target's programs run on."""

from __future__ import annotations

from qcompile.doctor import processor
from qcompile.targets.base import Target
from qcompile.targets.opened import THIS_PROCESSOR


def device_of(place: Target) -> str:
    """The name of this machine's device that the target's programs run on, or nothing."""
    found = place.here()
    return processor() if found == THIS_PROCESSOR else found


def missing(place: Target) -> str:
    """What this machine lacks to run the target's programs."""
    needs = ", ".join(name for name, kind in place.instructions.items() if kind == "native")
    return f"this machine has no device for it ({place.summary}; it wants {needs})"
