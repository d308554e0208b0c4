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

-- accept: requests in groups of one queue each. KEYS from k: host, its lists (of sitemaps: 0; of pages: 1, packed,
-- tail), then a `seen` set for each request;
-- ARGV from a: number of groups, then for each: host, site or '', number of requests (below 0: pages that go to the
-- front of their host's queue), then id and entry of each.
-- Those unseen and within the budgets of host and site enter seen, queue and accepted; sitemaps, which are in groups of
-- their own, have no budget. Returns new, seen, over budget, and the hosts whose tail has become long enough to be
-- packed: reported to one caller, and again when it is as long once more.
local function accept(k, a, seeded)
  local new, seen, over, long = 0, 0, 0, {}
  local refused = {}
  local groups = tonumber(ARGV[a])
  a = a + 1
  for _ = 1, groups do
    local host, site, n = ARGV[a], ARGV[a + 1], tonumber(ARGV[a + 2])
    local to_front = n < 0
    n = math.abs(n)
    local hash, queue, tail = KEYS[k], KEYS[k + 1], nil
    a, k = a + 3, k + 2
    local sitemaps = is_sitemap(ARGV[a + 1])
    if sitemaps or to_front then
      redis.call('LLEN', queue) -- a key of another type stops the script before its URLs count as seen
    end
    if not sitemaps then
      queue, tail, k = to_front and queue or end_of(host), KEYS[k + 1], k + 2
    end
    local room, why = NEVER, nil
    if is_blocked(host) then
      room, why = 0, 'blocked'
    elseif not sitemaps then
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
      local length_now = to_front and put_first(queue, fresh) or redis.call('RPUSH', queue, unpack(fresh))
      if queue == tail and length_now % SEGMENT < #fresh then
        long[#long + 1] = host
      end
      add(hash, 'queued', #fresh)
      hold(host, #fresh) -- its name was unblocked just now, and itself is next
      local is_first = redis.call('HSETNX', hash, 'due', T) == 1
      if is_first and SET_HOSTS then
        inherit(host)
      end
      if is_first and site ~= '' then
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
