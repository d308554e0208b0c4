-- limits.lua: how far the crawl is: open sources, limits, the next due host, and counts that cannot be right.

local function open_sources()
  return redis.call('ZCOUNT', SOURCES, '(' .. T, '+inf')
end

-- fetched: pages with a final answer in this visit, also one that there is no such page; sitemaps do not count as pages
local function fetched()
  return number(redis.call('HGET', COUNTERS, 'visit:fetched')) or 0
end

-- limit: 'LIMIT' when nothing more is to be leased, by the crawl's own limits; and how many pages still may be
local function limit()
  if UNTIL and T >= UNTIL then
    return 'LIMIT', 0
  end
  if not MAX_PAGES then
    return nil, NEVER
  end
  local left = MAX_PAGES - fetched()
  if left <= 0 then
    return 'LIMIT', 0
  end
  return nil, math.max(left - (number(redis.call('HGET', COUNTERS, 'leased')) or 0), 0)
end

-- odd: the counts contradict each other or what there is, which no verb brings about: something else changed keys.
local function odd()
  local c = redis.call('HMGET', COUNTERS, 'queued', 'leased', 'ended', 'accepted', 'held')
  local queued, leased = number(c[1]) or 0, number(c[2]) or 0
  local waiting = queued - (BLOCKS and number(c[5]) or 0)
  local rows = redis.call('HLEN', LEASED)
  local ready = redis.call('ZCARD', READY_PROVEN) + redis.call('ZCARD', READY) + redis.call('ZCARD', READY_FAILING)
  return queued < 0 or leased < 0 or rows ~= redis.call('ZCARD', LEASES)
    or waiting < 0
    or (rows == 0 and leased ~= 0)
    or (rows == 0 and ready == 0 and waiting ~= 0)
    or (ready > 0 and waiting <= 0)
    or (rows > 0 and queued <= 0 and leased <= 0)
    or (number(c[4]) or 0) < queued + leased + (number(c[3]) or 0)
end

local function next_due()
  local due = NEVER
  for _, index in ipairs({ READY_PROVEN, READY, READY_FAILING }) do
    local first = redis.call('ZRANGE', index, 0, 0, 'WITHSCORES')
    due = math.min(due, number(first[2]) or NEVER)
  end
  return due < NEVER and math.max(due - T, 0) or -1
end
