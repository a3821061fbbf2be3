"""Sites where no rotation acts, and why: in the words of `qcompile explain`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from qcompile.analysis.axes import Group, RotationSite, Survey
from qcompile.analysis.axes.described import refused, title

LEAST = 4  # channels worth a rotation


def takes_any(site: RotationSite) -> bool:
    """Every orthogonal matrix may act, and there are channels to mix."""
    return site.group in (Group.ORTHOGONAL, Group.GENERAL) and site.size >= LEAST


def left_alone(survey: Survey, idle: Iterable[RotationSite]) -> Iterator[tuple[RotationSite, str]]:
    """What blocks every matrix, what blocks all but a few, and sites that nothing judges."""
    for site in refused(survey):
        yield site, f"refused: {_reasons(site)}"
    for site in survey.rotations:
        if site.group not in (Group.ORTHOGONAL, Group.GENERAL):
            yield site, f"only {title(site.group, site.size)}: {_reasons(site)}"
        elif site.size < LEAST:
            yield site, f"fewer than {LEAST} channels"
    for site in idle:
        yield site, "nothing quantized reads it"


def _reasons(site: RotationSite) -> str:
    return "; ".join(map(str, site.blockers))
