"""The numbers of a crawl for Prometheus, for `crawler metrics` and the `/metrics` of the dashboard.

Names begin with `crawler_` and follow Prometheus's conventions. What can fall is a gauge: `crawler retry` takes URLs
out of their outcomes again, and a counter that falls would show as a reset.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from crawler.errors import CrawlerError
from crawler.frontier.status import Status
from crawler.record import OUTCOMES

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_Family = GaugeMetricFamily | CounterMetricFamily
_STATES: Final = ("seeding", "running", "waiting", "paused", "limit", "done", "empty", "deleting")

_GAUGES: Final[dict[str, tuple[str, Callable[[Status], float | None]]]] = {
    "urls_accepted": ("URLs that the crawl has accepted.", lambda s: s.accepted),
    "urls_queued": ("URLs that wait in the queues of their hosts.", lambda s: s.queued),
    "urls_leased": ("URLs that workers hold now.", lambda s: s.leased),
    "urls_held": ("Queued URLs of blocked hosts.", lambda s: s.held),
    "hosts_waiting": ("Hosts that have queued URLs.", lambda s: s.hosts_waiting),
    "hosts_failing": ("Hosts that fail now.", lambda s: s.failing),
    "workers": ("Workers that sent a heartbeat lately.", lambda s: s.workers),
    "workers_silent": (
        "Workers that sent no heartbeat lately and did not say that they end.",
        lambda s: s.silent_workers,
    ),
    "network_stuck_seconds": ("Time since which no worker can resolve or connect.", lambda s: s.stuck_for),
    "templates_quarantined": ("Templates of URLs that are refused as traps.", lambda s: len(s.quarantined)),
    "redis_memory_bytes": ("Memory that Redis uses, whatever for.", lambda s: s.redis_bytes),
    "redis_memory_limit_bytes": ("maxmemory of Redis, or the memory of its machine.", lambda s: s.redis_limit),
    "redis_memory_needed_bytes": ("Memory that the URLs that are left will need.", lambda s: s.needed_bytes),
}
_COUNTERS: Final[dict[str, tuple[str, Callable[[Status], float]]]] = {
    "received_bytes": ("Bytes of bodies that were read.", lambda s: s.bytes),
    "hook_calls": ("Pages for which the hook was called.", lambda s: s.hook_calls),
    "hook_errors": ("Pages on which the hook failed.", lambda s: s.hook_errors),
    "duplicates": ("Pages with the content of an earlier page.", lambda s: s.duplicates),
    "near_duplicates": ("Pages with nearly the text of an earlier page.", lambda s: s.near_duplicates),
    "urls_lost": ("URLs that a foreign client removed from their queues.", lambda s: s.lost),
}
_LABELED: Final[tuple[tuple[type[_Family], str, str, str, Callable[[Status], dict[str, int]]], ...]] = (
    (
        *(GaugeMetricFamily, "urls_ended", "outcome", "URLs that have ended, by outcome."),
        lambda s: {outcome: s.outcomes.get(outcome, 0) for outcome in OUTCOMES},
    ),
    (CounterMetricFamily, "responses", "status", "Final answers, by status code.", lambda s: s.statuses),
    (CounterMetricFamily, "links_refused", "reason", "Links that were left out, by reason.", lambda s: s.refused),
    (
        *(GaugeMetricFamily, "state", "state", "1 for the state that the crawl is in."),
        lambda s: {state: int(state == s.state) for state in _STATES},
    ),
)


class _Numbers(Collector):
    """Takes a snapshot at each scrape. `crawler_up` is 0 where there is none: no crawl yet, or Redis is away."""

    def __init__(self, crawl: str, look: Callable[[], Status]) -> None:
        self._crawl, self._look = crawl, look

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        try:
            status = self._look()
        except CrawlerError:
            yield self._single(GaugeMetricFamily, "up", "1 if the crawl could be read.", 0)
            return
        yield self._single(GaugeMetricFamily, "up", "1 if the crawl could be read.", 1)
        for name, (text, value) in _GAUGES.items():
            if (found := value(status)) is not None:
                yield self._single(GaugeMetricFamily, name, text, found)
        for name, (text, count) in _COUNTERS.items():
            yield self._single(CounterMetricFamily, name, text, count(status))
        for kind, name, label, text, values in _LABELED:
            metric = kind(f"crawler_{name}", text, labels=["crawl", label])
            for key, number in values(status).items():
                metric.add_metric([self._crawl, key], number)
            yield metric

    def _single(self, kind: type[_Family], name: str, text: str, value: float) -> _Family:
        metric = kind(f"crawler_{name}", text, labels=["crawl"])
        metric.add_metric([self._crawl], value)
        return metric


def _registry(crawl: str, look: Callable[[], Status]) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(_Numbers(crawl, look))
    return registry


def text(crawl: str, look: Callable[[], Status]) -> bytes:
    """All numbers of *crawl* in Prometheus's text format; *look* takes a snapshot."""
    return generate_latest(_registry(crawl, look))


@contextmanager
def serving(address: str, port: int, crawl: str, look: Callable[[], Status]) -> Iterator[int]:
    """Serve the numbers at *address*; the port, which is chosen where *port* is 0. Raises OSError where it is taken."""
    server, thread = start_http_server(port, address, _registry(crawl, look))
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
