-- repair.lua: put right what something else did to leases, to the counts and to the index of hosts; a healthy crawl is
-- not changed. One call is one part, for what the caller has found; `state` tells whether there is need (odd).
-- Why Lua: what is counted must not move while it is counted.
-- ARGS  part
-- REST  by part:
--       leases:  tokens. One without its row in `leased` goes; a row without its token ends, its URL goes back; a row
--                that cannot be read goes; a deadline that no worker ever set is over.
--       entries: hosts. Nothing is changed; their queues are counted.
--       counts:  how many entries all queues hold, accepted, queued, leased and ended as they were before they were
--                counted, how many of the entries are of blocked hosts. The crawl's counters, unless these moved;
--                what was accepted and is nowhere is lost.
--       hosts:   hosts. Counts, fields and place in `ready` of each, by its queues and leases.
-- RETURNS OK, how many of these were repaired (of `entries`: how many are of blocked hosts), and of `entries` how many
--         there are, of `counts` how many URLs are lost | NO_CRAWL
local MAX_TERM_MS = 30 * 86400000
local NUMBERS = { 'due', 'delay', 'latency', 'accepted', 'backoff', 'backoff_until', 'failing_since', 'no_name_since',
  'robots_rev', 'robots_crashes', 'answers', 'robots_until:0', 'robots_until:1', 'robots_until:2', 'robots_until:3',
  'seen' }
local no = refusal()
if no then
  return { no }
end
local part, repaired, more = ARG.part, 0, 0

-- set: a number of a hash as it must be; an absent one is 0
local function set(key, field, was, n)
  if (number(was) or not was and 0) ~= n then
    redis.call('HSET', key, field, n)
    return true
  end
  return false
end

local function repair_lease(token)
  local row, deadline = redis.call('HGET', LEASED, token), redis.call('ZSCORE', LEASES, token)
  local lease = row and read_lease(row)
  if not row then
    return redis.call('ZREM', LEASES, token) == 1
  elseif not lease.host or not is_name(lease.host) then
    redis.call('ZREM', LEASES, token)
    redis.call('HDEL', LEASED, token)
  elseif not deadline then
    end_lease(token)
    if lease.kind == 'P' then
      requeue(lease, 'LEFT', 0)
    end
    rest_again(lease.host)
    settle(lease.host)
  elseif (number(deadline) or NEVER) > T + MAX_TERM_MS then
    redis.call('ZADD', LEASES, T, token)
  else
    return false
  end
  return true
end

local function held()
  local pages, of_host, asking = 0, {}, {}
  for _, row in ipairs(redis.call('HVALS', LEASED)) do
    local lease = read_lease(row)
    if lease.host then
      of_host[lease.host] = (of_host[lease.host] or 0) + 1
      asking[lease.host] = asking[lease.host] or lease.kind == 'R'
      pages = pages + (lease.kind == 'P' and 1 or 0)
    end
  end
  return pages, of_host, asking
end

local function entries_of(host)
  return is_name(host) and queued_in(host) or 0
end

-- places: where a host is in each of the indexes
local function places(host)
  local found = {}
  for i, index in ipairs({ READY_PROVEN, READY, READY_FAILING }) do
    found[i] = redis.call('ZSCORE', index, host) or ''
  end
  return table.concat(found, ' ')
end

-- one host: whether anything was wrong with it
local function repair_host(host, out, asking)
  local key, wrong, entries = host_key(host), false, entries_of(host)
  local h = redis.call('HMGET', key, 'queued', 'in_flight', 'asking', unpack(NUMBERS))
  for i, field in ipairs(NUMBERS) do
    if h[i + 3] and not number(h[i + 3]) then
      redis.call('HDEL', key, field)
      h[i + 3] = false
      wrong = true
    end
  end
  wrong = set(key, 'queued', h[1], entries) or wrong
  wrong = set(key, 'in_flight', h[2], out) or wrong
  if h[3] and not asking then
    redis.call('HDEL', key, 'asking')
    wrong = true
  end
  if not h[4] and entries > 0 then -- when it was asked last is lost: it rests as if that were now
    rest_again(host)
    redis.call('HSETNX', key, 'due', T)
    wrong = true
  end
  local before = places(host)
  unplace(host)
  if is_name(host) then -- else its entries are never handed out
    settle(host)
  end
  return wrong or before ~= places(host)
end

-- leases out to each address, by the leases that there are
local function repair_addresses()
  local right = {}
  for _, token in ipairs(redis.call('HKEYS', IP_OF)) do
    if not redis.call('HGET', LEASED, token) then
      redis.call('HDEL', IP_OF, token)
      repaired = repaired + 1
    else
      for name in string.gmatch(redis.call('HGET', IP_OF, token), '[^\n]+') do
        right[name] = (right[name] or 0) + 1
      end
    end
  end
  for _, name in ipairs(redis.call('HKEYS', IPS)) do
    if not right[name] then
      redis.call('HDEL', IPS, name)
      repaired = repaired + 1
    end
  end
  for name, n in pairs(right) do
    if set(IPS, name, redis.call('HGET', IPS, name), n) then
      repaired = repaired + 1
    end
  end
end

local function repair_counts(entries, accepted, queued, leased, ended, of_blocked)
  local c = redis.call('HMGET', COUNTERS, 'accepted', 'queued', 'leased', 'ended', 'lost', 'held')
  for i, before in ipairs({ accepted, queued, leased, ended }) do
    if math.modf(number(c[i]) or 0) ~= before then -- a reply contains whole numbers only
      return number(c[5]) or 0
    end
  end
  for _, field in ipairs(redis.call('HKEYS', COUNTERS)) do
    if not number(redis.call('HGET', COUNTERS, field)) then
      redis.call('HDEL', COUNTERS, field)
      repaired = repaired + 1
    end
  end
  repair_addresses()
  local pages = held()
  local known = entries + pages + ended
  accepted = math.max(accepted, known)
  local right = { accepted = { c[1], accepted }, queued = { c[2], entries }, leased = { c[3], pages },
    lost = { c[5], accepted - known }, held = { c[6], of_blocked } }
  for field, values in pairs(right) do
    if set(COUNTERS, field, values[1], values[2]) then
      repaired = repaired + 1
    end
  end
  return accepted - known
end

for i = REST, part == 'counts' and 0 or #ARGV do
  local row = part == 'leases' and redis.call('HGET', LEASED, ARGV[i])
  touch(part ~= 'leases' and ARGV[i] or row and read_lease(row).host or '')
end
redis.call('DEL', PROBE) -- a taking away first, so that it goes through when Redis is full
if part == 'leases' then
  for i = REST, #ARGV do
    repaired = repaired + (repair_lease(ARGV[i]) and 1 or 0)
  end
elseif part == 'hosts' then
  local _, of_host, asking = held()
  for i = REST, #ARGV do
    repaired = repaired + (repair_host(ARGV[i], of_host[ARGV[i]] or 0, asking[ARGV[i]]) and 1 or 0)
  end
elseif part == 'entries' then
  for i = REST, #ARGV do
    local n = entries_of(ARGV[i])
    more = more + n
    if redis.call('HEXISTS', host_key(ARGV[i]), 'blocked') == 1 then
      repaired = repaired + n
    end
  end
else
  local n = {}
  for i = REST, #ARGV do
    n[#n + 1] = tonumber(ARGV[i])
  end
  more = repair_counts(unpack(n))
end
return { 'OK', repaired, more }
