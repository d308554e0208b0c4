-- bound.lua: name the site that fills Redis: it gets no new links until this is taken back (see bounds.py).
-- ARGV  generation, site or ''    RETURNS OK | NO_CRAWL
local no = refusal()
if no then
  return { no }
end
redis.call('HDEL', META, 'full_site') -- first, so that it goes through when Redis is full
if ARGV[2] ~= '' then
  redis.call('HSET', META, 'full_site', ARGV[2])
end
return { 'OK' }
