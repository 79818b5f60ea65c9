"""The rules of "Run tests", kept before an order is sent."""

from __future__ import annotations

import pytest

from testlab_tools.adapters.stbtester.test_pack import body_of, check_category, check_tags
from testlab_tools.errors import BadInput
from testlab_tools.models.requests import TestOrder


def test_what_is_at_its_default_is_not_sent() -> None:
    assert body_of("node-1", TestOrder("main", ("a.py::b",))) == {
        "node_id": "node-1",
        "test_pack_revision": "main",
        "test_cases": ["a.py::b"],
    }


def test_all_that_an_order_says_is_sent() -> None:
    order = TestOrder("main", ("a.py::b",), "roku", "soak test of release x", True, True, (("model", "T-1000"),))
    assert body_of("node-1", order) == {
        "node_id": "node-1",
        "test_pack_revision": "main",
        "test_cases": ["a.py::b"],
        "remote_control": "roku",
        "category": "soak test of release x",
        "soak": "run forever",
        "shuffle": True,
        "tags": {"model": "T-1000"},
    }


@pytest.mark.parametrize(
    "category", ["default", "soak test of release x", "ünïcödé 測試", "a.b-c_d", "<a>=b", "x" * 900]
)
def test_a_category_that_keeps_the_rules_is_taken(category: str) -> None:
    assert check_category(category) == category


@pytest.mark.parametrize(
    "category",
    ["", "a/b", "a\nb", "a:b", "a\0b", "$", ".a", "-a", "a\tb", "a\x7fb", "a\x85b", "a\ud800", "refs/snapshots/you"],
)
def test_a_category_that_breaks_one_is_refused(category: str) -> None:
    with pytest.raises(BadInput, match="category"):
        check_category(category)


@pytest.mark.parametrize("name", ["model", "jenkins/BUILD_ID", "a-b", "a.b", "a_b", "x" * 499, "größe"])
def test_a_tag_name_that_keeps_the_rules_is_taken(name: str) -> None:
    assert check_tags({name: "any: <value> = $1"}) == {name: "any: <value> = $1"}


@pytest.mark.parametrize(
    "name", ["", "x" * 500, "a:b", "a=b", "a$b", "a<b", "a>b", "a\nb", "/a", "-a", ".a", "_a", "a\ud800"]
)
def test_a_tag_name_that_breaks_one_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match="tag's name"):
        check_tags({"fine": "", name: ""})
