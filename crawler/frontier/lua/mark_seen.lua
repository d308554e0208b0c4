-- mark_seen.lua: links to what another crawl has fetched are refused from now on. Workers compute the fingerprints of
-- links that are new to them and look here for them; the first call makes them do so.
-- KEYS  the `seen_before` set of each number
-- REST  numbers of fingerprints: 63 bits of each
-- RETURNS OK, how many were new | NO_CRAWL | DELETING | OOM
local no = refusal() or deleting() or full()
if no then
  return { no }
end
local new = 0
for i = REST, #ARGV do
  new = new + redis.call('SADD', KEYS[OWN_KEYS + i - REST], ARGV[i])
end
if redis.call('HSETNX', META, 'seen_before', 1) == 1 then
  add(META, 'settings_rev', 1)
end
return { 'OK', new }
