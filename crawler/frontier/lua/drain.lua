-- drain.lua: free what an export has written and synced: of a page its record and its contents. Its state stays. A
-- dead letter keeps its record, so that it can be tried again; so does a visit that failed, until it is written too.
-- Why Lua: a page that is committed again between look and removal would lose what was not exported yet.
-- The entries of `records` go in any case: readers skip one that stands for nothing.
-- KEYS  page of each
-- REST  stream id and id of each, at most 500
-- RETURNS OK number | NO_CRAWL | DELETING
local no = refusal() or deleting()
if no then
  return { no }
end
local drained, k = 0, OWN_KEYS
for i = REST, #ARGV, 2 do
  local at, id, page = ARGV[i], ARGV[i + 1], KEYS[k]
  redis.call('XDEL', RECORDS, at) -- first, so that it goes through when Redis is full
  local was = redis.call('HMGET', page, 'at', 'fat', 'f')
  if was[1] == at then
    local is_letter = redis.call('ZSCORE', FAILED, id)
    if is_letter and not was[3] then
      redis.call('HDEL', page, 'at')
    else
      redis.call('DEL', page)
    end
    if was[2] then -- the record of a visit that failed takes the place of the good one
      redis.call('HSET', page, 'm', was[3], 'at', was[2])
    elseif was[3] and is_letter then
      redis.call('HSET', page, 'm', was[3])
    end
    drained = drained + 1
  elseif was[2] == at then
    redis.call('HDEL', page, 'fat')
    drained = drained + 1
  end
  k = k + 1
end
count('drained', drained)
return { 'OK', drained }
