-- revive.lua: dead letters go back into their hosts' first queues, as if never tried. What their hosts failed is
-- forgotten; a rest that they still have is kept.
-- One that failed after the caller looked is another one: so a call that is delivered twice brings none back twice.
-- KEYS  page of each
-- ARGS  latest
-- REST  id, host and entry of each, at most 500
--       latest: when the last of them failed (server's clock in ms)
-- RETURNS OK number | NO_CRAWL | DELETING | OOM
local no = refusal() or deleting() or full()
if no then
  return { no }
end
for i = REST, #ARGV, 3 do
  sound(ARGV[i + 1])
end

local function outcome_of(page)
  local readable, record = pcall(cjson.decode, redis.call('HGET', page, 'm') or '')
  local outcome = readable and type(record) == 'table' and record.outcome
  return type(outcome) == 'string' and outcome
end

local latest, revived, k = tonumber(ARG.latest), 0, OWN_KEYS
for i = REST, #ARGV, 3 do
  local id, host, entry, page = ARGV[i], ARGV[i + 1], ARGV[i + 2], KEYS[k]
  local failed = redis.call('ZSCORE', FAILED, id)
  if failed and math.floor(number(failed) or latest) <= latest then
    local outcome = outcome_of(page)
    redis.call('ZREM', FAILED, id)
    redis.call('DEL', page)
    count('ended', -1)
    if outcome then
      count('outcome:' .. outcome, -1)
    end
    redis.call('HDEL', host_key(host), 'failing_since', 'late', 'backoff', 'backoff_until', 'no_name_since',
      'robots_crashes')
    unplace(host)
    requeue({ host = host, priority = '0', entry = entry }, 'RIGHT', 0)
    redis.call('HSETNX', host_key(host), 'due', T)
    settle(host)
    revived = revived + 1
  end
  k = k + 1
end
return { 'OK', revived }
