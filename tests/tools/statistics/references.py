"""The libraries that figures are compared with, imported at their first use: that takes a second, which a process that
runs none of these tests need not pay."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testlab_tools.late_module import LateModule

if TYPE_CHECKING:
    import duckdb
    import numpy
    from scipy import stats
    from statsmodels.stats import contingency_tables, multitest, proportion, weightstats
else:
    duckdb = LateModule("duckdb")
    numpy = LateModule("numpy")
    stats = LateModule("scipy.stats")
    contingency_tables = LateModule("statsmodels.stats.contingency_tables")
    multitest = LateModule("statsmodels.stats.multitest")
    proportion = LateModule("statsmodels.stats.proportion")
    weightstats = LateModule("statsmodels.stats.weightstats")

__all__ = ["contingency_tables", "duckdb", "multitest", "numpy", "proportion", "stats", "weightstats"]
