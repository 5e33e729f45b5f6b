import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.slides.tilecache import TileCache

operations = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 9), st.integers(0, 60), st.booleans()),
        st.tuples(st.just("get"), st.integers(0, 9)),
        st.tuples(st.just("clear")),
    ),
    max_size=60,
)


@given(budget=st.integers(0, 100), operations=operations)
def test_the_bytes_are_exact_and_never_above_the_budget(budget, operations):
    cache = TileCache(budget)
    for operation, *rest in operations:
        if operation == "put":
            key, size, pinned = rest
            kept = cache.put(key, ("value", key, size), size, pinned=pinned)
            assert kept == (pinned or size <= budget)
            assert (cache.peek(key) is not None) == kept
        elif operation == "get":
            cache.get(rest[0])
        else:
            cache.clear()
        held = [value for key in range(10) if (value := cache.peek(key)) is not None]
        assert len(cache) == len(held)
        assert sum(size for _, _, size in held) == cache.n_bytes + cache.pinned_bytes
        assert cache.n_bytes <= budget


def test_what_was_used_last_stays():
    cache = TileCache(30)
    for key in "abc":
        cache.put(key, key, 10)
    cache.get("a")
    cache.put("d", "d", 10)
    assert [cache.peek(key) for key in "abcd"] == ["a", None, "c", "d"]


def test_a_replaced_value_is_counted_once():
    cache = TileCache(30)
    cache.put("a", 1, 20)
    cache.put("a", 2, 10)
    assert (cache.n_bytes, cache.get("a")) == (10, 2)


def test_pinned_values_outlive_everything_but_clear():
    cache = TileCache(10)
    cache.put("coarse", 1, 1000, pinned=True)
    for key in range(20):
        cache.put(key, key, 10)
    assert cache.get("coarse") == 1
    assert (cache.n_bytes, cache.pinned_bytes) == (10, 1000)
    cache.clear()
    assert (len(cache), cache.n_bytes, cache.pinned_bytes) == (0, 0, 0)
    assert cache.put(1, 1, 10)


def test_a_negative_budget_is_a_mistake():
    with pytest.raises(ValueError, match="budget"):
        TileCache(-1)
