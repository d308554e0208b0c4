-- lease.lua: hand out up to `want` URLs of hosts that are due, each under a token until a deadline.
-- Why Lua: popping and leasing are one step, or a URL in the hands of a dying client is lost.
-- Politeness is decided here: at most `per_host` in flight, `due` moves on by the delay with every lease, and while an
-- origin's robots.txt is unknown or expired a robots lease is all that its host gives. A sitemap waits while its host
-- has enough pages queued. With `per_ip`, a host whose address is busy is looked at again a little later.
-- A host whose next pages are packed gives none until a worker has unpacked them: this reply names it.
-- Shares: proven hosts come first, but for what new ones are sure of; failing ones get what they are sure of, and more
-- only while no other host is due. Hosts of a site that has half of all, or whose pages took long to handle, are passed
-- over as long as others are due.
-- The hosts of a site at one address have a share in common, if they are many.
-- ARGS  call, want, term_ms, worker, new, failing, most, reserve, most_new, half, sees_addresses
-- REST  of each site with leases in this worker's hands: its name, how many, how many that move
--       call: 64 random bits, made by the client
--       want: for proven and new hosts; new: what new hosts are sure of, part of want
--       failing: what failing ones are sure of, beside want
--       most: what all may have while nothing but failing hosts is due
--       reserve: what new ones leave for proven ones that are not yet due; most_new: what they may have, of want
--       half: what one site may have while others are due; sees_addresses: 1 if it sees which addresses answer
-- RETURNS OK | PAUSED | LIMIT | OOM | NO_CRAWL | DELETING, wait_ms (-1: nothing is queued), accepted, queued,
--         leased, ended, open sources, messages that are not delivered, settings_rev, roots_rev, traps_rev, hosts whose
--         head is low while there are segments, new hosts that are due and got nothing, held URLs, then a lease each:
--         {token, kind, host, entry, robots_rev, delay_ms, why it is not to be asked or '', standing: proven, new or
--         failing, what is wrong with its host, in words, or '', 1 if the validators of its host are not used}; of a
--         robots lease the entry is the number of its scheme. A repeated call gives the same leases and nothing new.
local BUDGET_WAIT_MS = 1000
local FORGET_MS = 60000 -- after which a group that nobody was asked of is forgotten
local IP_WAIT_MS = 250 -- until a host is looked at again whose address had no free slot
local PACKED_WAIT_MS = 20 -- or whose pages are all packed
local ENOUGH_PAGES = 1000 -- queued pages of a host beside which its sitemaps wait
local WINDOWS = 4 -- how many times as many hosts as are wanted are looked at, while those found are passed over
local MAX_BUSY = 100 -- sites whose pages take long that are considered
local SOON = 32 -- hosts that are looked at for one that will soon be due
local BUSY_WAIT_MS = 1000 -- until one of a site that rests is looked at again
local PASSED_WAIT_MS = 250 -- until one that was passed over is looked at again, where more are behind it
local call, want, term, worker = ARG.call, tonumber(ARG.want), tonumber(ARG.term_ms), ARG.worker
local sure_new, sure_failing, most_in_all = tonumber(ARG.new), tonumber(ARG.failing), tonumber(ARG.most)
local reserve, most_new = tonumber(ARG.reserve), tonumber(ARG.most_new)
local half, sees_addresses = tonumber(ARG.half), ARG.sees_addresses == '1'
local of_site, moving = {}, {} -- leases of each site in this worker's hands, those that this call gives among them
for i = REST, #ARGV, 3 do
  of_site[ARGV[i]], moving[ARGV[i]] = tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2]) > 0
end
local no = refusal()
if no then
  return { no }
end

local function facts(host)
  local h = redis.call('HMGET', host_key(host), 'queued', 'in_flight', 'delay', 'failing_since', 'robots_rev', 'asking',
    'latency', 'ip', 'due', 'robots_until:0', 'robots_until:1', 'robots_until:2', 'robots_until:3', 'late', 'answers',
    'site', 'trouble', 'own_delay', 'own_per_host', 'no_validators')
  return {
    host = host,
    queued = number(h[1]) or 0,
    counted = number(h[1]) and true, -- else its count is lost, or something else wrote it
    in_flight = number(h[2]) or 0,
    delay = host_delay(h[3], h[7], h[18]),
    slots = h[19],
    unreachable = unreachable(number(h[4])),
    robots_rev = number(h[5]) or 0,
    asking = h[6],
    ip = PER_IP and h[8],
    address = h[8],
    due = number(h[9]),
    robots_until = { [0] = number(h[10]), number(h[11]), number(h[12]), number(h[13]) },
    index = index_of(h[4], h[14], h[15]),
    site = h[16] or host,
    trouble = h[17] or '',
    no_validators = h[20] and 1 or 0,
  }
end

local STANDING = { [READY_PROVEN] = 'proven', [READY] = 'new', [READY_FAILING] = 'failing' }

local function report(token, kind, entry, f)
  return { token, kind, f.host, entry, f.robots_rev, f.delay, f.unreachable or '', STANDING[f.index], f.trouble,
    f.no_validators }
end

local low, new_hosts = {}, 0

local function reply(status, leases, least_wait)
  local c = redis.call('HMGET', COUNTERS, 'accepted', 'queued', 'leased', 'ended', 'held')
  local wait = next_due()
  if wait >= 0 then
    wait = math.max(wait, least_wait or 0)
  end
  local out = { status, wait, number(c[1]) or 0, number(c[2]) or 0, number(c[3]) or 0,
    number(c[4]) or 0, open_sources(), pending(), SETTINGS_REV, ROOTS_REV, TRAPS_REV, low,
    new_hosts, BLOCKS and number(c[5]) or 0 }
  for i = 1, #leases do
    out[#out + 1] = leases[i]
  end
  return out
end

-- a repeated call: what it leased before is still there
local tokens, in_all = {}, math.max(want + sure_failing, most_in_all)
for i = 1, in_all do
  tokens[i] = call .. ':' .. i
end
if in_all > 0 then
  local held = {}
  for i, value in ipairs(redis.call('HMGET', LEASED, unpack(tokens))) do
    if value then
      local lease = read_lease(value)
      held[#held + 1] = report(tokens[i], lease.kind, lease.entry, facts(lease.host))
    end
  end
  if #held > 0 then
    return reply('OK', held)
  end
end

local refused = deleting() or (STATE == 'paused' and 'PAUSED') or nil
local reached, budget = limit()
refused = refused or reached or (in_all > 0 and full()) or nil
if refused then
  return reply(refused, {})
end
if in_all > 0 and budget == 0 then -- the last pages of the budget are in flight: they may yet fail
  return reply('OK', {}, BUDGET_WAIT_MS)
end
in_all = math.min(in_all, budget)
want = math.min(want, in_all)
if in_all == 0 then
  return reply('OK', {})
end

local function robots_key(host, scheme)
  return PREFIX .. 'robots:' .. (scheme % 2 == 1 and 'https://' or 'http://') .. host
    .. ((scheme == 2 and ':443') or (scheme == 3 and ':80') or '')
end

local astray, looked_at = {}, {} -- what something else put into an index: index and host

-- site whose pages take long -> until when it rests; whether this call has found a host of it
local busy, probed = {}, {}
if SLOW_PAGES then
  local rows = redis.call('ZRANGE', BUSY, -MAX_BUSY, -1, 'WITHSCORES')
  for i = 1, #rows, 2 do
    busy[rows[i]] = number(rows[i + 1]) or 0
  end
end

-- passed_over: whether others go first; those of a busy site go one at a time
local function passed_over(f)
  if f.unreachable then
    return false
  end
  f.rests = busy[f.site] and (busy[f.site] > T or probed[f.site])
  if f.rests or (of_site[f.site] or 0) >= half then
    return true
  end
  probed[f.site] = true
  of_site[f.site] = (of_site[f.site] or 0) + 1
  return false
end

-- look: hosts of an index that are due, the first ones first: up to `most` that may be leased from, those that are
-- passed over, how many are due in all, and how many of these were looked at. Nothing is written.
local function look(index, most)
  local found, passed, at = {}, {}, 0
  local due = most > 0 and redis.call('ZCOUNT', index, '-inf', T) or 0
  while at < due and #found < most and at < WINDOWS * most do
    for _, host in ipairs(redis.call('ZRANGEBYSCORE', index, '-inf', T, 'LIMIT', at, most)) do
      touch(host)
      if ROBOTS then
        redis.call('EXISTS', robots_key(host, 0), robots_key(host, 1), robots_key(host, 2), robots_key(host, 3))
      end
      local f = is_name(host) and not looked_at[host] and facts(host)
      if f then
        looked_at[host] = true
        local list = passed_over(f) and passed or found
        list[#list + 1] = f
      end
      if not f or f.index ~= index then
        astray[#astray + 1] = { index, host }
      end
    end
    at = at + most
  end
  return { found = found, passed = passed, due = due, seen = at }
end

local of_proven, of_new = look(READY_PROVEN, want), look(READY, want)
local is_quiet = of_proven.due + of_new.due == 0
local for_failing = math.min(is_quiet and math.max(most_in_all, sure_failing) or sure_failing, in_all)
local of_failing = look(READY_FAILING, for_failing)
if of_failing.due + of_proven.due + of_new.due == 0 then
  return reply('OK', {})
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
  if (f.ip or f.group) and not f.unreachable then
    redis.call('HSET', IP_OF, token, (f.ip or '') .. '\n' .. (f.group or ''))
    if f.ip then
      add(IPS, f.ip, 1)
    end
    if f.group then
      add(IPS, f.group, 1)
      redis.call('ZADD', STARTS, f.next_start, f.group)
    end
    if not IPS_USED then
      IPS_USED = '1'
      redis.call('HSET', META, 'ips_used', 1)
    end
  end
  if busy[f.site] and not f.unreachable then
    local cost = number(redis.call('HGET', SITES, f.site .. ' cost')) or 0
    redis.call('ZADD', BUSY, T + math.min(cost * LABOUR_PARTS, LABOUR_MAX_MS), f.site)
    redis.call('HSET', SITES, f.site .. ' probe', token)
  end
  leases[#leases + 1] = report(token, kind, entry, f)
  return token
end

-- a host whose entries are all handed out, by its count: what something else put into its queues is taken in
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
      local lost = f.queued - taken -- the list was emptied by something else: repair the counts
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
    settle_as(f.host, f.queued, f.in_flight, f.due, f.asking or asked, f.index, f.slots)
  else
    if f.queued == 0 then
      take_in(f)
    end
    settle(f.host)
  end
end

-- take_turn: of a site with many hosts, whether its group may be asked now: at most MANY_HOSTS starts a delay, and
-- MANY_HOSTS times `per_host` at once. If not, the host gets a place in the line, and is not looked at before its time.
local function take_turn(f)
  if not CROWDS or not sees_addresses or DELAY == 0 then
    return true
  end
  local s = redis.call('HMGET', SITES, f.site .. ' hosts', f.site .. ' ip')
  if (number(s[1]) or 0) <= MANY_HOSTS then
    return true
  end
  local group, interval = f.site .. ' ' .. (f.address or s[2] or ''), start_interval(f.delay)
  local next_start = number(redis.call('ZSCORE', STARTS, group)) or 0
  local is_full = (number(redis.call('HGET', IPS, group)) or 0) >= MANY_HOSTS * SLOTS
  for _, old in ipairs(redis.call('ZRANGEBYSCORE', STARTS, '-inf', T - FORGET_MS, 'LIMIT', 0, 8)) do
    redis.call('ZREM', STARTS, old)
  end
  if next_start <= T and not is_full then
    f.group, f.next_start = group, math.max(next_start, T - interval) + interval
    return true
  end
  local line = group .. ' line'
  local place = math.max(number(redis.call('ZSCORE', STARTS, line)) or 0, next_start, is_full and T + IP_WAIT_MS or 0)
  rest(f.host, place - T)
  redis.call('ZADD', STARTS, place + interval, line)
  return false
end

-- one host's turn
local function lease_of(f, share)
  local most = f.asking and 0 or share
  if most > 0 and not f.unreachable and not take_turn(f) then
    most = 0
  end
  if not f.unreachable then
    most = math.min(most, f.delay > 0 and 1 or NEVER, slots_of(f.slots) - f.in_flight)
  end
  if f.ip and not f.unreachable then
    local of_ip = PER_IP - (number(redis.call('HGET', IPS, f.ip)) or 0)
    if of_ip <= 0 then
      rest(f.host, IP_WAIT_MS)
    end
    most = math.min(most, math.max(of_ip, 0))
  end
  lease_from(f, most)
end

-- others: whether hosts of other sites are at work, or will be due before a page that takes `cost` ms has ended
local function others(cost)
  for site, moves in pairs(moving) do
    if moves and not busy[site] then
      return true
    end
  end
  for _, index in ipairs({ READY_PROVEN, READY }) do
    for _, host in ipairs(redis.call('ZRANGEBYSCORE', index, '(' .. T, T + cost, 'LIMIT', 0, SOON)) do
      if not busy[redis.call('HGET', host_key(host), 'site') or host] then
        return true
      end
    end
  end
  return false
end

local anyone -- whether others go before the sites that rest; found out when it matters
local function may_go_on(f)
  if f.rests and anyone == nil then
    anyone = #of_proven.found + #of_new.found > 0
      or others(math.min(number(redis.call('HGET', SITES, f.site .. ' cost')) or 0, LABOUR_MAX_MS))
  end
  return not (f.rests and anyone)
end

-- turns: lease from each host in `list` that had no turn yet, until there are `bound` leases in all
local function turns(list, bound, due)
  local share = math.ceil((bound - #leases) / math.max(due, 1))
  for _, f in ipairs(list) do
    if #leases >= bound then
      return
    end
    if not f.had_turn and may_go_on(f) then
      f.had_turn = true
      lease_of(f, math.min(share, bound - #leases))
    end
  end
end

for _, place in ipairs(astray) do
  redis.call('ZREM', place[1], place[2])
end
if of_new.due > 0 then
  turns(of_new.found, math.min(sure_new, most_new, want), of_new.due)
end
local given_new = #leases
turns(of_proven.found, want, of_proven.due)
if of_new.due > 0 then
  local bound = want - math.min(reserve, redis.call('ZCARD', READY_PROVEN))
  turns(of_new.found, math.min(bound, #leases + most_new - given_new), of_new.due)
end
turns(of_proven.passed, want, of_proven.due) -- nothing else is due
turns(of_new.passed, math.min(want, #leases + most_new - given_new), of_new.due)
local bound = math.min(#leases + for_failing, in_all)
turns(of_failing.found, bound, of_failing.due)
turns(of_failing.passed, bound, of_failing.due)
for _, of in ipairs({ of_proven, of_new, of_failing }) do
  for _, f in ipairs(of.passed) do
    if not f.had_turn and (f.rests or of.due > of.seen) then -- so that others come into view
      rest(f.host, f.rests and BUSY_WAIT_MS or PASSED_WAIT_MS)
      settle(f.host)
    end
  end
end
new_hosts = of_new.due
for _, f in ipairs(of_new.found) do
  new_hosts = new_hosts - (f.had_turn and 1 or 0)
end
count('queued', -pages)
count('leased', pages)
if next_due() == 0 then
  wake()
end
return reply('OK', leases)
