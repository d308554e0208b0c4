-- revive.lua: dead letters go back into their hosts' queues, as if never tried; their hosts are asked again at once.
-- Each is named with the commit by which it ended. One that was revived and has failed again is another one: so a call
-- that is repeated because its answer was lost, or two who revive at once, bring none back twice.
-- What the commit counted as this end is counted back: ended, its outcome, its status. What came over the wire stays.
-- Pages go to the front of their host's pages, sitemaps to the others of theirs, which may have to wait.
-- KEYS  page of each
-- ARGV  generation, then id, token, host and entry of each, at most 500
-- RETURNS OK number | NO_CRAWL | DELETING | OOM. One whose record cannot be read stays where it is.
local EACH = 4 -- arguments of one
local no = refusal() or deleting() or full()
if no then
  return { no }
end

local function record_of(page, token)
  local was = redis.call('HMGET', page, 'token', 'm')
  local readable, record = pcall(cjson.decode, was[2] or '')
  if was[1] == token and readable and type(record) == 'table' and type(record.outcome) == 'string' then
    return record
  end
end

local function take_back(field)
  if add(COUNTERS, field, -1) <= 0 then
    redis.call('HDEL', COUNTERS, field)
  end
end

-- forgive: the host's failures are forgotten, and so is the rest that they earned it. Its delay is kept, and a longer
-- rest that it has asked for.
local function forgive(host)
  local key = host_key(host)
  local h = redis.call('HMGET', key, 'due', 'backoff_until', 'failing_since', 'delay', 'latency')
  redis.call('HDEL', key, 'failing_since', 'backoff', 'backoff_until')
  local due, soonest = number(h[1]), T + host_delay(h[4], h[5])
  local earned = math.max(number(h[2]) or 0, h[3] and T + DEAD_REST_MS or 0)
  if not due then
    redis.call('HSET', key, 'due', T)
  elseif due > soonest and due <= earned then
    redis.call('HSET', key, 'due', soonest)
  end
end

for i = OWN_ARGS, #ARGV, EACH do
  touch(ARGV[i + 2])
  sound(ARGV[i + 2])
end
local revived, k = 0, #KEYS
for i = #ARGV - EACH + 1, OWN_ARGS, -EACH do -- the last first, so that the first comes to the front
  local id, token, host, entry, page = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], KEYS[k]
  local record = record_of(page, token)
  if record and redis.call('ZREM', FAILED, id) == 1 then
    redis.call('DEL', page)
    count('ended', -1)
    take_back('outcome:' .. record.outcome)
    if type(record.status) == 'number' then
      take_back(string.format('status:%.0f', record.status))
    end
    forgive(host)
    local waits = is_sitemap(entry)
    requeue({ host = host, priority = waits and 0 or 1, entry = entry }, waits and 'RIGHT' or 'LEFT', 0)
    settle(host)
    revived = revived + 1
  end
  k = k - 1
end
if revived > 0 then
  wake() -- a host that was known to be due later may be due now
end
return { 'OK', revived }
