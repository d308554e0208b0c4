-- revive.lua: dead letters go back into their hosts' first queues, as if never tried; their hosts are asked again.
-- KEYS  page of each
-- ARGV  generation, then id, host and entry of each, at most 500    RETURNS OK number | NO_CRAWL | DELETING | OOM
local no = refusal() or deleting() or full()
if no then
  return { no }
end
for i = OWN_ARGS, #ARGV, 3 do
  touch(ARGV[i + 1])
end
local revived, k = 0, OWN_KEYS
for i = OWN_ARGS, #ARGV, 3 do
  local id, host, entry = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  if redis.call('ZREM', FAILED, id) == 1 then
    local record = redis.call('HGET', KEYS[k], 'm')
    local readable, fields = pcall(cjson.decode, record or '{}')
    if readable and fields.outcome then
      count('outcome:' .. fields.outcome, -1)
    end
    redis.call('DEL', KEYS[k])
    redis.call('HDEL', host_key(host), 'failing_since', 'backoff', 'backoff_until')
    count('ended', -1)
    requeue({ host = host, priority = '0', entry = entry }, 'RIGHT', 0)
    redis.call('HSETNX', host_key(host), 'due', T)
    settle(host)
    revived = revived + 1
  end
  k = k + 1
end
return { 'OK', revived }
