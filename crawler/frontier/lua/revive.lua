-- revive.lua: dead letters go back into their hosts' first queues, as if never tried. What their hosts failed is
-- forgotten; a rest that they still have is kept. The state of a URL stays, with a mark; and so does a good record.
-- What failed in this visit counts as failed no more: it will be counted when it has ended.
-- One that failed after the caller looked is another one: so a call that is delivered twice brings none back twice.
-- KEYS  page and `ended` of each
-- ARGS  latest
-- REST  id, the same in 8 bytes, host and entry of each, at most 500
--       latest: when the last of them failed (server's clock in ms)
-- RETURNS OK number | NO_CRAWL | DELETING | OOM
local no = refusal() or deleting() or full()
if no then
  return { no }
end
for i = REST, #ARGV, 4 do
  sound(ARGV[i + 2])
end
for k = OWN_KEYS, #KEYS do
  redis.call('HLEN', KEYS[k]) -- a key of another type stops the script before its first write
end

local latest, revived, k = tonumber(ARG.latest), 0, OWN_KEYS
local began = number(redis.call('HGET', META, 'visit_ms')) or 0
for i = REST, #ARGV, 4 do
  local id, field, host, entry, page, ended = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], KEYS[k], KEYS[k + 1]
  local failed = redis.call('ZSCORE', FAILED, id)
  if failed and math.floor(number(failed) or latest) <= latest then
    redis.call('ZREM', FAILED, id)
    if redis.call('HDEL', page, 'f', 'fat') == 0 then
      redis.call('DEL', page)
    end
    count('ended', -1)
    local state = redis.call('HGET', ended, field)
    if is_state(state) then
      local outcome = OUTCOMES[string.byte(state, STATE_OUTCOME) + 1]
      if outcome then
        count('outcome:' .. outcome, -1)
        local is_counted = string.sub(outcome, 1, 7) == 'failed:' and (number(failed) or 0) >= began
        local is_page = bit.band(string.byte(entry, 4), ENTRY_SITEMAP + ENTRY_TARGET) == 0
        if is_counted and is_page and redis.call('HGET', COUNTERS, 'visit:failed') then
          count('visit:failed', -1)
        end
      end
      redis.call('HSET', ended, field, with_marks(state, bit.bor(string.byte(state, STATE_MARKS), STATE_QUEUED)))
    end
    redis.call('HDEL', host_key(host), 'failing_since', 'late', 'backoff', 'backoff_until', 'no_name_since',
      'robots_crashes')
    unplace(host)
    requeue({ host = host, priority = '0', entry = entry }, 'RIGHT', 0)
    redis.call('HSETNX', host_key(host), 'due', T)
    settle(host)
    revived = revived + 1
  end
  k = k + 2
end
return { 'OK', revived }
