-- pause.lua: the crawl's state becomes paused.
-- RETURNS OK (also when it is so already) | NO_CRAWL | DELETING
local no = refusal() or deleting()
if no then
  return { no }
end
redis.call('HDEL', META, 'state') -- a taking away first, so that it goes through when Redis is full
redis.call('HSET', META, 'state', 'paused')
return { 'OK' }
