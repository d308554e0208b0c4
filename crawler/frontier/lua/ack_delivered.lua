-- ack_delivered.lua: messages were put into the shard that they are for, all up to `at`. They are kept for KEEP_MS
-- longer: when the target's server is another one by then (it started again, or a replica took over), it may have lost
-- what it acknowledged last, and all that is kept goes once more. Putting is safe to repeat.
-- KEYS  `parcels` stream of the target
-- ARGS  target, run, at
--       run: the run id of the target's server, which was asked for before they were put; at: '' where none were
-- RETURNS OK, 1 where they go once more, else 0 | NO_CRAWL | DELETING
local KEEP_MS = 10000
local no = refusal() or deleting()
if no then
  return { no }
end
local stream, target, run, at = KEYS[OWN_KEYS], ARG.target .. ':', ARG.run, ARG.at
local h = redis.call('HMGET', OUTBOX, target .. 'run', target .. 'at', target .. 'mark', target .. 'mark_ms',
  target .. 'pending')

-- how many are pending for the target from now on
local function leave(n)
  redis.call('HSET', OUTBOX, target .. 'pending', n)
  add(OUTBOX, 'pending', n - (number(h[5]) or 0))
end

-- place: of an entry in the stream, as two numbers
local function place(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(seq)
end

local function is_behind(id, other)
  local ms, seq = place(id)
  local other_ms, other_seq = place(other)
  return ms > other_ms or (ms == other_ms and seq > other_seq)
end

redis.call('HDEL', OUTBOX, target .. 'run') -- first, so that it goes through when Redis is full
redis.call('HSET', OUTBOX, target .. 'run', run)
if h[1] and h[1] ~= run then
  redis.call('HDEL', OUTBOX, target .. 'at', target .. 'mark', target .. 'mark_ms')
  leave(redis.call('XLEN', stream))
  return { 'OK', 1 }
end

local before = h[2] or '0-0'
if at ~= '' and is_behind(at, before) then
  leave((number(h[5]) or 0) - #redis.call('XRANGE', stream, '(' .. before, at))
  redis.call('HSET', OUTBOX, target .. 'at', at)
else
  at = before
end
if not h[3] or T - (number(h[4]) or 0) >= KEEP_MS then
  if h[3] then
    local ms, seq = string.match(h[3], '^(%d+)-(%d+)$')
    redis.call('XTRIM', stream, 'MINID', ms .. '-' .. string.format('%.0f', tonumber(seq) + 1))
  end
  redis.call('HSET', OUTBOX, target .. 'mark', at, target .. 'mark_ms', T)
end
return { 'OK', 0 }
