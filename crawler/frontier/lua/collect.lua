-- collect.lua: the messages in this shard's outbox, for one relay at a time.
-- Messages that were delivered stay for a while (see ack_delivered.lua), and their targets are named as well: the
-- relay looks whether their servers are still the same.
-- KEYS  `parcels` stream of each target
-- ARGS  relay, term_ms, most
-- REST  the targets
-- RETURNS OK, then {target, id and data of each message that is to be delivered...} of each target that has any,
--         delivered or not; nothing where another relay is at work | NO_CRAWL | DELETING
local no = refusal() or deleting()
if no then
  return { no }
end
local relay = redis.call('HMGET', OUTBOX, 'courier', 'courier_until')
local out = { 'OK' }
if relay[1] and relay[1] ~= ARG.relay and (number(relay[2]) or 0) > T then
  return out
end
redis.call('HDEL', OUTBOX, 'courier') -- first, so that it goes through when Redis is full
redis.call('HSET', OUTBOX, 'courier', ARG.relay, 'courier_until', T + tonumber(ARG.term_ms))
for i = REST, #ARGV do
  local stream = KEYS[OWN_KEYS + i - REST]
  if redis.call('XLEN', stream) > 0 then
    local found = { ARGV[i] }
    local at = redis.call('HGET', OUTBOX, ARGV[i] .. ':at') or '0-0'
    for _, entry in ipairs(redis.call('XRANGE', stream, '(' .. at, '+', 'COUNT', tonumber(ARG.most))) do
      found[#found + 1] = entry[1]
      found[#found + 1] = entry[2][2]
    end
    out[#out + 1] = found
  end
end
return out
