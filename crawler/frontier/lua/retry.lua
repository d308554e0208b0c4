-- retry.lua: end a page's lease without an outcome: the URL goes to the tail of its queue and is tried again.
-- ARGV  generation, token, what is held (see owned in shared/leases.lua), event, rest_ms, charge, alone_ms, entry
--       or '', handling_ms
--       charge: 0 none, 1 a retry, 16 a crash
--       alone_ms: how long the host rests when this URL is all that it has queued
--       entry: another spelling of the same URL on the same host, by which it is tried next
--       event fail is the host's fault: only the first one, on a healthy host, is charged to its URL
-- RETURNS OK | LEASE_LOST | NO_CRAWL
local no = refusal()
if no then
  return { no }
end
local token, event, rest_ms = ARGV[2], ARGV[4], tonumber(ARGV[5])
local charge, alone_ms = tonumber(ARGV[6]), tonumber(ARGV[7])
local lease = owned(token, ARGV[3])
if not lease then
  return { 'LEASE_LOST' }
end

end_lease(token, lease)
local was_failing = apply_event(lease.host, event, lease.kind == 'P')
if lease.kind == 'P' then
  if event == 'fail' and was_failing then
    charge = 0
  end
  if ARGV[8] ~= '' then
    lease.entry = string.sub(lease.entry, 1, 1) .. string.sub(ARGV[8], 2)
  end
  requeue(lease, 'RIGHT', charge)
  if charge >= CRASH then -- nobody is left who could tell when its fetch had ended
    rest_again(lease.host)
  end
  if redis.call('HGET', host_key(lease.host), 'queued') == '1' then
    rest(lease.host, alone_ms)
  end
end
rest(lease.host, rest_ms)
settle(lease.host)
labour(lease.host, tonumber(ARGV[9]), token)
return { 'OK' }
