-- open.lua: a source (a seeder) is at work, so the crawl is not done; it counts until its term ends or it closes.
-- ARGV  generation, source, term_ms    RETURNS OK | NO_CRAWL | DELETING
local no = refusal() or deleting()
if no then
  return { no }
end
redis.call('ZREM', SOURCES, ARGV[2]) -- first, so that it goes through when Redis is full
redis.call('ZADD', SOURCES, T + tonumber(ARGV[3]), ARGV[2])
return { 'OK' }
