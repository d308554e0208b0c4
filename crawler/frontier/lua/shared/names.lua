-- names.lua: names of keys that belong to one host.

local function host_key(host)
  return PREFIX .. 'host:' .. host
end

-- part: 0 sitemaps and retries by hand, 1 pages, 2 quarantined. The pages of a host that has many are in three lists,
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
