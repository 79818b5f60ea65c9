"""Which tests a free node runs next."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from testlab_tools.campaigns.sharing import MAX_BATCH, Pool, Work, batch_size


def test_batches_shrink_towards_the_end() -> None:
    pool, sizes = Pool(Work(n, n) for n in range(200)), list[int]()
    while len(pool):
        sizes.append(len(pool.take("a", ["a", "b"])))
    assert sizes == sorted(sizes, reverse=True)
    assert (max(sizes), sizes[-3:], sum(sizes)) == (MAX_BATCH, [1, 1, 1], 200)


@pytest.mark.parametrize(("waiting", "nodes"), [(1, 1), (1, 50), (100_000, 1), (7, 0)])
def test_a_batch_has_at_least_one_and_never_too_many(waiting: int, nodes: int) -> None:
    assert 1 <= batch_size(waiting, nodes) <= MAX_BATCH


def test_what_failed_on_a_node_goes_to_another() -> None:
    pool = Pool([Work(1, 1, tries=1, avoid=frozenset({"a"}))])
    assert pool.take("a", ["a", "b"]) == []
    assert [work.item for work in pool.take("b", ["a", "b"])] == [1]


def test_what_failed_on_every_node_is_run_on_any() -> None:
    pool = Pool([Work(1, 1, tries=2, avoid=frozenset({"a", "b"}))])
    assert [work.item for work in pool.take("a", ["a", "b"])] == [1]


def test_nothing_is_given_twice_or_left_over_whatever_comes_back() -> None:
    chance = random.Random(1)
    nodes = ["a", "b", "c"]
    pool, done = Pool(Work(n, n) for n in range(300)), Counter[int]()
    while len(pool):
        for node in nodes:
            for work in pool.take(node, nodes):
                if chance.random() < 0.2 and work.tries < 5:
                    pool.add([Work(work.item, work.test, tries=work.tries + 1, avoid=work.avoid | {node})])
                else:
                    done[work.item] += 1
    assert done == Counter(range(300))
