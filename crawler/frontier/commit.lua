-- commit.lua: end a page's lease with its one outcome: record, outlinks, counters and host state in one step.
-- Why Lua: a record without its links, or links without the record, would lose or repeat work when a worker dies.
-- A page whose content another page had before is a duplicate: that is noted, its text and its links are not taken.
-- KEYS  page, `digests` hash of the content if there is one, parcels of other shards (see post in the prelude), then host,
--       lists and `seen` sets of the requests (see accept there)
-- ARGV  generation, token, what is held (see holds in the prelude), id, event, rest_ms, latency_ms or '', outcome,
--       record, zlib text or '', digest of the content or '', whose copy's links are taken too ('*' any, or an id), ip,
--       number of tallies, tally and n of each, number of roots, roots, parcels, groups of requests
-- RETURNS OK new seen over_budget duplicate, hosts whose tail is to be packed | DONE_ALREADY duplicate | LEASE_LOST |
--         NO_CRAWL
local no = refusal()
if no then
  return { no }
end
for k = OWN_KEYS + 1, SHARDS > 1 and #KEYS or 0 do
  if string.find(KEYS[k], PREFIX .. 'parcels:', 1, true) then
    redis.call('XLEN', KEYS[k]) -- of another kind: said before anything is written
  end
end
local PAGE, token, id = KEYS[OWN_KEYS], ARGV[2], ARGV[4]
local event, rest_ms, latency, outcome = ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[8]
local record, text, digest, spared, ip = ARGV[9], ARGV[10], ARGV[11], ARGV[12], ARGV[13]
if not holds(token, ARGV[3]) then
  local known = redis.call('HMGET', PAGE, 'token', 'd')
  if known[1] == token then
    return { 'DONE_ALREADY', known[2] and 1 or 0 }
  end
  return { 'LEASE_LOST' }
end

redis.call('XLEN', RECORDS) -- these too: see sound
redis.call('ZCARD', FAILED)
local lease = end_lease(token)
local k, first = OWN_KEYS + 1, nil
if digest ~= '' then
  if redis.call('HSETNX', KEYS[k], digest, id) == 0 then
    first = redis.call('HGET', KEYS[k], digest)
    if first == id then
      first = nil
    end
  end
  k = k + 1
end
redis.call('DEL', PAGE)
local at = redis.call('XADD', RECORDS, '*', 'i', id)
redis.call('HSET', PAGE, 'm', record, 'at', at, 'token', token)
if first then
  redis.call('HSET', PAGE, 'd', first)
  count('duplicates', 1)
elseif text ~= '' then
  redis.call('HSET', PAGE, 't', text)
end
if string.sub(outcome, 1, 7) == 'failed:' or outcome == 'dropped:trap' then
  redis.call('ZADD', FAILED, T, id)
end
count('ended', 1)
count('outcome:' .. outcome, 1)

local a = 15
for _ = 1, tonumber(ARGV[14]) do
  count(ARGV[a], ARGV[a + 1])
  a = a + 2
end
a = add_roots(a)
local new, seen, over, long = 0, 0, 0, {}
local left_out = first and spared ~= '*' and spared ~= first
k, a = post(k, a, left_out)
if not left_out then
  new, seen, over, long = accept(k, a)
end

local key = host_key(lease.host)
if latency then
  local old = number(redis.call('HGET', key, 'latency'))
  redis.call('HSET', key, 'latency', math.floor(old and (old * 0.6 + latency * 0.4) or latency))
end
if ip ~= '' then
  redis.call('HSET', key, 'ip', ip)
end
feel(lease.host, event)
if event == 'unsent' then
  give_back(lease.host, token)
end
rest(lease.host, rest_ms)
settle(lease.host)
return { 'OK', new, seen, over, left_out and 1 or 0, long }
