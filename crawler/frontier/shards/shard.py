"""One shard of a crawl: its keys, and the way to send the calls that `verbs` builds for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from crawler.errors import DamagedCrawl, FrontierError, RedisUnavailable
from crawler.frontier.corruption import naming
from crawler.frontier.identity import Identity
from crawler.frontier.keys import Keys
from crawler.frontier.redis.connection import Call, Connection
from crawler.frontier.scripts import SERVER_CLOCK, Arg, load
from crawler.frontier.shards.reader import Reader
from crawler.record import TARGET, Request
from crawler.url import url_id

T = TypeVar("T")


class Shard(Reader):
    """One shard of the generation of a crawl that was found or made; a crawl that is not divided has one."""

    def __init__(
        self, connection: Connection, crawl: str, identity: Identity, number: int = 0, *, clock: str = SERVER_CLOCK
    ) -> None:
        """*connection* may be to any server of a cluster. *clock* is Lua that defines `now_ms()`."""
        super().__init__(connection, Keys(crawl, number, identity.shards))
        self.identity, self.number, self.clock = identity, number, clock

    def call(
        self,
        verb: str,
        read: Callable[[list[Any]], T],
        *,
        keys: Sequence[str] = (),
        rest: Iterable[Arg] = (),
        **named: Arg,
    ) -> Call[T]:
        """A call of a script with its *named* arguments, and the *rest* behind them; *read* makes the result."""
        script = load(verb, self.clock)
        args = [self.identity.generation, *script.ordered(named), *rest]
        return Call(script, [*self.keys.fixed, *keys], args, read)

    def run(self, calls: Sequence[Call[Any]]) -> list[Any]:
        """Send *calls* in one round trip. Refusals are FrontierError values, so that one does not hide the others.

        Raises RedisAway (the same calls may be sent again) or RedisUnavailable (they will not go through).
        """
        results = self.connection.execute(calls) if calls else []
        return [self._named(result) if isinstance(result, DamagedCrawl) else result for result in results]

    def _named(self, error: DamagedCrawl) -> DamagedCrawl:
        try:
            with naming(self.connection, self.keys):
                raise error
        except DamagedCrawl as named:
            return named

    def ask(self, call: Call[T]) -> T:
        """Send one call and raise what it refused."""
        (result,) = self.run([call])
        if isinstance(result, FrontierError | RedisUnavailable):
            raise result
        found: T = result
        return found

    def id(self, url: str) -> str:
        """The id of a canonical URL in this crawl, the same for all spellings that its form takes for one."""
        return url_id(self.identity.form.identity(url), self.identity.salt)

    def id_of(self, request: Request) -> str:
        """The id of what *request* asks for: a target has another one than the page of its URL."""
        if not request.target:
            return self.id(request.url)
        return url_id(TARGET + self.identity.form.identity(request.url), self.identity.salt)

    def info(self, section: str) -> Mapping[str, Any]:
        """A section of what its server's INFO returns."""
        (found,) = self.read(("INFO", section))
        facts: Mapping[str, Any] = found
        return facts

    def wait(self, seconds: float) -> None:
        """Block until a hint says that a host became ready, at most *seconds*; only a hint."""
        self.connection.wait(self.keys.wake, seconds)
