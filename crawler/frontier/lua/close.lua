-- close.lua: a source has put all that it had.
-- ARGS  source
-- RETURNS OK | NO_CRAWL | DELETING
local no = refusal() or deleting()
if no then
  return { no }
end
redis.call('ZREM', SOURCES, ARG.source)
wake()
return { 'OK' }
