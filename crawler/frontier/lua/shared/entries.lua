-- entries.lua: flags of a queue entry (see Entry in record.py).

-- is_ours: whether an entry is one at all; whatever else lies in a queue is handed out to be ended as a dead letter,
-- and nothing is asked for its sake. What it takes for one, Entry.decode (record.py) judges more strictly.
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
