-- heartbeat.lua: a worker reports what it is doing; an empty text takes it off the list.
-- ARGS  worker, text
--       text: JSON; '' takes the worker off the list
-- RETURNS OK | NO_CRAWL
local no = refusal()
if no then
  return { no }
end
redis.call('HDEL', WORKERS, ARG.worker) -- first, so that it goes through when Redis is full
if ARG.text ~= '' then
  redis.call('HSET', WORKERS, ARG.worker, T .. ' ' .. ARG.text)
elseif redis.call('HLEN', WORKERS) > 0 then
  wake() -- it may have left because all is done: the next one need not find that out by itself
end
return { 'OK' }
