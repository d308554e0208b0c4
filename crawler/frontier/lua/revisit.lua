-- revisit.lua: URLs that have ended go back into their hosts' queues, to be visited again; their records stay.
-- Each only if its state is still the one that was read: the mark that it is queued makes it another one. So neither a
-- call that is delivered twice nor a second caller queues a URL twice, or one that is at work.
-- What a host failed before this visit began is forgotten; a rest that it still has is kept.
-- KEYS  `ended` of each
-- REST  number of groups of one queue each, then for each: host, priority (0 sitemaps, 1 pages), number, then id, the
--       same in 8 bytes, outcome, state and entry of each; at most 500 in all
-- RETURNS OK number, hosts whose tail is to be packed | NO_CRAWL | DELETING | OOM
local no = refusal() or deleting() or full()
if no then
  return { no }
end
for k = OWN_KEYS, #KEYS do
  redis.call('HLEN', KEYS[k]) -- a key of another type stops the script before its first write
end
redis.call('ZCARD', FAILED)
local groups, a = tonumber(ARGV[REST]), REST + 1
for _ = 1, groups do
  sound(ARGV[a])
  a = a + 3 + 5 * ARGV[a + 2]
end

-- forget: a host is asked again as if it had never failed, if it failed before this visit
local BEGAN = number(redis.call('HGET', META, 'visit_ms')) or 0
local function forget(host)
  local key = host_key(host)
  local h = redis.call('HMGET', key, 'failing_since', 'trouble_ms', 'trouble')
  local since = number(h[1])
  if not since or since <= CRASHES then
    since = number(h[2]) or since
  end
  if (since or BEGAN) < BEGAN then
    redis.call('HDEL', key, 'failing_since', 'late', 'backoff', 'backoff_until', 'no_name_since', 'robots_crashes')
    set_trouble(host, '', h[3])
    unplace(host)
  end
end

-- push: entries of a host to the end of one of its queues; whether its tail is to be packed
local function push(host, priority, entries)
  forget(host)
  local tail = queue_key(host, 'tail')
  local queue = priority == '1' and end_of(host) or queue_key(host, priority)
  local length_now = redis.call('RPUSH', queue, unpack(entries))
  add(host_key(host), 'queued', #entries)
  count('queued', #entries)
  hold(host, #entries)
  redis.call('HSETNX', host_key(host), 'due', T)
  settle(host)
  return queue == tail and length_now % SEGMENT < #entries
end

local sums, queued, long, k = { ended = 0 }, 0, {}, OWN_KEYS
a = REST + 1
for _ = 1, groups do
  local host, priority, entries = ARGV[a], ARGV[a + 1], {}
  local behind = a + 3 + 5 * ARGV[a + 2]
  for i = a + 3, behind - 1, 5 do
    local field, outcome, state = ARGV[i + 1], 'outcome:' .. ARGV[i + 2], ARGV[i + 3]
    if redis.call('HGET', KEYS[k], field) == state then
      local marks = bit.bor(string.byte(state, STATE_MARKS), STATE_QUEUED)
      redis.call('HSET', KEYS[k], field, with_marks(state, marks))
      redis.call('ZREM', FAILED, ARGV[i])
      sums.ended, sums[outcome] = sums.ended - 1, (sums[outcome] or 0) - 1
      entries[#entries + 1] = ARGV[i + 4]
    end
    k = k + 1
  end
  if #entries > 0 and push(host, priority, entries) then
    long[#long + 1] = host
  end
  queued, a = queued + #entries, behind
end
if queued > 0 then
  sums.revisited = queued
  tally(sums)
end
return { 'OK', queued, long }
