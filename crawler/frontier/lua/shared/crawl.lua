-- crawl.lua: settings and state of the crawl, the time, and the refusals: why a verb does nothing.

-- settings and state, read once a call
local m = redis.call('HMGET', META, 'generation', 'state', 'delay', 'per_host', 'robots', 'max_pages',
  'max_pages_per_host', 'patience', 'until', 'settings_rev', 'roots_rev', 'traps_rev', 'adaptive', 'max_pages_per_site',
  'max_hosts_per_site', 'per_ip', 'ips_used', 'schema', 'shards', 'overflow', 'crowds', 'full_site',
  'slow_pages', 'blocks', 'host_settings', 'seen_set')
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
local BLOCKS = m[24] -- a name was ever put into BLOCKED
local SET_HOSTS = m[25] -- or into HOST_SETTINGS
local SHARDS = number(m[19]) or 1
-- entries in the head of a host's pages; more go to its tail
local OVERFLOW = math.max(number(m[20]) or DEFAULT_OVERFLOW, 1)
-- a tail of SEGMENT entries is packed, a head below LOW is filled
local SEGMENT, LOW = math.ceil(OVERFLOW / 2), math.ceil(OVERFLOW / 4)

local T = now_ms()

local function gone()
  if not GENERATION or GENERATION ~= ARGV[1] then
    return 'NO_CRAWL'
  end
end

-- Another version may have taken the crawl over since it was found.
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
