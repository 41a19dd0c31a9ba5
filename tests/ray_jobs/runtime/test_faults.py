"""What follows from unexpected errors, by the rules in the docstrings of `faults`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_jobs.runtime.faults import MAX_FAULTS, MAX_FAULTS_ANYWHERE, Fault, FaultLog, Verdict, describe


def make_fault(node: str, shard: str = "0", cause: str = "RuntimeError: lost") -> Fault:
    return Fault(
        stage="embed", shard=shard, host=f"host-{node}", node=node, pid=1, cause=cause, traceback="Traceback", time=0.0
    )


def test_one_node_tries_three_times() -> None:
    log = FaultLog()
    assert [log.record(make_fault("a"), 1) for _ in range(3)] == [Verdict.RETRY, Verdict.RETRY, Verdict.END]


def test_shard_that_fails_everywhere_ends_after_three_nodes() -> None:
    log, node, nodes = FaultLog(), iter("abcde"), []
    current = next(node)
    while True:
        nodes.append(current)
        verdict = log.record(make_fault(current), 5)
        if verdict == Verdict.END:
            break
        if verdict == Verdict.LEAVE_OUT:
            current = next(node)
    assert nodes == ["a", "a", "b", "b", "c"]


def test_node_that_fails_at_every_shard_is_left_out_once() -> None:
    log = FaultLog()
    verdicts = [log.record(make_fault("a", shard), 3) for shard in "01"]
    assert verdicts == [Verdict.RETRY, Verdict.LEAVE_OUT]


def test_published_shard_clears_a_node() -> None:
    log = FaultLog()
    for shard in "0123":
        assert log.record(make_fault("a", shard), 3) == Verdict.RETRY
        log.reset("a", "embed")


def test_shard_of_another_stage_does_not_clear_a_node() -> None:
    log = FaultLog()
    assert log.record(make_fault("a", "0"), 3) == Verdict.RETRY
    log.reset("a", "mix")
    assert log.record(make_fault("a", "1"), 3) == Verdict.LEAVE_OUT


def test_last_node_is_never_left_out() -> None:
    log = FaultLog()
    assert log.record(make_fault("a", "0"), 2) == Verdict.RETRY
    assert log.record(make_fault("a", "1"), 2) == Verdict.LEAVE_OUT
    assert {log.record(make_fault("b", shard), 2) for shard in "2345"} == {Verdict.RETRY}


def test_deaths_do_not_count_as_errors() -> None:
    log = FaultLog()
    for _ in range(5):
        log.record_death(Fault(stage="embed", shard="0", host="h", node="a", pid=1, cause="died", time=0.0))
    assert log.record(make_fault("a"), 1) == Verdict.RETRY


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=20), st.integers(1, 4))
def test_no_shard_is_tried_forever(nodes: list[str], num_nodes: int) -> None:
    log = FaultLog()
    verdicts = [log.record(make_fault(node), num_nodes) for node in nodes]
    if Verdict.END in verdicts:
        first = verdicts.index(Verdict.END)
        assert first + 1 >= MAX_FAULTS
        enough = len(set(nodes[: first + 1])) >= min(MAX_FAULTS, num_nodes)
        assert enough or first + 1 == MAX_FAULTS_ANYWHERE
    else:
        assert len(nodes) < MAX_FAULTS_ANYWHERE


def test_description_counts_causes_and_names_hosts() -> None:
    faults = [make_fault("a"), make_fault("b"), make_fault("b", cause="OSError: gone")]
    assert describe(faults) == "2 x RuntimeError: lost on host-a (a), host-b (b); 1 x OSError: gone on host-b (b)"


def test_verdicts_survive_the_way_between_processes() -> None:
    assert Verdict("leave out") is Verdict.LEAVE_OUT
    with pytest.raises(ValueError, match="again"):
        Verdict("again")
