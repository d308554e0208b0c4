-- lease.lua: hand out up to `want` URLs of hosts that are due, each under a token until a deadline.
-- Why Lua: popping and leasing are one step, or a URL in the hands of a dying client is lost.
-- Politeness is decided here: at most `per_host` in flight, `due` moves on by the delay with every lease, and while an
-- origin's robots.txt is unknown or expired a robots lease is all that its host gives. A sitemap waits while its host
-- has enough pages queued. With `per_ip`, a host whose address is busy is looked at again a little later.
-- A host whose next pages are packed gives none until a worker has unpacked them, who is told by this reply.
-- ARGV  generation, call (64 random bits, made by the client), want, term_ms, worker
-- RETURNS OK | PAUSED | LIMIT | OOM | NO_CRAWL | DELETING, wait_ms (-1: nothing is queued), accepted, queued, leased,
--         ended, open sources, parcels that are not delivered, settings_rev, roots_rev, traps_rev, hosts
--         whose head is low while there are segments, then a lease each:
--         {token, kind, host, entry, robots_rev, delay_ms, why it is not to be asked or ''}; of a robots lease the entry is the
--         number of its scheme. A repeated call gives the same leases and nothing new.
local BUDGET_WAIT_MS = 1000
local IP_WAIT_MS = 250 -- until a host is looked at again whose address had no free slot
local PACKED_WAIT_MS = 20 -- or whose pages are all packed
local ENOUGH_PAGES = 1000 -- queued pages of a host beside which its sitemaps wait
local call, want, term, worker = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
local no = refusal()
if no then
  return { no }
end

local function facts(host)
  local h = redis.call('HMGET', host_key(host), 'queued', 'in_flight', 'delay', 'failing_since', 'robots_rev', 'asking',
    'latency', 'ip', 'due', 'robots_until:0', 'robots_until:1', 'robots_until:2', 'robots_until:3')
  return {
    host = host,
    queued = number(h[1]) or 0,
    counted = number(h[1]) and true, -- else its count is lost, or another hand wrote it
    in_flight = number(h[2]) or 0,
    delay = host_delay(h[3], h[7]),
    unreachable = unreachable(number(h[4])),
    robots_rev = number(h[5]) or 0,
    asking = h[6],
    ip = PER_IP and h[8],
    due = number(h[9]),
    robots_until = { [0] = number(h[10]), number(h[11]), number(h[12]), number(h[13]) },
  }
end

local function told(token, kind, entry, f)
  return { token, kind, f.host, entry, f.robots_rev, f.delay, f.unreachable or '' }
end

local low = {}

local function reply(status, leases, least_wait)
  local c = redis.call('HMGET', COUNTERS, 'accepted', 'queued', 'leased', 'ended')
  local wait = next_due()
  if wait >= 0 then
    wait = math.max(wait, least_wait or 0)
  end
  local out = { status, wait, number(c[1]) or 0, number(c[2]) or 0, number(c[3]) or 0,
    number(c[4]) or 0, open_sources(), pending(), SETTINGS_REV, ROOTS_REV, TRAPS_REV, low }
  for i = 1, #leases do
    out[#out + 1] = leases[i]
  end
  return out
end

-- a repeated call: what it leased before is still there
local tokens = {}
for i = 1, want do
  tokens[i] = call .. ':' .. i
end
if want > 0 then
  local held = {}
  for i, value in ipairs(redis.call('HMGET', LEASED, unpack(tokens))) do
    if value then
      local lease = read_lease(value)
      held[#held + 1] = told(tokens[i], lease.kind, lease.entry, facts(lease.host))
    end
  end
  if #held > 0 then
    return reply('OK', held)
  end
end

local refused = deleting() or (STATE == 'paused' and 'PAUSED') or nil
local reached, budget = limit()
refused = refused or reached or (want > 0 and full()) or nil
if refused then
  return reply(refused, {})
end
if want > 0 and budget == 0 then -- the last pages of the budget are in flight: they may yet fail
  return reply('OK', {}, BUDGET_WAIT_MS)
end
want = math.min(want, budget)
local due = want > 0 and redis.call('ZCOUNT', READY, '-inf', T) or 0
if due == 0 then
  return reply('OK', {})
end

local function robots_key(host, scheme)
  return PREFIX .. 'robots:' .. (scheme % 2 == 1 and 'https://' or 'http://') .. host
    .. ((scheme == 2 and ':443') or (scheme == 3 and ':80') or '')
end

local hosts = redis.call('ZRANGEBYSCORE', READY, '-inf', T, 'LIMIT', 0, want)
for _, host in ipairs(hosts) do
  touch(host)
  if ROBOTS then
    redis.call('EXISTS', robots_key(host, 0), robots_key(host, 1), robots_key(host, 2), robots_key(host, 3))
  end
end

local function robots_known(f, scheme)
  return (f.robots_until[scheme] or 0) > T and redis.call('EXISTS', robots_key(f.host, scheme)) == 1
end

local function has_enough_pages(host)
  return length(host, 1) + length(host, 'tail') >= ENOUGH_PAGES or length(host, 'packed') > 0
end

-- the next page of a host; where its head is empty and nothing is packed, its tail becomes the head
local function next_page(host)
  local entry = redis.call('LINDEX', queue_key(host, 1), 0)
  if not entry and length(host, 'packed') == 0 and length(host, 'tail') > 0 then
    redis.call('RENAME', queue_key(host, 'tail'), queue_key(host, 1))
    entry = redis.call('LINDEX', queue_key(host, 1), 0)
  end
  return entry
end

local function head(host)
  local waiting
  for priority = 0, 2 do
    local entry
    if priority == 1 then
      entry = next_page(host)
    else
      entry = redis.call('LINDEX', queue_key(host, priority), 0)
    end
    if entry and priority == 0 and is_sitemap(entry) and has_enough_pages(host) then
      waiting = entry
    elseif entry then
      return entry, priority
    end
  end
  return waiting, 0
end

local leases, pages = {}, 0

local function hand_out(f, kind, priority, entry)
  local token = tokens[#leases + 1]
  redis.call('ZADD', LEASES, T + term, token)
  redis.call('HSET', LEASED, token, kind .. priority .. ' ' .. worker .. ' ' .. f.host .. ' ' .. entry)
  if f.ip and not f.unreachable then
    redis.call('HSET', IP_OF, token, f.ip)
    add(IPS, f.ip, 1)
    if not IPS_USED then
      IPS_USED = '1'
      redis.call('HSET', META, 'ips_used', 1)
    end
  end
  leases[#leases + 1] = told(token, kind, entry, f)
  return token
end

-- a host whose entries are all handed out, by its count: what another hand put into its queues is taken in
local function take_in(f)
  local more = queued_in(f.host)
  if more > 0 then
    add(host_key(f.host), 'queued', more)
    if f.counted then
      count('queued', more)
      count('accepted', more)
    end
  end
end

-- one host's part: up to `most` entries, or one robots lease
local function lease_from(f, most)
  local taken, asked = 0, false
  while taken < most and f.queued > taken do
    local entry, priority = head(f.host)
    if not entry and length(f.host, 'packed') > 0 then
      if taken == 0 then
        rest(f.host, PACKED_WAIT_MS)
      end
      break
    elseif not entry then
      local lost = f.queued - taken -- the list was emptied by another hand: mend the counts
      f.queued = taken
      add(host_key(f.host), 'queued', -lost)
      count('queued', -lost)
      count('lost', lost)
      break
    end
    local scheme = is_ours(entry, f.host) and string.byte(entry, 4) % 4
    if ROBOTS and scheme and not f.unreachable and not robots_known(f, scheme) then
      if taken == 0 then
        redis.call('HSET', host_key(f.host), 'asking', hand_out(f, 'R', 0, tostring(scheme)))
        asked = true
      end
      break
    end
    redis.call('LPOP', queue_key(f.host, priority))
    hand_out(f, 'P', priority, entry)
    taken = taken + 1
  end
  local gave = taken > 0 or asked
  if gave then
    f.queued, f.in_flight = f.queued - taken, f.in_flight + taken + (asked and 1 or 0)
    local changed = { 'queued', f.queued, 'in_flight', f.in_flight }
    if not f.unreachable then -- as `rest` does
      f.due = math.max(f.due or 0, T + f.delay)
      changed[5], changed[6] = 'due', f.due
      if f.delay > 0 and asked then
        redis.call('HDEL', host_key(f.host), 'undo')
      elseif f.delay > 0 then
        changed[7], changed[8] = 'undo', tokens[#leases]
      end
    end
    redis.call('HSET', host_key(f.host), unpack(changed))
    pages = pages + taken
  end
  if length(f.host, 'packed') > 0 and length(f.host, 1) < LOW then
    low[#low + 1] = f.host
  end
  if gave and f.queued > 0 then
    settle_as(f.host, f.queued, f.in_flight, f.due, f.asking or asked)
  else
    if f.queued == 0 then
      take_in(f)
    end
    settle(f.host)
  end
end

local share = math.ceil(want / due)

-- one host's turn
local function lease_of(host)
  local f = facts(host)
  local most = math.min(share, want - #leases)
  if not f.unreachable then
    most = math.min(most, f.delay > 0 and 1 or NEVER, SLOTS - f.in_flight)
  end
  if f.ip and not f.unreachable then
    local of_ip = PER_IP - (number(redis.call('HGET', IPS, f.ip)) or 0)
    if of_ip <= 0 then
      rest(host, IP_WAIT_MS)
    end
    most = math.min(most, math.max(of_ip, 0))
  end
  if f.asking then
    most = 0
  end
  lease_from(f, most)
end

for _, host in ipairs(hosts) do
  if #leases >= want then
    break
  end
  if is_name(host) then
    lease_of(host)
  else
    redis.call('ZREM', READY, host) -- another hand put it there
  end
end
count('queued', -pages)
count('leased', pages)
if next_due() == 0 then
  wake()
end
return reply('OK', leases)
