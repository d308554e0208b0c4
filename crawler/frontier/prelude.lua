-- prelude.lua: what all verbs share: names of keys, the clock, refusals, settle, end_lease, rest, accept.
-- What is read from Redis may have been written by another hand: numbers are read by `number` and added to by `add`.
-- KEYS[1..21] are the fixed keys (keys.py); ARGV[1] is the generation that the caller works for.
-- Every verb returns an array whose first element says what became of it: OK or the name of a refusal.
local META, READY, LEASES, LEASED, COUNTERS, WAKE = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local RECORDS, FAILED, SOURCES, ROOTS, WORKERS, PROBE = KEYS[7], KEYS[8], KEYS[9], KEYS[10], KEYS[11], KEYS[12]
local SITES, TRAPS, IPS, IP_OF, OUTBOX = KEYS[13], KEYS[14], KEYS[15], KEYS[16], KEYS[17]
local READY_PROVEN, READY_FAILING, BUSY, STARTS = KEYS[18], KEYS[19], KEYS[20], KEYS[21]
local OWN_KEYS, OWN_ARGS = 22, 2 -- where a verb's own keys and arguments begin
local PREFIX = string.sub(META, 1, -5)

local NEVER = 9007199254740991 -- 2^53 - 1: a time that does not come
local CRASH = 16 -- what the death of a worker adds to the first byte of the entry it was handling
local BACKOFF_MS, BACKOFF_MAX_MS = 1000, 300000 -- a host that fails or says "slow down"
local ROBOTS_BACKOFF_MS, ROBOTS_BACKOFF_MAX_MS = 60000, 3600000 -- a host whose robots.txt cannot be had
local DEAD_REST_MS = 2000 -- a broken certificate is tried once more, then given up
local NO_NAME_REST_MS = 20000 -- so is a name that does not exist: by two answers so far apart
local NO_NAME, NO_TRUST, HANGS, CRASHES = 1, 2, 3, 4 -- `failing_since` of a host that is given up
local MAX_ROBOTS_CRASHES = 3 -- workers that die of a host's robots.txt until it is
local WAKE_HINTS = 8
local ADAPTED_MAX_MS = 30000 -- the longest delay that a slow host gets by being slow
local HEAVY_MS = 100 -- of a worker's CPU for one page: from here on it counts as its site's
local LABOUR_PARTS, LABOUR_MAX_MS = 20, 300000 -- a site rests so many times as long as its page took, at most so long
local MANY_HOSTS = 10 -- of a site at one address: together they get at most so many times what one host gets
local PROVEN_AFTER = 2 -- pages that a host has answered without a failure between them: then it is proven

-- number: a value as one; nil for anything that is none, or none that can be reckoned with (inf, nan)
local function number(value)
  local n = tonumber(value)
  if n and n > -NEVER and n < NEVER then
    return n
  end
end

-- add: to a number in a hash, and what it is then. What is no number counts as 0; `mend` counts again.
local function add(key, field, n)
  local now = redis.pcall('HINCRBY', key, field, n)
  if type(now) ~= 'table' then
    return now
  elseif string.find(now.err, 'not an integer', 1, true) or string.find(now.err, 'overflow', 1, true) then
    redis.call('HSET', key, field, n)
    return tonumber(n)
  end
  return redis.call('HINCRBY', key, field, n) -- another trouble: its error is the answer
end

-- settings and state, read once a call
local m = redis.call('HMGET', META, 'generation', 'state', 'delay', 'per_host', 'robots', 'max_pages',
  'max_pages_per_host', 'patience', 'until', 'settings_rev', 'roots_rev', 'traps_rev', 'adaptive', 'max_pages_per_site',
  'max_hosts_per_site', 'per_ip', 'ips_used', 'schema', 'shards', 'overflow', 'crowds', 'full_site',
  'slow_pages')
local GENERATION, STATE = m[1], m[2]
local DELAY, SLOTS, ROBOTS = number(m[3]) or 0, math.max(number(m[4]) or 1, 1), m[5] == '1'
local MAX_PAGES, MAX_PAGES_PER_HOST = number(m[6]), number(m[7])
local PATIENCE, UNTIL = number(m[8]) or 0, number(m[9])
local SETTINGS_REV, ROOTS_REV, TRAPS_REV = number(m[10]) or 0, number(m[11]) or 0, number(m[12]) or 0
local ADAPTIVE = number(m[13]) or 0 -- thousandths
local MAX_PAGES_PER_SITE, MAX_HOSTS_PER_SITE, PER_IP = number(m[14]), number(m[15]), number(m[16])
local IPS_USED = m[17] -- leases were ever counted by address
local FULL_SITE = m[22] -- it fills Redis: no new links of it
local CROWDS = m[21] -- a site ever had more than MANY_HOSTS hosts
local SLOW_PAGES = m[23] -- a page ever took HEAVY_MS: there may be sites in BUSY
local SHARDS = number(m[19]) or 1
local OVERFLOW = math.max(number(m[20]) or 8192, 1) -- entries in the head of a host's pages; more go to its tail
local SEGMENT, LOW = math.ceil(OVERFLOW / 2), math.ceil(OVERFLOW / 4) -- a tail so long is packed, a head so short filled

local T = now_ms()

local function gone()
  if not GENERATION or GENERATION ~= ARGV[1] then
    return 'NO_CRAWL'
  end
end

-- SCHEMA is what scripts.py puts before: another version may have taken the crawl over since it was found.
local function refusal()
  return gone() or (m[18] ~= SCHEMA and 'OTHER_SCHEMA' or nil)
end

local function deleting()
  if STATE == 'deleting' then
    return 'DELETING'
  end
end

-- Out of memory is only checked until a script's first successful write, so it is asked for by a write of nothing.
local function full()
  local reply = redis.pcall('SETRANGE', PROBE, 0, '')
  if type(reply) == 'table' and reply.err then
    if string.find(reply.err, 'OOM', 1, true) then
      return 'OOM'
    end
    redis.call('SETRANGE', PROBE, 0, '') -- another trouble (a replica, a disk that is full): its error is the answer
  end
end

local function host_key(host)
  return PREFIX .. 'host:' .. host
end

-- part: 0 sitemaps and retries by hand, 1 pages, 2 quarantined. The pages of a host that has many lie in three lists,
-- the next ones first: 1, the head, which alone is leased from; 'packed', segments of compressed entries; 'tail'.
local function queue_key(host, part)
  return PREFIX .. 'queue:' .. host .. ':' .. part
end

-- In a slot that is moving a missing key stops a script: touch all before the first write.
local function touch(host)
  redis.call('EXISTS', host_key(host), queue_key(host, 0), queue_key(host, 1), queue_key(host, 2),
    queue_key(host, 'packed'), queue_key(host, 'tail'))
end

-- is_name: whether a host's name can be one; entries of any other are never handed out
local function is_name(host)
  return host ~= '' and not string.find(host, '[^!-~]') and not string.find(host, '[#%%/<>?@\\^|]')
end

local function length(host, part)
  return redis.call('LLEN', queue_key(host, part))
end

-- segment_size: how many entries a segment says that it holds (see segments.py); none where it is no segment
local function segment_size(segment)
  local high, low = string.byte(segment, 1, 2)
  return low and high * 256 + low or 0
end

-- queued_in: how many entries a host's queues hold, whatever its count says
local function queued_in(host)
  local n = length(host, 0) + length(host, 1) + length(host, 2) + length(host, 'tail')
  for i = 0, length(host, 'packed') - 1 do
    n = n + segment_size(redis.call('LINDEX', queue_key(host, 'packed'), i))
  end
  return n
end

-- end_of: the list that a host's next pages go to
local function end_of(host)
  local tail = queue_key(host, 'tail')
  local is_long = redis.call('EXISTS', queue_key(host, 'packed'), tail) > 0
  if is_long then -- of another kind: said before anything is written
    length(host, 'packed')
    length(host, 'tail')
  end
  return (length(host, 1) >= OVERFLOW or is_long) and tail or queue_key(host, 1)
end

-- sound: stop here, before the first write, if a key that is written later is of another kind: half of a page's end
-- would lose its URL. It touches all keys of the host as well.
local function sound(host)
  redis.call('HLEN', host_key(host))
  length(host, 0)
  length(host, 1)
  length(host, 2)
  length(host, 'packed')
  length(host, 'tail')
  redis.call('HLEN', COUNTERS)
  redis.call('ZCARD', READY_PROVEN)
  redis.call('ZCARD', READY)
  redis.call('ZCARD', READY_FAILING)
  redis.call('LLEN', WAKE)
end

local function count(field, n)
  if n ~= 0 then
    add(COUNTERS, field, n)
  end
end

-- tally: the same for many fields at once, each with what is added to it
local function tally(more)
  local fields, sums = {}, {}
  for field in pairs(more) do
    fields[#fields + 1] = field
  end
  local now = redis.call('HMGET', COUNTERS, unpack(fields))
  for i, field in ipairs(fields) do
    sums[2 * i - 1], sums[2 * i] = field, (number(now[i]) or 0) + more[field]
  end
  redis.call('HSET', COUNTERS, unpack(sums))
end

local function wake()
  redis.call('LPUSH', WAKE, '1')
  redis.call('LTRIM', WAKE, 0, WAKE_HINTS - 1)
end

-- index_of: which of the three indexes of hosts one belongs to: of those that failed or were too late the last time,
-- of those that are proven, or of those that are new.
local function index_of(failing_since, late, answers)
  if failing_since or late then
    return READY_FAILING
  end
  return (number(answers) or 0) >= PROVEN_AFTER and READY_PROVEN or READY
end

-- move: a host changes its index: `settle`, which follows, puts it into the new one
local function move(host, from, to)
  if from ~= to then
    redis.call('ZREM', from, host)
  end
end

-- unplace: the same where it is not known in which index it is
local function unplace(host)
  redis.call('ZREM', READY_PROVEN, host)
  redis.call('ZREM', READY, host)
  redis.call('ZREM', READY_FAILING, host)
end

-- settle: a host is in its index at `due` exactly when it has queued entries, a free slot and no robots lease out.
-- settle_as: the same where these facts of it are known.
local function settle_as(host, queued, in_flight, due, asking, index)
  if (number(queued) or 0) > 0 and (number(in_flight) or 0) < SLOTS and not asking then
    if redis.call('ZADD', index, number(due) or T, host) == 1 then
      wake()
    end
  else
    redis.call('ZREM', index, host)
  end
end

local function settle(host)
  local h = redis.call('HMGET', host_key(host), 'queued', 'in_flight', 'due', 'asking', 'failing_since', 'late', 'answers')
  settle_as(host, h[1], h[2], h[3], h[4], index_of(h[5], h[6], h[7]))
end

-- host_delay: ms between two requests to a host: the crawl's, its robots.txt's, or what its latency asks for.
-- Without any delay nothing is adapted: who sets it to 0 wants speed.
local function host_delay(crawl_delay, latency)
  local delay = math.max(DELAY, number(crawl_delay) or 0)
  if delay > 0 and ADAPTIVE > 0 then
    delay = math.max(delay, math.min(math.floor((number(latency) or 0) * ADAPTIVE / 1000), ADAPTED_MAX_MS))
  end
  return delay
end

-- rest: the host is not asked before `ms` from now. Kept in the host's hash, so it outlives an empty queue.
-- From now on the delay of its latest lease is not given back: somebody else had a reason to let it rest.
local function rest(host, ms)
  local key = host_key(host)
  if ms > 0 then
    redis.call('HDEL', key, 'undo')
  end
  local due = number(redis.call('HGET', key, 'due')) or 0
  if T + ms > due then
    redis.call('HSET', key, 'due', T + ms)
  end
end

-- rest_again: whoever held a lease of this host may have asked it at the last moment: its delay begins anew.
local function rest_again(host)
  local h = redis.call('HMGET', host_key(host), 'delay', 'latency')
  rest(host, host_delay(h[1], h[2]))
end

local function read_lease(value)
  local kind, priority, worker, host, entry = string.match(value, '^(%u)(%d) (%S+) (%S+) (.*)$')
  return { kind = kind, priority = priority, worker = worker, host = host, entry = entry }
end

-- end_lease: the only thing that frees a slot. Returns the lease that ended, or nil when it is not held; `held` is what
-- `holds` gave, `sums` takes what the caller adds to the counters. Its first write is ZREM, which goes through when Redis
-- is full; so does all that follows in the script.
local function end_lease(token, held, sums)
  local value = held or redis.call('HGET', LEASED, token)
  redis.call('ZREM', LEASES, token)
  if not value then
    return nil
  end
  redis.call('HDEL', LEASED, token)
  local lease = held or read_lease(value)
  if not lease.host then
    return nil
  end
  local key = host_key(lease.host)
  local counted = IPS_USED and redis.call('HGET', IP_OF, token)
  if counted then
    redis.call('HDEL', IP_OF, token)
    for name in string.gmatch(counted, '[^\n]+') do
      if add(IPS, name, -1) <= 0 then
        redis.call('HDEL', IPS, name)
      end
      lease.group = string.find(name, ' ', 1, true) and name
    end
  end
  add(key, 'in_flight', -1)
  if lease.kind == 'R' then
    redis.call('HDEL', key, 'asking')
  elseif sums then
    sums.leased = -1
  else
    count('leased', -1)
  end
  return lease
end

-- holds: whether `token` still stands for what its caller was given: kind, host and entry, as one string. A call of
-- `lease` that the network delivers again when its leases have ended gives its tokens to other URLs. Returns the lease.
local function holds(token, what)
  local value = redis.call('HGET', LEASED, token)
  if not value then
    return false
  end
  local lease = read_lease(value)
  if not lease.host or lease.kind .. ' ' .. lease.host .. ' ' .. lease.entry ~= what then
    return false
  end
  sound(lease.host)
  return lease
end

-- add `charge` to an entry's first byte: low half retries, high half crashes, neither flows over
local function charged(entry, charge)
  local first = string.byte(entry, 1) or 0
  local retries, crashes = first % 16, math.floor(first / 16)
  if charge >= CRASH then
    crashes = math.min(crashes + 1, 15)
  elseif charge > 0 then
    retries = math.min(retries + charge, 15)
  end
  return string.char(crashes * 16 + retries) .. string.sub(entry, 2)
end

-- start_interval: ms between two requests to a group (see `starts` in keys.py) of hosts with this delay. Two may start
-- close together where one was late, and some reach the address later than others: an eighth keeps it below ten.
local function start_interval(delay)
  return math.max(math.floor(delay / (MANY_HOSTS - 2)), 1)
end

-- give_back: nothing was sent under this lease, so the delay that it began is over, if it was the host's latest one.
local function give_back(host, token, group)
  local key = host_key(host)
  local next_start = group and number(redis.call('ZSCORE', STARTS, group))
  if next_start then
    local h = redis.call('HMGET', key, 'delay', 'latency')
    redis.call('ZADD', STARTS, next_start - start_interval(host_delay(h[1], h[2])), group)
  end
  if redis.call('HGET', key, 'undo') == token then
    redis.call('HDEL', key, 'undo')
    redis.call('HSET', key, 'due', T)
  end
end

-- put an ended lease's entry back to the 'LEFT' (front) or 'RIGHT' (tail) of its queue
local function requeue(lease, side, charge)
  local entry = charged(lease.entry, charge)
  if side == 'LEFT' then
    redis.call('LPUSH', queue_key(lease.host, lease.priority), entry)
  else
    redis.call('RPUSH', lease.priority == '1' and end_of(lease.host) or queue_key(lease.host, lease.priority), entry)
  end
  add(host_key(lease.host), 'queued', 1)
  count('queued', 1)
end

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

-- feel: what an answer means for its host. ok: healthy; slow: it said "slow down"; fail: no connection; stall: the
-- connection broke or nothing came; dead: its name does not exist; untrusted: its
-- certificate or handshake fails; robots: robots.txt cannot be had; late: it was given up early, because others waited;
-- none: not known; unsent: nothing was asked. `is_page`: it is a page that was answered, which proves the host.
-- Returns true when the host was failing before.
local function feel(host, event, is_page)
  local key = host_key(host)
  if event == 'none' or event == 'unsent' then
    return false
  end
  local h = redis.call('HMGET', key, 'failing_since', 'late', 'answers', 'backoff', 'robots_crashes')
  local since, late, answers = h[1], h[2], number(h[3]) or 0
  local index = index_of(since, late, answers)
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

-- answered_by: a host's latest address; the latest one of its site stands for hosts of it whose address is not known
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

-- is_ours: whether an entry is one at all; whatever else lies in a queue is handed out to be ended as a dead letter,
-- and nothing is asked for its sake. What it takes for one, Entry.decode (records.py) judges more strictly.
local function is_ours(entry, host)
  local flags = string.byte(entry, 4)
  if not flags or flags >= 64 or flags % 16 >= 4 or (flags % 4 >= 2 and string.find(host, ':%d+$')) then
    return false
  end
  return string.byte(entry, math.floor(flags / 32) == 1 and 17 or 13) == 47
end

-- is_sitemap: whether a queue entry is to be read as a sitemap
local function is_sitemap(entry)
  return math.floor((string.byte(entry, 4) or 0) / 16) % 2 == 1
end

-- room_of: how many more URLs of a host are accepted, and by which budget; '' as site: the host is a site by itself.
-- seeded: they were named by a person, who may name as many hosts as he likes.
local function room_of(hash, host, site, seeded)
  local h = redis.call('HMGET', hash, 'accepted', 'due')
  local accepted, is_new = number(h[1]) or 0, not h[2]
  local room, why = NEVER, 'budget'
  if MAX_PAGES_PER_HOST then
    room = MAX_PAGES_PER_HOST - accepted
  end
  local of_site, hosts = accepted, 0
  if site ~= '' and (MAX_PAGES_PER_SITE or (is_new and MAX_HOSTS_PER_SITE)) then
    local s = redis.call('HMGET', SITES, site, site .. ' hosts')
    of_site, hosts = number(s[1]) or 0, number(s[2]) or 0
  end
  if MAX_PAGES_PER_SITE and MAX_PAGES_PER_SITE - of_site < room then
    room, why = MAX_PAGES_PER_SITE - of_site, 'site-budget'
  end
  if is_new and MAX_HOSTS_PER_SITE and hosts >= MAX_HOSTS_PER_SITE and room > 0 and not seeded then
    room, why = 0, 'site-hosts'
  end
  if FULL_SITE and FULL_SITE == (site ~= '' and site or host) and room > 0 and not seeded then
    room, why = 0, 'site-queue'
  end
  return room, why
end

-- accept: requests in groups of one queue each. KEYS from k: host, its lists (of sitemaps: 0; of pages: 1, packed, tail),
-- then a `seen` set for each request;
-- ARGV from a: number of groups, then for each: host, site or '', number of requests, then id and entry of each.
-- Those unseen and within the budgets of host and site enter seen, queue and accepted; sitemaps, which are in groups of
-- their own, have no budget. Returns new, seen, over budget, and the hosts whose tail has become long enough to be packed:
-- told to one caller, and again when it is as long once more.
local function accept(k, a, seeded)
  local new, seen, over, long = 0, 0, 0, {}
  local refused = {}
  local groups = tonumber(ARGV[a])
  a = a + 1
  for _ = 1, groups do
    local host, site, n = ARGV[a], ARGV[a + 1], tonumber(ARGV[a + 2])
    local hash, queue, tail = KEYS[k], KEYS[k + 1], nil
    a, k = a + 3, k + 2
    local sitemaps = is_sitemap(ARGV[a + 1])
    if sitemaps then
      redis.call('LLEN', queue) -- of another kind: said before its URLs count as seen
    else
      queue, tail, k = end_of(host), KEYS[k + 1], k + 2
    end
    local room, why = NEVER, nil
    if not sitemaps then
      room, why = room_of(hash, host, site, seeded)
    end
    local fresh = {}
    for _ = 1, n do
      if #fresh >= room then
        if redis.call('SISMEMBER', KEYS[k], ARGV[a]) == 1 then
          seen = seen + 1
        else
          over = over + 1
          refused[why] = (refused[why] or 0) + 1
        end
      elseif redis.call('SADD', KEYS[k], ARGV[a]) == 1 then
        fresh[#fresh + 1] = ARGV[a + 1]
      else
        seen = seen + 1
      end
      a, k = a + 2, k + 1
    end
    if #fresh > 0 then
      local length_now = redis.call('RPUSH', queue, unpack(fresh))
      if queue == tail and length_now % SEGMENT < #fresh then
        long[#long + 1] = host
      end
      add(hash, 'queued', #fresh)
      if redis.call('HSETNX', hash, 'due', T) == 1 and site ~= '' then
        if add(SITES, site .. ' hosts', 1) > MANY_HOSTS and not CROWDS then
          CROWDS = '1'
          redis.call('HSET', META, 'crowds', 1)
        end
        if site ~= host then
          redis.call('HSET', hash, 'site', site)
        end
      end
      if not sitemaps then
        add(hash, 'accepted', #fresh)
        if site ~= '' then
          add(SITES, site, #fresh)
        end
      end
      new = new + #fresh
      settle(host)
    end
  end
  count('accepted', new)
  count('queued', new)
  for why, n in pairs(refused) do
    count('refused:' .. why, n)
  end
  return new, seen, over, long
end

-- add_roots: ARGV from a: number, then roots. Returns the index behind them.
local function add_roots(a)
  local n = tonumber(ARGV[a])
  local added = 0
  for i = a + 1, a + n do
    added = added + redis.call('SADD', ROOTS, ARGV[i])
  end
  if added > 0 then
    add(META, 'roots_rev', 1)
  end
  return a + 1 + n
end

-- post: requests of other shards, into this one's outbox, with the roots they bring. KEYS from k: the parcels of each
-- target; ARGV from a: number of parcels, then target and data of each. Returns the indexes behind them.
local function post(k, a, left_out)
  local n = tonumber(ARGV[a])
  for i = 1, left_out and 0 or n do
    redis.call('XADD', KEYS[k + i - 1], '*', 'd', ARGV[a + 2 * i])
    add(OUTBOX, ARGV[a + 2 * i - 1] .. ':pending', 1)
  end
  if n > 0 and not left_out then
    add(OUTBOX, 'pending', n)
  end
  return k + n, a + 1 + 2 * n
end

-- pending: how many parcels are not yet delivered
local function pending()
  return SHARDS > 1 and number(redis.call('HGET', OUTBOX, 'pending')) or 0
end

local function open_sources()
  return redis.call('ZCOUNT', SOURCES, '(' .. T, '+inf')
end

-- fetched: pages with a final answer; sitemaps do not count as pages
local function fetched()
  local c = redis.call('HMGET', COUNTERS, 'outcome:fetched', 'sitemaps')
  return (number(c[1]) or 0) - (number(c[2]) or 0)
end

-- limit: 'LIMIT' when nothing more is to be leased, by the crawl's own limits; and how many pages still may be
local function limit()
  if UNTIL and T >= UNTIL then
    return 'LIMIT', 0
  end
  if not MAX_PAGES then
    return nil, NEVER
  end
  local left = MAX_PAGES - fetched()
  if left <= 0 then
    return 'LIMIT', 0
  end
  return nil, math.max(left - (number(redis.call('HGET', COUNTERS, 'leased')) or 0), 0)
end

-- odd: the counts contradict each other or what there is, which no verb brings about: another hand changed keys.
local function odd()
  local c = redis.call('HMGET', COUNTERS, 'queued', 'leased', 'ended', 'accepted')
  local queued, leased = number(c[1]) or 0, number(c[2]) or 0
  local rows = redis.call('HLEN', LEASED)
  local ready = redis.call('ZCARD', READY_PROVEN) + redis.call('ZCARD', READY) + redis.call('ZCARD', READY_FAILING)
  return queued < 0 or leased < 0 or rows ~= redis.call('ZCARD', LEASES)
    or (rows == 0 and leased ~= 0)
    or (rows == 0 and ready == 0 and queued ~= 0)
    or (ready > 0 and queued <= 0)
    or (rows > 0 and queued <= 0 and leased <= 0)
    or (number(c[4]) or 0) < queued + leased + (number(c[3]) or 0)
end

local function next_due()
  local due = NEVER
  for _, index in ipairs({ READY_PROVEN, READY, READY_FAILING }) do
    local first = redis.call('ZRANGE', index, 0, 0, 'WITHSCORES')
    due = math.min(due, number(first[2]) or NEVER)
  end
  return due < NEVER and math.max(due - T, 0) or -1
end
