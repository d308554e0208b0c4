-- admission.lua: which requests enter the queues: URLs not seen before, within the budgets; and roots.

-- room_of: how many more URLs of a host are accepted, and by which budget; '' as site: the host is a site by itself.
-- seeded: they are seeds, which the limit of hosts a site does not bind.
local function room_of(hash, host, site, seeded)
  local h = redis.call('HMGET', hash, 'accepted', 'due', 'own_max_pages_per_host')
  local accepted, is_new = number(h[1]) or 0, not h[2]
  local room, why = NEVER, 'budget'
  local most = number(SET_HOSTS and is_new and set_for(host, 'max_pages_per_host') or h[3]) or MAX_PAGES_PER_HOST
  if most then
    room = most - accepted
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

-- put_first: entries to the front of a queue, in their order; returns its length
local function put_first(queue, entries)
  local length_now
  for i = #entries, 1, -1 do
    length_now = redis.call('LPUSH', queue, entries[i])
  end
  return length_now
end

-- look_up: which URLs of groups of requests are new; before the first write. A group is of one queue.
-- KEYS from k, for each: host, its lists (of sitemaps: 0; of pages: 1, packed, tail), its shared set of `seen`.
-- ARGV from a: number of groups, then for each: host, site or '', priority (0: sitemaps, 1: pages, 2: pages that go to
-- the front of their host's queue), number of requests, their ids, and all entries as one string (see `_joined` in
-- outbox.py).
-- Returns how many URLs were seen, the groups that have others, and how many ids each of their hosts has.
local function look_up(k, a)
  local links = { seen = 0, groups = {}, counts = {} }
  local groups = tonumber(ARGV[a])
  a = a + 1
  for _ = 1, groups do
    local host, priority, first = ARGV[a], ARGV[a + 2], a + 4
    local behind = first + ARGV[a + 3]
    local hash, queue, tail, bucket = KEYS[k], KEYS[k + 1], KEYS[k + 3], KEYS[k + 4]
    if priority == '0' then
      tail, bucket, k = nil, KEYS[k + 2], k - 2
    end
    local count = seen_count(host, redis.call('HGET', hash, 'seen'))
    local new, parts, level = unseen(bucket, host, count, first, behind - 1)
    links.seen = links.seen + behind - first - #new
    if #new > 0 then
      links.counts[host] = count
      links.groups[#links.groups + 1] = { host = host, site = ARGV[a + 1], sitemaps = priority == '0',
        to_front = priority == '2', hash = hash, queue = queue, tail = tail, bucket = bucket, first = first,
        unseen = new, parts = parts, level = level, entries = ARGV[behind] }
    end
    a, k = behind + 1, k + 5
  end
  return links
end

-- admitted: ids and entries of a group that enter, each id once in a call; how many were taken before, how many are
-- more than there is room for
local function admitted(group, room, taken)
  local ids, entries, again, over = {}, {}, 0, 0
  local joined, before = group.entries, 4 * group.first - 1
  for _, i in ipairs(group.unseen) do
    local id = ARGV[i]
    if taken[id] then
      again = again + 1
    elseif #ids >= room then
      over = over + 1
    else
      local begin, behind = struct.unpack('>I4I4', joined, 4 * i - before)
      taken[id], ids[#ids + 1], entries[#entries + 1] = true, id, string.sub(joined, begin + 1, behind)
    end
  end
  return ids, entries, again, over
end

-- meet: what is noted of a host whose first URLs are accepted
local function meet(host, hash, site)
  if SET_HOSTS then
    inherit(host)
  end
  if site ~= '' then
    if add(SITES, site .. ' hosts', 1) > MANY_HOSTS and not CROWDS then
      CROWDS = '1'
      redis.call('HSET', META, 'crowds', 1)
    end
    if site ~= host then
      redis.call('HSET', hash, 'site', site)
    end
  end
end

-- accept: what `look_up` has found. URLs within the budgets of host and site enter seen, queue and accepted; sitemaps
-- have no budget. Returns new, seen, over budget, and the hosts whose tail has become long enough to be packed:
-- reported to one caller, and again when it is as long once more.
local function accept(links, seeded)
  local new, seen, over, long = 0, links.seen, 0, {}
  local refused, taken, counts = {}, {}, links.counts
  for _, group in ipairs(links.groups) do
    local host, site, hash, queue = group.host, group.site, group.hash, group.queue
    if group.sitemaps or group.to_front then
      redis.call('LLEN', queue) -- a key of another type stops the script before its URLs count as seen
    else
      queue = end_of(host)
    end
    local room, why = NEVER, nil
    if is_blocked(host) then
      room, why = 0, 'blocked'
    elseif not group.sitemaps then
      room, why = room_of(hash, host, site, seeded)
    end
    local ids, entries, again, more = admitted(group, room, taken)
    seen, over = seen + again, over + more
    if more > 0 then
      refused[why] = (refused[why] or 0) + more
    end
    local n = #ids
    if n > 0 then
      local parts = n == #group.unseen and group.parts or nil
      counts[host] = add_seen(group.bucket, host, counts[host], ids, parts, group.level)
      local length_now = group.to_front and put_first(queue, entries) or redis.call('RPUSH', queue, unpack(entries))
      if queue == group.tail and length_now % SEGMENT < n then
        long[#long + 1] = host
      end
      redis.call('HSET', hash, 'seen', counts[host])
      add(hash, 'queued', n)
      hold(host, n) -- its name was unblocked just now, and itself is next
      if redis.call('HSETNX', hash, 'due', T) == 1 then
        meet(host, hash, site)
      end
      if not group.sitemaps then
        add(hash, 'accepted', n)
        if site ~= '' then
          add(SITES, site, n)
        end
      end
      new = new + n
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
