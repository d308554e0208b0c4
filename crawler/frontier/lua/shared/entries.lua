-- entries.lua: flags of a queue entry. ENTRY_HEAD, ENTRY_FLAGS and what follows them are ENTRY in record.py.

-- is_ours: whether this is an entry at all. Anything else in a queue is leased, without a request for robots.txt, and
-- ends as a dead letter. Entry.decode (record.py) judges entries more strictly.
local function is_ours(entry, host)
  local flags = string.byte(entry, 4)
  if not flags or bit.band(flags, ENTRY_FLAGS) ~= flags or (flags % 4 >= 2 and string.find(host, ':%d+$')) then
    return false
  end
  local lastmod = bit.band(flags, ENTRY_LASTMOD) > 0 and ENTRY_LASTMOD_SIZE or 0
  return string.byte(entry, ENTRY_HEAD + 1 + lastmod) == 47 -- "/"
end

-- is_sitemap: whether a queue entry is to be read as a sitemap
local function is_sitemap(entry)
  return bit.band(string.byte(entry, 4) or 0, ENTRY_SITEMAP) > 0
end
