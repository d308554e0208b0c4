-- drain.lua: free what an export has written and synced: of a page its text and its record. A stub stays: that the URL
-- has ended, how, and where it was found. A dead letter keeps its record, so that it can be tried again.
-- Why Lua: a page that is committed again between look and removal would lose what was not exported yet.
-- The entries of `records` go in any case: readers skip one that is not its page's latest.
-- KEYS  page of each
-- REST  stream id, id and stub of each, at most 500
-- RETURNS OK number | NO_CRAWL | DELETING
local no = refusal() or deleting()
if no then
  return { no }
end
local drained, k = 0, OWN_KEYS
for i = REST, #ARGV, 3 do
  local at, id, stub, page = ARGV[i], ARGV[i + 1], ARGV[i + 2], KEYS[k]
  redis.call('XDEL', RECORDS, at) -- first, so that it goes through when Redis is full
  local was = redis.call('HMGET', page, 'at', 'token', 'd', 'to', 's')
  if was[1] == at then
    if redis.call('ZSCORE', FAILED, id) then
      redis.call('HDEL', page, 'at')
    else
      redis.call('DEL', page) -- a smaller hash is packed only when it is made anew
      redis.call('HSET', page, 'm', stub, 'token', was[2])
      if was[3] then
        redis.call('HSET', page, 'd', was[3])
      end
      if was[4] then
        redis.call('HSET', page, 'to', was[4])
      end
      if was[5] then
        redis.call('HSET', page, 's', was[5])
      end
    end
    drained = drained + 1
  end
  k = k + 1
end
count('drained', drained)
return { 'OK', drained }
