"""`crawler events`: follows what happens in a crawl."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import click
import msgspec

from crawler.cli.options import OF_REDIS, examples, load_given, settings
from crawler.cli.terminal import echo_json, say
from crawler.crawl.session import Session
from crawler.errors import RedisAway
from crawler.frontier.keys import channel
from crawler.frontier.redis.channel import follow


@click.command(
    short_help="follow what happens in the crawl",
    epilog=examples("crawler events", "crawler events | jq 'select(.event == \"host-failing\")'"),
)
@settings(*OF_REDIS)
def events(**given: Any) -> int:
    """Print each event of the crawl as a JSON object a line, as it happens, until Ctrl-C.

    URLs that end are among them if the workers were started with --publish-urls.
    """
    with Session(load_given(given), say) as session, session.redis.interruptible() as stopped:
        if session.wait_for("events", stopped) is None:
            return 0
        with suppress(RedisAway):  # stopped while it is away
            for line in follow(session.redis.connection, channel(session.settings.crawl), stopped):
                with suppress(msgspec.DecodeError):  # a foreign client published it
                    echo_json(msgspec.json.decode(line))
    return 0
