-- block.lua: the URLs of some hosts are not handed out any more, and no others of them are accepted. Leases that are
-- out end as usual. Queues stay as they are: the time that this takes does not depend on them.
-- Names are sent first, then the hosts that are known: a host that comes between is refused as new.
-- KEYS  of each known host
-- ARGS  names
-- REST  as many names: a host, or `*.name` for a name and all below it; then known hosts that match one
-- RETURNS OK, how many of the hosts were not blocked before, how many URLs of these are held | NO_CRAWL | DELETING
local no = refusal() or deleting()
if no then
  return { no }
end
local behind = REST + tonumber(ARG.names)
redis.call('DEL', PROBE) -- a taking away first, so that it goes through when Redis is full
for i = REST, behind - 1 do
  redis.call('SADD', BLOCKED, ARGV[i])
end
redis.call('HSET', META, 'blocks', 1)
BLOCKS = '1'
local hosts, held = 0, 0
for i = behind, #ARGV do
  local host = ARGV[i]
  local key = KEYS[OWN_KEYS + i - behind]
  if is_blocked(host) and redis.call('EXISTS', key) == 1 and redis.call('HSETNX', key, 'blocked', 1) == 1 then
    unplace(host)
    hosts, held = hosts + 1, held + (number(redis.call('HGET', key, 'queued')) or 0)
  end
end
count('held', held)
return { 'OK', hosts, held }
