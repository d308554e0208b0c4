-- explain.lua: the state of a host, and how the rules of the other verbs judge it now; reads only.
-- KEYS  host
-- ARGS  host, site
--       site: see accept in shared/admission.lua
-- RETURNS OK queued in_flight accepted latency_ms crawl_delay_ms backoff_ms, ms until it is due, ms since it began to
--         fail (0: it does not, or it was given up at once), ms between two requests to it, why it is not asked any
--         more or '' (see unreachable in shared/feedback.lua), why no page of it is leased now (robots: its robots.txt
--         is requested; blocked; slot: all its slots are taken; due: it is not due) or '', which budget refuses another
--         link to it or '', what is wrong with it in words or '', since when (ms), how many of its URLs have
--         ended, and how many of them failed | NO_CRAWL
local no = refusal()
if no then
  return { no }
end
local out, h = { 'OK' }, redis.call('HMGET', KEYS[OWN_KEYS], 'queued', 'in_flight', 'accepted', 'latency', 'delay',
  'backoff', 'due', 'failing_since', 'asking', 'done', 'errors', 'trouble', 'trouble_ms', 'blocked',
  'own_delay', 'own_per_host')
for i = 1, 6 do
  out[i + 1] = number(h[i]) or 0
end
local rest_ms, since = math.max((number(h[7]) or 0) - T, 0), number(h[8])
out[8], out[9], out[10] = rest_ms, since and since > CRASHES and T - since or 0, host_delay(h[5], h[4], h[15])
out[11] = unreachable(since) or ''
out[12] = h[14] and 'blocked' or h[9] and 'robots' or out[3] >= slots_of(h[16]) and 'slot' or rest_ms > 0 and 'due'
  or ''
local room, why = room_of(KEYS[OWN_KEYS], ARG.host, ARG.site)
out[13] = is_blocked(ARG.host) and 'blocked' or room > 0 and '' or why
out[14], out[15], out[16], out[17] = h[12] or '', number(h[13]) or 0, number(h[10]) or 0, number(h[11]) or 0
return out
