-- head.lua: names of the fixed keys, and constants. The first of the shared files, see scripts.py.
-- KEYS[1..21] are the fixed keys (keys.py); ARGV[1] is the generation that the caller works for.
-- Every verb returns an array whose first element is its status: OK, or the name of a refusal.

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
