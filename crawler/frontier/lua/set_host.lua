-- set_host.lua: a setting of some hosts, which counts for them in place of the crawl's; also for those met later.
-- KEYS  of each known host
-- ARGS  setting, value, names
--       setting: delay (ms), per_host or max_pages_per_host; value: '' takes it away
-- REST  as many names: a host, or `*.name` for a name and all below it; then known hosts that match one
-- RETURNS OK 0, how many known hosts there are | NO_CRAWL | DELETING
local no = refusal() or deleting()
if no then
  return { no }
end
local behind, known = REST + tonumber(ARG.names), 0
redis.call('DEL', PROBE) -- a taking away first, so that it goes through when Redis is full
redis.call('HSET', META, 'host_settings', 1)
for i = REST, behind - 1 do
  local field = ARG.setting .. ' ' .. ARGV[i]
  if ARG.value == '' then
    redis.call('HDEL', HOST_SETTINGS, field)
  else
    redis.call('HSET', HOST_SETTINGS, field, ARG.value)
  end
end
for i = behind, #ARGV do
  if redis.call('EXISTS', KEYS[OWN_KEYS + i - behind]) == 1 then
    inherit(ARGV[i])
    settle(ARGV[i])
    known = known + 1
  end
end
return { 'OK', 0, known }
