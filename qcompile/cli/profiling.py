"""The verb that measures: a table of times, and what was measured in words."""

from __future__ import annotations

from typing import Any

from qcompile.cli.output import stdout_kept_clean
from qcompile.cli.show import print_json
from qcompile.progress import progress


def profile_and_tell(*, as_json: bool, **given: Any) -> None:
    """Measures and writes the table; then says on what, how steadily, and where it is."""
    from qcompile.profile.profile import Request, profile

    with stdout_kept_clean(), progress(quiet=as_json) as say:
        found = profile(Request(**given), say)
    if as_json:
        print_json(found)
        return
    print(f"{found['kernels']} kernels on {found['device']}, {found['threads']} threads")
    print(f"clock: {found['clock']}")
    print(
        f"{found['rounds']} rounds each, which differ by {found['median_spread']:.0%} in the "
        f"middle; a call costs {found['call_ms']:.3f} ms beside its steps"
    )
    print(f"written to {found['table']}: give it with --latency-table")
