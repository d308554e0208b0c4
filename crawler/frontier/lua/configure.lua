-- configure.lua: change settings of a running crawl; workers see the new revision with their next lease.
-- ARGV  generation, max_time in ms from now ('' none, '-' as it is), then field and value of `meta`, repeated
-- RETURNS OK | NO_CRAWL | DELETING
local no = refusal() or deleting()
if no then
  return { no }
end
if ARGV[2] == '' then
  redis.call('HDEL', META, 'until')
elseif ARGV[2] ~= '-' then
  redis.call('HSET', META, 'until', T + tonumber(ARGV[2]))
end
for i = 3, #ARGV, 2 do
  if ARGV[i + 1] == '' then
    redis.call('HDEL', META, ARGV[i])
  else
    redis.call('HSET', META, ARGV[i], ARGV[i + 1])
  end
end
add(META, 'settings_rev', 1)
-- a slot more may make hosts leasable that are in no other verb's hands: their next commit settles them
return { 'OK' }
