-- put.lua: accept requests that were not seen before, up to 1,000 a call, and the roots they bring.
-- Why Lua: a URL that is in `seen` but in no queue is lost for ever, so both are one step.
-- KEYS  `parcels` streams of other shards (see post in shared/outbox.lua), then host, lists and set of `seen` of each
--       group (see look_up in shared/admission.lua)
-- ARGS  source, term_ms
-- REST  number of roots, roots, messages to other shards, groups of requests
--       source: a seeder, or ''
-- RETURNS OK new seen over_budget, hosts whose tail is to be packed | NO_CRAWL | DELETING | OOM
local no = refusal() or deleting() or full()
if no then
  return { no }
end
local links = look_up(groups_at(OWN_KEYS, REST))
post(OWN_KEYS, add_roots(REST))
local new, seen, over, long = accept(links, ARG.source ~= '')
if ARG.source ~= '' then
  redis.call('ZADD', SOURCES, T + tonumber(ARG.term_ms), ARG.source)
end
return { 'OK', new, seen, over, long }
