-- sweep.lua: take, keep or give up the lease of the crawl's one sweeper, who looks at the states of all URLs that have
-- ended and queues those that are due. In the first shard.
-- It is another one's until the term of that one is over. Whoever takes it then goes on where the sweep stopped, if the
-- choice of URLs is the same and that was less than `continues_ms` ago; else a new sweep begins.
-- ARGS  owner, term_ms, choice, continues_ms, over, began, cursor, queued, visit
--       term_ms: 0 gives it up
--       over: when a sweep began that is not to be continued, or ''
--       began: when the sweep began that the caller has, or '' to take the lease
--       cursor, queued, visit: how far it is, how many URLs it has queued, which visit it began
-- RETURNS OK, 1 if the caller has the lease now, and the sweep: owner, began, choice, cursor, queued, visit
--         | NO_CRAWL | DELETING
local no = refusal() or deleting()
if no then
  return { no }
end
local function look()
  return redis.call('HMGET', SWEEP, 'owner', 'began', 'choice', 'cursor', 'queued', 'visit', 'until')
end

local h = look()
local ends = number(h[7]) or 0
local has_it = h[1] == ARG.owner and ends > T
local mine = has_it or not h[1] or ends <= T
if ARG.began ~= '' then
  mine = mine and h[2] == ARG.began
end
if not mine then
  return { 'OK', 0, h[1] or '', h[2] or '', h[3] or '', h[4] or '', h[5] or '', h[6] or '' }
end
redis.call('HDEL', SWEEP, 'owner') -- first, so that it goes through when Redis is full
if ARG.began ~= '' then
  redis.call('HSET', SWEEP, 'cursor', ARG.cursor, 'queued', ARG.queued, 'visit', ARG.visit)
elseif not number(h[2]) or h[2] == ARG.over or h[3] ~= ARG.choice or T - ends > tonumber(ARG.continues_ms) then
  redis.call('DEL', SWEEP)
  redis.call('HSET', SWEEP, 'began', T, 'choice', ARG.choice, 'cursor', '', 'queued', 0, 'visit', 0)
end
local term = tonumber(ARG.term_ms)
redis.call('HSET', SWEEP, 'until', T + term)
if term > 0 then
  redis.call('HSET', SWEEP, 'owner', ARG.owner)
end
h = look()
return { 'OK', term > 0 and 1 or 0, h[1] or '', h[2], h[3], h[4], h[5], h[6] }
