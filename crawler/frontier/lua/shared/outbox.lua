-- outbox.lua: requests of other shards, which wait here for the relay.

-- post: requests of other shards, into this one's outbox, with the roots they bring. KEYS from k: the `parcels` stream
-- of each target; ARGV from a: number of messages, then target and data of each.
local function post(k, a, left_out)
  local n = tonumber(ARGV[a])
  for i = 1, left_out and 0 or n do
    redis.call('XADD', KEYS[k + i - 1], '*', 'd', ARGV[a + 2 * i])
    add(OUTBOX, ARGV[a + 2 * i - 1] .. ':pending', 1)
  end
  if n > 0 and not left_out then
    add(OUTBOX, 'pending', n)
  end
end

-- groups_at: where the groups of requests begin, of which KEYS and ARGV have the roots and messages at k and a
local function groups_at(k, a)
  a = a + 1 + ARGV[a]
  return k + ARGV[a], a + 1 + 2 * ARGV[a]
end

-- pending: how many messages are not yet delivered
local function pending()
  return SHARDS > 1 and number(redis.call('HGET', OUTBOX, 'pending')) or 0
end
