-- commit.lua: end a page's lease with its one outcome: record, outlinks, counters and host state in one step.
-- Why Lua: a record without its links, or links without the record, would lose or repeat work when a worker dies.
-- KEYS  page, then host, queue and `seen` sets of the requests (see accept in the prelude)
-- ARGV  generation, token, what is held (see holds in the prelude), id, event, rest_ms, latency_ms or '', outcome,
--       record, zlib text or '', number of tallies, tally and n of each, number of roots, roots, groups of requests
-- RETURNS OK new seen over_budget | DONE_ALREADY | LEASE_LOST | NO_CRAWL
local no = refusal()
if no then
  return { no }
end
local PAGE, token, id = KEYS[OWN_KEYS], ARGV[2], ARGV[4]
local event, rest_ms, latency, outcome = ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[8]
local record, text = ARGV[9], ARGV[10]
if not holds(token, ARGV[3]) then
  return { redis.call('HGET', PAGE, 'token') == token and 'DONE_ALREADY' or 'LEASE_LOST' }
end

local lease = end_lease(token)
redis.call('DEL', PAGE)
local at = redis.call('XADD', RECORDS, '*', 'i', id)
redis.call('HSET', PAGE, 'm', record, 'at', at, 'token', token)
if text ~= '' then
  redis.call('HSET', PAGE, 't', text)
end
if string.sub(outcome, 1, 7) == 'failed:' then
  redis.call('ZADD', FAILED, T, id)
end
count('ended', 1)
count('outcome:' .. outcome, 1)

local a = 12
for _ = 1, tonumber(ARGV[11]) do
  redis.call('HINCRBY', COUNTERS, ARGV[a], ARGV[a + 1])
  a = a + 2
end
a = add_roots(a)
local new, seen, over = accept(OWN_KEYS + 1, a)

if latency then
  local old = tonumber(redis.call('HGET', host_key(lease.host), 'latency'))
  redis.call('HSET', host_key(lease.host), 'latency', math.floor(old and (old * 0.8 + latency * 0.2) or latency))
end
feel(lease.host, event)
rest(lease.host, rest_ms)
settle(lease.host)
return { 'OK', new, seen, over }
