-- robots.lua: end a robots lease: what the origin's robots.txt says, or that it cannot be had now.
-- KEYS  robots string of the origin
-- ARGV  generation, token, what is held (see holds in the prelude), scheme number, event, zlib text, ttl_ms,
--       crawl_delay_ms or '', rest_ms
--       event ok: the text holds for ttl_ms; fail, stall, robots, dead: nothing is known, the host rests
-- RETURNS OK | LEASE_LOST | NO_CRAWL
local no = refusal()
if no then
  return { no }
end
local token, scheme, event, text = ARGV[2], ARGV[4], ARGV[5], ARGV[6]
if not holds(token, ARGV[3]) then
  return { 'LEASE_LOST' }
end

local lease = end_lease(token)
local key = host_key(lease.host)
if event == 'ok' then
  local ttl = tonumber(ARGV[7])
  redis.call('SET', KEYS[OWN_KEYS], text, 'PX', ttl + 3600000)
  redis.call('HSET', key, 'robots_until:' .. scheme, T + ttl)
  redis.call('HINCRBY', key, 'robots_rev', 1)
  if ARGV[8] == '' then
    redis.call('HDEL', key, 'delay')
  else
    redis.call('HSET', key, 'delay', ARGV[8])
  end
end
feel(lease.host, event)
rest(lease.host, tonumber(ARGV[9]))
settle(lease.host)
return { 'OK' }
