-- retry.lua: end a page's lease without an outcome: the URL goes to the tail of its queue and is tried again.
-- ARGS  token, held, event, rest_ms, charge, alone_ms, entry, handling_ms, trouble
--       held: see owned in shared/leases.lua
--       charge: 0 none, 1 a retry, 16 a crash
--       alone_ms: how long the host rests when this URL is all that it has queued
--       entry: another spelling of the same URL on the same host, by which it is tried next, or ''
--       event fail is the host's fault: only the first one, on a healthy host, is charged to its URL
-- RETURNS OK | LEASE_LOST | NO_CRAWL
local no = refusal()
if no then
  return { no }
end
local token, event, rest_ms = ARG.token, ARG.event, tonumber(ARG.rest_ms)
local charge, alone_ms = tonumber(ARG.charge), tonumber(ARG.alone_ms)
local lease = owned(token, ARG.held)
if not lease then
  return { 'LEASE_LOST' }
end

end_lease(token, lease)
local was_failing = apply_event(lease.host, event, lease.kind == 'P', ARG.trouble)
if lease.kind == 'P' then
  if event == 'fail' and was_failing then
    charge = 0
  end
  if ARG.entry ~= '' then
    lease.entry = string.sub(lease.entry, 1, 1) .. string.sub(ARG.entry, 2)
  end
  requeue(lease, 'RIGHT', charge)
  if charge >= CRASH then -- its worker is dead: when the fetch ended is not known
    rest_again(lease.host)
  end
  if redis.call('HGET', host_key(lease.host), 'queued') == '1' then
    rest(lease.host, alone_ms)
  end
end
rest(lease.host, rest_ms)
settle(lease.host)
labour(lease.host, tonumber(ARG.handling_ms), token)
return { 'OK' }
