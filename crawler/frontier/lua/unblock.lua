-- unblock.lua: hosts that were blocked are ready again, at once, as far as no other name blocks them.
-- KEYS  of each known host
-- ARGS  names
-- REST  as many names, as they were blocked; then known hosts that match one
-- RETURNS OK, how many of the names were blocked, how many URLs wait again | NO_CRAWL | DELETING
local no = refusal() or deleting()
if no then
  return { no }
end
local behind, known, held = REST + tonumber(ARG.names), 0, 0
for i = REST, behind - 1 do
  known = known + redis.call('SREM', BLOCKED, ARGV[i])
end
for i = behind, #ARGV do
  local host = ARGV[i]
  local key = KEYS[OWN_KEYS + i - behind]
  if not is_blocked(host) and redis.call('HDEL', key, 'blocked') == 1 then
    held = held + (number(redis.call('HGET', key, 'queued')) or 0)
    settle(host)
  end
end
count('held', -held)
return { 'OK', known, held }
