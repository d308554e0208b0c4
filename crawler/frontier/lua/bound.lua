-- bound.lua: name the site that fills Redis: it gets no new links until this is taken back (see bounds.py).
-- ARGS  site
--       '' is none
-- RETURNS OK | NO_CRAWL
local no = refusal()
if no then
  return { no }
end
redis.call('HDEL', META, 'full_site') -- first, so that it goes through when Redis is full
if ARG.site ~= '' then
  redis.call('HSET', META, 'full_site', ARG.site)
end
return { 'OK' }
