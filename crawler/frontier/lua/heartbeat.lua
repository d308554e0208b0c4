-- heartbeat.lua: a worker says what it is doing; an empty text takes it off the list.
-- ARGV  generation, worker, JSON or ''    RETURNS OK | NO_CRAWL
local no = refusal()
if no then
  return { no }
end
redis.call('HDEL', WORKERS, ARGV[2]) -- first, so that it goes through when Redis is full
if ARGV[3] ~= '' then
  redis.call('HSET', WORKERS, ARGV[2], T .. ' ' .. ARGV[3])
end
return { 'OK' }
