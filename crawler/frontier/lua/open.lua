-- open.lua: a source (a seeder) is at work, so the crawl is not done; it counts until its term ends or it closes.
-- ARGS  source, term_ms
-- RETURNS OK | NO_CRAWL | DELETING
local no = refusal() or deleting()
if no then
  return { no }
end
redis.call('ZREM', SOURCES, ARG.source) -- first, so that it goes through when Redis is full
redis.call('ZADD', SOURCES, T + tonumber(ARG.term_ms), ARG.source)
return { 'OK' }
