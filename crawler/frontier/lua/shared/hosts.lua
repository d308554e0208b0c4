-- hosts.lua: when a host is leasable: the indexes of hosts, their delays, and rests.

local function wake()
  redis.call('LPUSH', WAKE, '1')
  redis.call('LTRIM', WAKE, 0, WAKE_HINTS - 1)
end

-- index_of: which of the three indexes of hosts one belongs to: of those that failed or were too late the last time,
-- of those that are proven, or of those that are new.
local function index_of(failing_since, late, answers)
  if failing_since or late then
    return READY_FAILING
  end
  return (number(answers) or 0) >= PROVEN_AFTER and READY_PROVEN or READY
end

-- move: a host changes its index: `settle`, which follows, puts it into the new one
local function move(host, from, to)
  if from ~= to then
    redis.call('ZREM', from, host)
  end
end

-- unplace: the same where it is not known in which index it is
local function unplace(host)
  redis.call('ZREM', READY_PROVEN, host)
  redis.call('ZREM', READY, host)
  redis.call('ZREM', READY_FAILING, host)
end

-- names_of: the names that may mean a host, the nearest first: its own, then `*.name` for its name and those above it
local function names_of(host)
  local names, name = { host }, string.gsub(host, ':%d+$', '')
  while name do
    names[#names + 1] = '*.' .. name
    name = string.match(name, '^[^.]+%.(.+)$')
  end
  return names
end

-- is_blocked: whether one of them is in BLOCKED
local function is_blocked(host)
  for _, name in ipairs(BLOCKS and names_of(host) or {}) do
    if redis.call('SISMEMBER', BLOCKED, name) == 1 then
      return true
    end
  end
  return false
end

-- set_for: a setting of the nearest name that has it; without one a host obeys that of the crawl
local function set_for(host, setting)
  local own
  for _, name in ipairs(names_of(host)) do
    own = own or redis.call('HGET', HOST_SETTINGS, setting .. ' ' .. name)
  end
  return own
end

-- inherit: a host gets its settings
local function inherit(host)
  for _, setting in ipairs({ 'delay', 'per_host', 'max_pages_per_host' }) do
    local own = set_for(host, setting)
    if own then
      redis.call('HSET', host_key(host), 'own_' .. setting, own)
    else
      redis.call('HDEL', host_key(host), 'own_' .. setting)
    end
  end
end

-- hold: so many more entries of a host are queued; those of a blocked one are held
local function hold(host, n)
  if BLOCKS and redis.call('HEXISTS', host_key(host), 'blocked') == 1 then
    count('held', n)
  end
end

-- slots_of: leases that a host may have out, by its own setting
local function slots_of(own)
  return math.max(number(own) or SLOTS, 1)
end

-- settle: a host is in its index at `due` exactly when it has queued entries, a free slot and no robots lease out,
-- and is not blocked. It is in FAILING exactly when it has a trouble, and entries or leases.
-- settle_as: the same where these facts of it are known.
local function settle_as(host, queued, in_flight, due, asking, index, slots)
  if (number(queued) or 0) > 0 and (number(in_flight) or 0) < slots_of(slots) and not asking then
    if redis.call('ZADD', index, number(due) or T, host) == 1 then
      wake()
    end
  else
    redis.call('ZREM', index, host)
  end
end

local function settle(host)
  local h = redis.call('HMGET', host_key(host), 'queued', 'in_flight', 'due', 'asking', 'failing_since', 'late',
    'answers', 'blocked', 'trouble', 'trouble_ms', 'own_per_host')
  settle_as(host, h[1], h[2], h[3], h[4] or h[8], index_of(h[5], h[6], h[7]), h[11])
  if h[9] and (number(h[1]) or 0) + (number(h[2]) or 0) > 0 then
    redis.call('ZADD', FAILING, 'NX', number(h[10]) or T, host)
  elseif h[9] then
    redis.call('ZREM', FAILING, host)
  end
end

-- host_delay: ms between two requests to a host: its own setting, else the crawl's; its robots.txt's, or what its
-- latency asks for.
-- Without any delay nothing is adapted: a delay of 0 asks for speed.
local function host_delay(crawl_delay, latency, own)
  local delay = math.max(number(own) or DELAY, number(crawl_delay) or 0)
  if delay > 0 and ADAPTIVE > 0 then
    delay = math.max(delay, math.min(math.floor((number(latency) or 0) * ADAPTIVE / 1000), ADAPTED_MAX_MS))
  end
  return delay
end

-- rest: the host is not asked before `ms` from now. Kept in the host's hash, so it outlives an empty queue.
-- From now on the delay of its latest lease is not given back: there is another reason to let it rest.
local function rest(host, ms)
  local key = host_key(host)
  if ms > 0 then
    redis.call('HDEL', key, 'undo')
  end
  local due = number(redis.call('HGET', key, 'due')) or 0
  if T + ms > due then
    redis.call('HSET', key, 'due', T + ms)
  end
end

-- rest_again: a lease of this host was broken off, maybe after its request was sent: the delay begins anew.
local function rest_again(host)
  local h = redis.call('HMGET', host_key(host), 'delay', 'latency', 'own_delay')
  rest(host, host_delay(h[1], h[2], h[3]))
end
