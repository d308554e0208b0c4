-- extend.lua: push back the deadline of leases that their owner still holds, overdue ones too.
-- Why Lua: check and write must be one step, or a late worker revives a lease that reap gave away.
-- ARGS  term_ms
-- REST  the tokens
-- RETURNS OK lost tokens... | NO_CRAWL
local no = refusal()
if no then
  return { no }
end
local out = { 'OK' }
for i = REST, #ARGV do
  if redis.call('ZREM', LEASES, ARGV[i]) == 1 then -- a ZREM, so that the ZADD goes through when Redis is full
    redis.call('ZADD', LEASES, T + tonumber(ARG.term_ms), ARGV[i])
  else
    out[#out + 1] = ARGV[i]
  end
end
return out
