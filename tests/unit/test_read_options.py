"""Read options, time limits, and the list that reports if records may be missing."""

from __future__ import annotations

import copy
import pickle
import threading
import time
import warnings

import pytest

from valkey_vector import PartialResultWarning, ReadOptions, SearchResult
from valkey_vector.connection.time_limits import (
    LimitedLock,
    has_time_limit,
    is_over,
    seconds_left,
    time_limit,
)
from valkey_vector.engines.read_scope import current_scope, reading
from valkey_vector.errors import InvalidInputError, RequestTimeoutError
from valkey_vector.query.read_options import READ_OPTIONS, merge_read_options, unusual_read_options
from valkey_vector.query.result import warn_if_partial


def test_a_result_is_a_list_and_equal_to_one() -> None:
    found = SearchResult([1, 2])
    assert found == [1, 2]
    assert found == SearchResult([1, 2], partial=True)
    assert isinstance(found, list)
    assert found.partial is False
    assert repr(found) == "[1, 2]"
    assert SearchResult() == []


def test_a_copy_of_a_result_keeps_the_mark() -> None:
    found = SearchResult([1], partial=True)
    pickled: SearchResult[int] = pickle.loads(pickle.dumps(found))  # noqa: S301
    for copied in (copy.copy(found), copy.deepcopy(found), pickled):
        assert (copied, copied.partial) == ([1], True)
        assert repr(copied) == "SearchResult([1], partial=True)"


def test_only_a_partial_result_warns() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert warn_if_partial([1]) == [1]
        assert warn_if_partial(SearchResult([1])) == [1]
    with pytest.warns(PartialResultWarning, match="the result may lack records") as warned:
        assert warn_if_partial(SearchResult([1], partial=True)) == [1]
    assert warned[0].filename == __file__


def test_the_options_are_those_of_the_documentation() -> None:
    assert {"consistency", "timeout"} == READ_OPTIONS


def test_a_store_passes_on_only_options_that_differ_from_the_defaults() -> None:
    assert unusual_read_options("strict", None) == {}
    assert unusual_read_options("partial", None) == {"consistency": "partial"}
    assert unusual_read_options("strict", 2.0) == {"timeout": 2.0}
    with pytest.raises(InvalidInputError, match="timeout"):
        unusual_read_options("strict", 0)


def test_the_options_of_a_call_replace_those_of_its_store() -> None:
    store: ReadOptions = {"consistency": "partial", "timeout": 2.0}
    assert merge_read_options(store, {}) == store
    assert merge_read_options(store, {"consistency": None, "timeout": None}) == store
    assert merge_read_options(store, {"timeout": 1.0}) == {"consistency": "partial", "timeout": 1.0}
    assert merge_read_options({}, {"consistency": None}) == {}
    component = {"consistency": None, "timeout": 1.0}
    assert merge_read_options(store, component, {"timeout": 3.0}) == {
        "consistency": "partial",
        "timeout": 3.0,
    }


def test_a_time_limit_bounds_what_runs_inside_it() -> None:
    assert not has_time_limit()
    assert seconds_left(30.0) == 30.0
    with time_limit(10.0):
        assert 9.0 < seconds_left(30.0) <= 10.0
        assert seconds_left(2.0) == 2.0
        with time_limit(1.0):
            assert seconds_left(30.0) <= 1.0
            with time_limit(None), time_limit(60.0):
                assert seconds_left(30.0) <= 1.0
        assert seconds_left(30.0) > 9.0
    assert not has_time_limit()


def test_no_request_is_sent_after_the_time_is_over() -> None:
    with time_limit(0.01):
        time.sleep(0.02)
        assert is_over()
        with pytest.raises(RequestTimeoutError, match=r"FT\.SEARCH"):
            seconds_left(30.0, "FT.SEARCH")
    assert not is_over()


def test_an_operation_waits_for_a_lock_only_in_its_time() -> None:
    lock, held, free = LimitedLock(), threading.Event(), threading.Event()

    def hold() -> None:
        with lock, lock:
            held.set()
            free.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(10)
    with time_limit(0.05), pytest.raises(RequestTimeoutError, match="another thread"), lock:
        pass
    free.set()
    with lock:
        thread.join(10)
    with time_limit(5.0), lock:
        pass


def test_everything_outside_a_read_is_strict() -> None:
    assert current_scope().consistency == "strict"
    with reading("partial") as scope:
        assert current_scope() is scope
    assert current_scope().consistency == "strict"
    assert current_scope().partial is False
