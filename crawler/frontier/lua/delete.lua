-- delete.lua: the crawl's state becomes deleting.
-- RETURNS OK (also when it is so already) | NO_CRAWL
local no = gone()
if no then
  return { no }
end
redis.call('HDEL', META, 'state') -- a taking away first, so that it goes through when Redis is full
redis.call('HSET', META, 'state', 'deleting')
return { 'OK' }
