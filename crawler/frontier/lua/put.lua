-- put.lua: accept requests that were not seen before, up to 1,000 a call, and the roots they bring.
-- Why Lua: a URL that is in `seen` but in no queue is lost for ever, so both are one step.
-- KEYS  parcels of other shards (see post in shared/outbox.lua), then host, lists and `seen` sets (see accept
--       in shared/admission.lua)
-- ARGV  generation, source (a seeder) or '', term_ms, number of roots, roots, parcels, groups of requests
-- RETURNS OK new seen over_budget, hosts whose tail is to be packed | NO_CRAWL | DELETING | OOM
local no = refusal() or deleting() or full()
if no then
  return { no }
end
local k, a = post(OWN_KEYS, add_roots(4))
local new, seen, over, long = accept(k, a, ARGV[2] ~= '')
if ARGV[2] ~= '' then
  redis.call('ZADD', SOURCES, T + tonumber(ARGV[3]), ARGV[2])
end
return { 'OK', new, seen, over, long }
