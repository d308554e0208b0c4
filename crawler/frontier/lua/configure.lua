-- configure.lua: change settings of a running crawl; workers see the new revision with their next lease.
-- ARGS  max_time_ms
-- REST  field and value of `meta`, repeated
--       max_time_ms: from now, '' none, '-' as it is
-- RETURNS OK | NO_CRAWL | DELETING
local no = refusal() or deleting()
if no then
  return { no }
end
if ARG.max_time_ms == '' then
  redis.call('HDEL', META, 'until')
elseif ARG.max_time_ms ~= '-' then
  redis.call('HSET', META, 'until', T + tonumber(ARG.max_time_ms))
end
for i = REST, #ARGV, 2 do
  if ARGV[i + 1] == '' then
    redis.call('HDEL', META, ARGV[i])
  else
    redis.call('HSET', META, ARGV[i], ARGV[i + 1])
  end
end
add(META, 'settings_rev', 1)
-- a slot more may make hosts leasable that are in no other verb's hands: their next commit settles them
return { 'OK' }
