-- robots.lua: end a robots lease: the text of the origin's robots.txt, or that it is unavailable now.
-- KEYS  robots string of the origin
-- ARGS  token, held, scheme, event, text, ttl_ms, spare_ms, crawl_delay_ms, rest_ms, ip, handling_ms, trouble
-- REST  tally and n of each
--       held: see owned in shared/leases.lua; scheme: its number; text: zlib, perhaps with more behind it;
--       crawl_delay_ms, ip: '' where unknown
--       event ok: the text holds for ttl_ms and is stored for spare_ms more; fail, stall, robots, dead, untrusted:
--       nothing is known, the host rests; hang, crash: the worker that read it hung or died: the host is given up, at
--       once or after the third
-- RETURNS OK | LEASE_LOST | NO_CRAWL
local no = refusal()
if no then
  return { no }
end
local token, scheme, event, text = ARG.token, ARG.scheme, ARG.event, ARG.text
local lease = owned(token, ARG.held)
if not lease then
  return { 'LEASE_LOST' }
end

end_lease(token, lease)
local key = host_key(lease.host)
if event == 'ok' then
  local ttl = tonumber(ARG.ttl_ms)
  redis.call('SET', KEYS[OWN_KEYS], text, 'PX', ttl + tonumber(ARG.spare_ms))
  redis.call('HSET', key, 'robots_until:' .. scheme, T + ttl)
  add(key, 'robots_rev', 1)
  if ARG.crawl_delay_ms == '' then
    redis.call('HDEL', key, 'delay')
  else
    redis.call('HSET', key, 'delay', ARG.crawl_delay_ms)
  end
end
if ARG.ip ~= '' then
  answered_by(lease.host, ARG.ip)
end
for i = REST, #ARGV, 2 do
  count(ARGV[i], ARGV[i + 1])
end
apply_event(lease.host, event, false, ARG.trouble)
rest(lease.host, tonumber(ARG.rest_ms))
settle(lease.host)
labour(lease.host, tonumber(ARG.handling_ms), token)
return { 'OK' }
