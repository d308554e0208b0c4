-- leases.lua: a lease's row, its owner, its end, and the return of its entry to the queue.

local function read_lease(value)
  local kind, priority, worker, host, entry = string.match(value, '^(%u)(%d) (%S+) (%S+) (.*)$')
  return { kind = kind, priority = priority, worker = worker, host = host, entry = entry }
end

-- end_lease: the only thing that frees a slot. Returns the lease that ended, or nil when it is not held; `held` is what
-- `owned` gave, `sums` takes what the caller adds to the counters. Its first write is ZREM, which goes through when
-- Redis is full; so does all that follows in the script.
local function end_lease(token, held, sums)
  local value = held or redis.call('HGET', LEASED, token)
  redis.call('ZREM', LEASES, token)
  if not value then
    return nil
  end
  redis.call('HDEL', LEASED, token)
  local lease = held or read_lease(value)
  if not lease.host then
    return nil
  end
  local key = host_key(lease.host)
  local counted = IPS_USED and redis.call('HGET', IP_OF, token)
  if counted then
    redis.call('HDEL', IP_OF, token)
    for name in string.gmatch(counted, '[^\n]+') do
      if add(IPS, name, -1) <= 0 then
        redis.call('HDEL', IPS, name)
      end
      lease.group = string.find(name, ' ', 1, true) and name
    end
  end
  add(key, 'in_flight', -1)
  if lease.kind == 'R' then
    redis.call('HDEL', key, 'asking')
  elseif sums then
    sums.leased = -1
  else
    count('leased', -1)
  end
  return lease
end

-- owned: whether `token` still names what its caller was given: kind, host and entry, as one string. A call of `lease`
-- that the network delivers again when its leases have ended gives its tokens to other URLs. Returns the lease.
local function owned(token, what)
  local value = redis.call('HGET', LEASED, token)
  if not value then
    return false
  end
  local lease = read_lease(value)
  if not lease.host or lease.kind .. ' ' .. lease.host .. ' ' .. lease.entry ~= what then
    return false
  end
  sound(lease.host)
  return lease
end

-- add `charge` to an entry's first byte: low half retries, high half crashes, neither flows over
local function charged(entry, charge)
  local first = string.byte(entry, 1) or 0
  local retries, crashes = first % 16, math.floor(first / 16)
  if charge >= CRASH then
    crashes = math.min(crashes + 1, 15)
  elseif charge > 0 then
    retries = math.min(retries + charge, 15)
  end
  return string.char(crashes * 16 + retries) .. string.sub(entry, 2)
end

-- start_interval: ms between two requests to a group (see `starts` in keys.py) of hosts with this delay. Two may start
-- close together where one was late, and some reach the address later than others: an eighth keeps it below ten.
local function start_interval(delay)
  return math.max(math.floor(delay / (MANY_HOSTS - 2)), 1)
end

-- give_back: nothing was sent under this lease, so the delay that it began is over, if it was the host's latest one.
local function give_back(host, token, group)
  local key = host_key(host)
  local next_start = group and number(redis.call('ZSCORE', STARTS, group))
  if next_start then
    local h = redis.call('HMGET', key, 'delay', 'latency', 'own_delay')
    redis.call('ZADD', STARTS, next_start - start_interval(host_delay(h[1], h[2], h[3])), group)
  end
  if redis.call('HGET', key, 'undo') == token then
    redis.call('HDEL', key, 'undo')
    redis.call('HSET', key, 'due', T)
  end
end

-- put an ended lease's entry back to the 'LEFT' (front) or 'RIGHT' (tail) of its queue
local function requeue(lease, side, charge)
  local entry = charged(lease.entry, charge)
  if side == 'LEFT' then
    redis.call('LPUSH', queue_key(lease.host, lease.priority), entry)
  else
    redis.call('RPUSH', lease.priority == '1' and end_of(lease.host) or queue_key(lease.host, lease.priority), entry)
  end
  add(host_key(lease.host), 'queued', 1)
  count('queued', 1)
  hold(lease.host, 1)
end
