"""Which upstreams are tried for a name, and in which order."""

from __future__ import annotations

import time
from collections import Counter

import pytest

from tests.gateway.views import a_principal, a_route, a_snapshot, an_upstream
from tikhub_app.exceptions import NotFound, UnsupportedTranslation, UpstreamUnreachable
from tikhub_app.gateway.routing import FIRST_REST_S, LONGEST_REST_S, RestingUpstreams, candidates
from tikhub_app.gateway.snapshot import RouteView

ONE, TWO, THREE = an_upstream(1), an_upstream(2), an_upstream(3)


def names(*routes: RouteView, model: str = "gpt-4o", resting: RestingUpstreams | None = None) -> list[str]:
    found = candidates(a_snapshot(*routes), a_principal(), model, "openai_chat", "chat", resting or RestingUpstreams())
    return [route.upstream.name for route in found]


def test_priority_goes_before_precision_and_precision_before_pattern() -> None:
    routes = [
        a_route("gpt-*", an_upstream(1), priority=100),
        a_route("gpt-4*", an_upstream(2), priority=100),
        a_route("gpt-4o", an_upstream(3), priority=100),
        a_route("*", an_upstream(4), priority=1),
        a_route("claude-*", an_upstream(5), priority=1),
    ]
    assert names(*routes) == ["upstream-4", "upstream-3", "upstream-2", "upstream-1"]
    assert names(*routes, model="gpt-3.5-turbo") == ["upstream-4", "upstream-1"]


def test_case_matters_and_brackets_are_patterns() -> None:
    assert names(a_route("gpt-[45]*"), model="gpt-5") == ["upstream-1"]
    with pytest.raises(NotFound):
        names(a_route("gpt-4o"), model="GPT-4o")


def test_weights_decide_who_comes_first_among_equals() -> None:
    routes = [a_route("gpt-4o", ONE, weight=1), a_route("gpt-4o", TWO, weight=3), a_route("gpt-*", THREE, weight=99)]
    first = Counter(names(*routes)[0] for _ in range(4_000))
    assert set(first) == {"upstream-1", "upstream-2"}
    # A share of 3/4; seven standard deviations of the draw are left on either side.
    assert 2_800 < first["upstream-2"] < 3_200


def test_a_resting_upstream_is_tried_last_and_not_left_out() -> None:
    routes = [
        a_route("gpt-4o", ONE, priority=1),
        a_route("gpt-4o", TWO, priority=2),
        a_route("gpt-4o", THREE, priority=3),
    ]
    resting = RestingUpstreams()
    resting.failed(1, None)
    assert names(*routes, resting=resting) == ["upstream-2", "upstream-3", "upstream-1"]
    resting.succeeded(1)
    assert names(*routes, resting=resting) == ["upstream-1", "upstream-2", "upstream-3"]


def test_two_routes_to_the_same_place_are_one_candidate() -> None:
    routes = [
        a_route("gpt-4o", ONE),
        a_route("gpt-*", ONE),
        a_route("gpt-4*", ONE, upstream_model="gpt-4o"),
        a_route("*", ONE, upstream_model="gpt-4o-mini"),
        a_route("*", TWO),
    ]
    found = candidates(a_snapshot(*routes), a_principal(), "gpt-4o", "openai_chat", "chat", RestingUpstreams())
    assert sorted((route.upstream.name, route.upstream_model or "gpt-4o") for route in found) == [
        ("upstream-1", "gpt-4o"),
        ("upstream-1", "gpt-4o-mini"),
        ("upstream-2", "gpt-4o"),
    ]
    assert found[0].pattern == "gpt-4o"


def test_rests_grow_with_each_failure_up_to_a_bound() -> None:
    resting, spans = RestingUpstreams(), []
    for _ in range(10):
        resting.failed(1, None)
        spans.append(_rest_of(resting))
    assert FIRST_REST_S * 0.75 <= spans[0] <= FIRST_REST_S
    assert 0.75 * 2 <= spans[1] <= 2
    assert 0.75 * LONGEST_REST_S <= spans[-1] <= LONGEST_REST_S


@pytest.mark.parametrize(("named", "span"), [(7.0, 7.0), (0.0, 0.0), (3600.0, LONGEST_REST_S), (-5.0, 0.0)])
def test_the_providers_own_wait_wins_within_the_bound(named: float, span: float) -> None:
    resting = RestingUpstreams()
    resting.failed(1, named)
    assert _rest_of(resting) == pytest.approx(span, abs=0.05)


def _rest_of(resting: RestingUpstreams) -> float:
    """Seconds for which upstream 1 rests from now on."""
    return max(0.0, resting._rests[1].until - time.monotonic())


def test_an_unknown_name_is_told_its_nearest_neighbours_among_those_allowed() -> None:
    snapshot = a_snapshot(a_route("gpt-4o"), a_route("gpt-4o-mini"), a_route("gpt-4.1-secret"))
    principal = a_principal(allowed_models=("gpt-4o*",))
    with pytest.raises(NotFound) as caught:
        candidates(snapshot, principal, "gpt-4o-minni", "openai_chat", "chat", RestingUpstreams())
    assert caught.value.code == "model_not_found"
    assert caught.value.message.startswith("The model 'gpt-4o-minni' does not exist here. Did you mean gpt-4o-mini")
    assert "secret" not in caught.value.message


def test_a_dialect_that_the_provider_does_not_speak_is_named() -> None:
    with pytest.raises(UnsupportedTranslation, match="openai_responses cannot be translated for openai yet"):
        candidates(a_snapshot(a_route("*")), a_principal(), "m", "openai_responses", "respond", RestingUpstreams())


def test_a_misconfigured_account_is_passed_over_and_never_explained_to_the_caller() -> None:
    broken = an_upstream(1, fault="The environment variable OPENAI_API_KEY is not set.")
    assert names(a_route("gpt-4o", broken, priority=1), a_route("gpt-4o", TWO)) == ["upstream-2"]
    with pytest.raises(UpstreamUnreachable) as caught:
        names(a_route("gpt-4o", broken))
    assert caught.value.code == "upstream_misconfigured"
    assert "OPENAI_API_KEY" not in caught.value.message


def test_the_sandbox_never_stands_in_for_a_real_account() -> None:
    sandbox = an_upstream(1, is_sandbox=True)
    assert names(a_route("gpt-4o", sandbox, priority=1), a_route("gpt-*", TWO, priority=999)) == ["upstream-2"]
    broken = an_upstream(2, fault="broken")
    with pytest.raises(UpstreamUnreachable):
        names(a_route("gpt-4o", sandbox), a_route("gpt-*", broken))
    assert names(a_route("gpt-4o", sandbox)) == ["upstream-1"]
