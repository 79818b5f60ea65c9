"""Whether a drift is of one batch alone: the values without the batch that differs most are asked again."""

from __future__ import annotations

from collections.abc import Sequence

from testlab_tools.archive.store import HistoryView
from testlab_tools.statistics.comparison import Family, Means, compare_means
from testlab_tools.statistics.drift import MAX_BINS, MIN_BINS, Bin, Drift, find_drift

MAX_BATCHES = 200
NOT_SHOWN = "none shown"


async def read_bins(view: HistoryView, n: int, without: str = "") -> list[Bin]:
    """Means of as many consecutive values each of table `v`, oldest first; of those not in the batch `without`."""
    select = (
        "SELECT avg(w.value), EXTRACT(EPOCH FROM min(w.started_at)), EXTRACT(EPOCH FROM max(w.started_at)) FROM "
        f"(SELECT v.value, v.started_at, ntile({min(n, MAX_BINS)}) OVER (ORDER BY v.started_at, v.run_id) AS bin "
        "FROM v WHERE v.value IS NOT NULL AND (v.in_batch <> $without OR $without = '')) w "
        "GROUP BY w.bin ORDER BY w.bin"
    )
    found = await view.rows(select, {"without": without})
    return [Bin(float(mean), float(begin), float(end)) for mean, begin, end in found]


async def find_drift_beside_batches(view: HistoryView, bins: Sequence[Bin]) -> tuple[Drift | None, str]:
    """The drift of the bins' means, and what is to be said of batches.

    Where nothing is shown without the batch that differs most, and other batches came before and after it, that batch
    explains the drift, which is not told; where none came before or none after, the two cannot be told apart.
    """
    drift = find_drift(bins)
    if drift is None or drift.shape == NOT_SHOWN:
        return drift, ""
    batch, means = await _most_different(view)
    if not batch:
        return drift, ""
    rest, before, after = await _others(view, batch)
    alone = find_drift(await read_bins(view, rest, batch)) if rest else None
    if alone is None or alone.shape != NOT_SHOWN:
        return drift, "A batch may be the cause: they differ, too (group_by=batch)." if drift.shape == "step" else ""
    said = f"Its mean is {means.mean:.6g}, n {means.n}."
    if min(before, after) < MIN_BINS:
        drift.batch = batch
        return drift, f"The change comes with one batch (drift.batch): the batch may be the cause. {said}"
    alone.batch = batch
    return alone, f"Only one batch (drift.batch) stands out: without it no drift is shown. {said}"


async def _most_different(view: HistoryView) -> tuple[str, Means]:
    """The batch whose mean is shown to differ most from the rest, with its values; '' where none is."""
    select = (
        "SELECT v.in_batch, avg(v.value), stddev_samp(v.value), count(v.value) FROM v WHERE v.value IS NOT NULL "
        f"GROUP BY v.in_batch ORDER BY count(v.value) DESC, v.in_batch LIMIT {MAX_BATCHES}"
    )
    batches = {name: Means(float(mean), float(sd or 0), int(n)) for name, mean, sd, n in await view.rows(select)}
    differ = compare_means(Family({"": batches}, True)).differences[0]
    name = next((str(name) for _, name in differ if name), "")
    return name, batches.get(name, Means(0.0, 0.0, 0))


async def _others(view: HistoryView, batch: str) -> tuple[int, int, int]:
    """Values of other batches: in all, before the batch's first and after its last."""
    select = (
        "SELECT count(*), count(*) FILTER (WHERE v.started_at < b.first), "
        "count(*) FILTER (WHERE v.started_at > b.last) FROM v CROSS JOIN (SELECT min(w.started_at) AS first, "
        "max(w.started_at) AS last FROM v w WHERE w.in_batch = $batch AND w.value IS NOT NULL) b "
        "WHERE v.value IS NOT NULL AND v.in_batch <> $batch"
    )
    ((every, before, after),) = await view.rows(select, {"batch": batch})
    return int(every), int(before), int(after)
