-- head.lua: constants of the scripts alone. The first of the shared files. The lines above the clock name the fixed
-- keys (META, READY, ...). Constants that Python knows too stand as their values in the text: IN_LUA in scripts.py.
-- KEYS begins with the fixed keys (keys.py); ARGV[1] is the generation that the caller works for. A verb's arguments
-- have the names that its header lists behind ARGS: ARG.name is one of them. What follows begins at ARGV[REST].
-- Every verb returns an array whose first element is its status: OK, or the name of a refusal.

local PREFIX = string.sub(META, 1, -5)

local BACKOFF_MS, BACKOFF_MAX_MS = 1000, 300000 -- a host that fails or says "slow down"
local ROBOTS_BACKOFF_MS, ROBOTS_BACKOFF_MAX_MS = 60000, 3600000 -- a host whose robots.txt is unavailable
local DEAD_REST_MS = 2000 -- a broken certificate is tried once more, then given up
local NO_NAME_REST_MS = 20000 -- so is a name that does not exist: by two answers so far apart
local NO_NAME, NO_TRUST, HANGS, CRASHES = 1, 2, 3, 4 -- `failing_since` of a host that is given up
local MAX_ROBOTS_CRASHES = 3 -- workers that die of a host's robots.txt until it is
local WAKE_HINTS = 8
local ADAPTED_MAX_MS = 30000 -- the longest delay that a slow host gets by being slow
local MANY_HOSTS = 10 -- of a site at one address: together they get at most this many times what one host gets
local PROVEN_AFTER = 2 -- pages that a host has answered without a failure between them: then it is proven
