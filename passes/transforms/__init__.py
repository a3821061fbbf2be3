"""Exact changes of a graph at the sites that the analysis of axes finds.

>>> for site in rotation_sites(graph):
...     graph = rotated(graph, site, orthogonal(site.size))
"""

from __future__ import annotations

from qcompile.passes.transforms.online import online
from qcompile.passes.transforms.permute import permuted
from qcompile.passes.transforms.rotate import rotated
from qcompile.passes.transforms.scale import scaled
from qcompile.passes.transforms.shift import shifted

__all__ = ["online", "permuted", "rotated", "scaled", "shifted"]
