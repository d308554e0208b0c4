-- feedback.lua: what an answer changes for its host: health, back-off, address, and the time that its pages take.

-- doubled back-off; failures of transfers that began together count as one
local function back_off(host, first_ms, max_ms)
  local key = host_key(host)
  local h = redis.call('HMGET', key, 'backoff', 'backoff_until', 'failing_since')
  local backoff, over = number(h[1]) or 0, number(h[2]) or 0
  if T >= over then
    backoff = math.min(math.max(backoff * 2, first_ms), max_ms)
    local since = number(h[3])
    if since and PATIENCE > 0 then -- do not sleep past the moment at which patience ends
      backoff = math.min(backoff, math.max(since + PATIENCE + 1 - T, 1000))
    end
    over = T + backoff
    redis.call('HSET', key, 'backoff', backoff, 'backoff_until', over)
  end
  rest(host, over - T)
end

-- set_trouble: what is wrong with a host now, in words: '' is nothing. Since when is kept while it lasts.
-- `settle` follows, which keeps FAILING.
local function set_trouble(host, trouble, was)
  local key = host_key(host)
  if trouble == '' then
    if was then
      redis.call('HDEL', key, 'trouble', 'trouble_ms')
      redis.call('ZREM', FAILING, host)
    end
  elseif trouble ~= was then
    redis.call('HSET', key, 'trouble', trouble)
    redis.call('HSETNX', key, 'trouble_ms', T)
  end
end

-- apply_event: what an answer means for its host. ok: healthy; slow: 429, 503 and the like; fail: no connection; stall:
-- the connection broke or nothing came; dead: its name does not exist; untrusted: its certificate or handshake fails;
-- robots: robots.txt is unavailable; late: it was given up early, because others waited; hang, crash: its robots.txt
-- stopped the worker that read it; none: not known; unsent: nothing was asked. `is_page`: a page was answered, which
-- proves the host. `trouble`: why it counts as failing, in words, or ''.
-- Returns true when the host was failing before.
local function apply_event(host, event, is_page, trouble)
  local key = host_key(host)
  local knows = event ~= 'none' and event ~= 'unsent'
  if not knows and trouble == '' then
    return false
  end
  local h = redis.call('HMGET', key, 'failing_since', 'late', 'answers', 'backoff', 'robots_crashes', 'trouble')
  local since, late, answers = h[1], h[2], number(h[3]) or 0
  local index = index_of(since, late, answers)
  if event ~= 'late' then
    set_trouble(host, trouble, h[6])
  end
  if not knows then
    return false
  end
  if event == 'ok' or event == 'slow' then
    if is_page and answers < PROVEN_AFTER then
      answers = answers + 1
      redis.call('HSET', key, 'answers', answers)
    end
    if since or late or h[4] or h[5] then
      redis.call('HDEL', key, 'failing_since', 'late', 'no_name_since', 'robots_crashes')
    end
    move(host, index, index_of(nil, nil, answers))
    if event == 'slow' then
      back_off(host, BACKOFF_MS, BACKOFF_MAX_MS)
    elseif h[4] then
      redis.call('HDEL', key, 'backoff', 'backoff_until')
    end
    return since and true or false
  end
  redis.call('HDEL', key, 'answers')
  redis.call('ZREM', index, host)
  if event == 'late' then
    redis.call('HSET', key, 'late', 1)
    rest_again(host)
  elseif event == 'hang' then
    redis.call('HSET', key, 'failing_since', HANGS)
  elseif event == 'crash' then
    if add(key, 'robots_crashes', 1) >= MAX_ROBOTS_CRASHES then
      redis.call('HSET', key, 'failing_since', CRASHES)
    end
    rest_again(host)
  elseif event == 'dead' then
    local first, apart = number(redis.call('HGET', key, 'no_name_since')), NO_NAME_REST_MS
    if PATIENCE > 0 then -- it is to be known before patience ends
      apart = math.min(apart, math.max(math.floor(PATIENCE / 2), 1000))
    end
    if first and T - first >= apart then
      redis.call('HSET', key, 'failing_since', NO_NAME)
    else
      redis.call('HSET', key, 'no_name_since', first or T, 'failing_since', since or T)
      rest(host, apart)
    end
  elseif event == 'untrusted' then
    redis.call('HSET', key, 'failing_since', since and NO_TRUST or T)
    rest(host, DEAD_REST_MS)
  else
    if not since then
      redis.call('HSET', key, 'failing_since', T)
    end
    if event == 'robots' then
      back_off(host, ROBOTS_BACKOFF_MS, ROBOTS_BACKOFF_MAX_MS)
    else
      back_off(host, BACKOFF_MS, BACKOFF_MAX_MS)
    end
  end
  return since and true or false
end

-- labour: a page of this host took `ms` of a worker's CPU. If that is long its site rests while others are due, in this
-- worker and in all others. Later its pages are leased one at a time, until those that were leased so took less.
local function labour(host, ms, token)
  if ms < HEAVY_MS and not SLOW_PAGES then
    return
  end
  local site = redis.call('HGET', host_key(host), 'site') or host
  if ms >= HEAVY_MS then
    redis.call('HSET', META, 'slow_pages', 1)
    local now = number(redis.call('ZSCORE', BUSY, site)) or 0
    redis.call('ZADD', BUSY, math.max(now, T + math.min(ms * LABOUR_PARTS, LABOUR_MAX_MS)), site)
    redis.call('HSET', SITES, site .. ' cost', ms)
    redis.call('HDEL', SITES, site .. ' probe')
    for _, old in ipairs(redis.call('ZRANGEBYSCORE', BUSY, '-inf', T - 2 * LABOUR_MAX_MS, 'LIMIT', 0, 8)) do
      redis.call('ZREM', BUSY, old)
      redis.call('HDEL', SITES, old .. ' cost', old .. ' probe')
    end
  elseif redis.call('HGET', SITES, site .. ' probe') == token then
    local cost = (number(redis.call('HGET', SITES, site .. ' cost')) or 0) / 8
    redis.call('HDEL', SITES, site .. ' probe')
    if cost >= HEAVY_MS then
      redis.call('ZADD', BUSY, T, site)
      redis.call('HSET', SITES, site .. ' cost', math.floor(cost))
    else
      redis.call('ZREM', BUSY, site)
      redis.call('HDEL', SITES, site .. ' cost')
    end
  end
end

-- answered_by: a host's latest address; the latest one of its site counts for its hosts whose address is not known
local function answered_by(host, ip)
  redis.call('HSET', host_key(host), 'ip', ip)
  if CROWDS then
    redis.call('HSET', SITES, (redis.call('HGET', host_key(host), 'site') or host) .. ' ip', ip)
  end
end

-- unreachable: why a host is not asked any more: dns, tls, its robots.txt hangs or crashes workers, or it is away for
-- too long; nil where it is
local function unreachable(failing_since)
  if failing_since == NO_NAME then
    return 'dns'
  elseif failing_since == NO_TRUST then
    return 'tls'
  elseif failing_since == HANGS then
    return 'hang'
  elseif failing_since == CRASHES then
    return 'crash'
  end
  return failing_since and PATIENCE > 0 and T - failing_since > PATIENCE and 'away' or nil
end
