-- robots.lua: end a robots lease: what the origin's robots.txt says, or that it cannot be had now.
-- KEYS  robots string of the origin
-- ARGV  generation, token, what is held (see owned in shared/leases.lua), scheme number, event, zlib text, ttl_ms,
--       crawl_delay_ms or '', rest_ms, ip or '', handling_ms, then tally and n of each, repeated
--       event ok: the text holds for ttl_ms; fail, stall, robots, dead, untrusted: nothing is known, the host rests;
--       hang, crash: the worker that read it hung or died: the host is given up, at once or after the third
-- RETURNS OK | LEASE_LOST | NO_CRAWL
local no = refusal()
if no then
  return { no }
end
local token, scheme, event, text = ARGV[2], ARGV[4], ARGV[5], ARGV[6]
local lease = owned(token, ARGV[3])
if not lease then
  return { 'LEASE_LOST' }
end

end_lease(token, lease)
local key = host_key(lease.host)
if event == 'ok' then
  local ttl = tonumber(ARGV[7])
  redis.call('SET', KEYS[OWN_KEYS], text, 'PX', ttl + 3600000)
  redis.call('HSET', key, 'robots_until:' .. scheme, T + ttl)
  add(key, 'robots_rev', 1)
  if ARGV[8] == '' then
    redis.call('HDEL', key, 'delay')
  else
    redis.call('HSET', key, 'delay', ARGV[8])
  end
end
if ARGV[10] ~= '' then
  answered_by(lease.host, ARGV[10])
end
for i = 12, #ARGV, 2 do
  count(ARGV[i], ARGV[i + 1])
end
apply_event(lease.host, event)
rest(lease.host, tonumber(ARGV[9]))
settle(lease.host)
labour(lease.host, tonumber(ARGV[11]), token)
return { 'OK' }
