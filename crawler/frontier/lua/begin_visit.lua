-- begin_visit.lua: the next visit of the crawl begins: what was counted of the one before is reset, and its time limit
-- begins anew.
-- ARGS  visit, max_time_ms
--       visit: its number; max_time_ms: from now, '' none
-- RETURNS OK (also when it, or a later one, has begun already) | NO_CRAWL | DELETING
local no = refusal() or deleting()
if no then
  return { no }
end
local visit = tonumber(ARG.visit)
if (number(redis.call('HGET', META, 'visit')) or 1) >= visit then
  return { 'OK' }
end
redis.call('HDEL', META, 'until') -- first, so that it goes through when Redis is full
for _, found in ipairs(FOUND) do
  redis.call('HDEL', COUNTERS, 'visit:' .. found)
end
redis.call('HSET', META, 'visit', visit, 'visit_ms', T)
if ARG.max_time_ms ~= '' then
  redis.call('HSET', META, 'until', T + tonumber(ARG.max_time_ms))
end
wake()
return { 'OK' }
