-- state.lua: what the crawl is at; reads only.
-- RETURNS OK state accepted queued leased ended open_sources wait_ms odd pending fetched
--         max_pages (-1: any number) | NO_CRAWL
-- state: deleting, paused, limit, or running; odd: 1 where the counts cannot be right (see odd in shared/limits.lua);
-- pending: messages that are not delivered; fetched: pages with a final answer
local no = refusal()
if no then
  return { no }
end
local c = redis.call('HMGET', COUNTERS, 'accepted', 'queued', 'leased', 'ended', 'held')
local leased = number(c[3]) or 0
local state = STATE
if state == 'running' and limit() and leased == 0 then
  state = 'limit'
end
return { 'OK', state, number(c[1]) or 0, number(c[2]) or 0, leased, number(c[4]) or 0, open_sources(),
  next_due(), odd() and 1 or 0, pending(), fetched(), MAX_PAGES or -1, BLOCKS and number(c[5]) or 0 }
