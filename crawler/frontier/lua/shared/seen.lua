-- seen.lua: the ids of all URLs ever accepted, by host, in levels.
-- The first ids of a host (level 0) are in a set that it shares with other hosts, `seen:<bucket>`, which the caller
-- names. The next ones are in sets of its own, `seen:<host>:<level>.<part>`: one of them on level 1, and SEEN_FAN times
-- as many on each level as on the one below it. An id's last digits choose the part. So a set never has more ids than
-- Redis keeps packed, and the ids of a call are looked up by a few commands. `seen` of a host's hash counts its ids:
-- the level that the next one enters follows from it. Nothing is ever moved.

-- level_size: how many ids of a host a level has when it is full; fixed when the crawl was made (see seen.py)
local function level_size(level)
  local set = math.max(math.floor(number(m[26]) or SEEN_SET), 3)
  return level == 0 and math.min(math.floor(set / 3), SEEN_SHARED) or set * SEEN_FAN ^ (level - 1)
end

-- level_at: the level that the next id of a host with n ids enters, how many it has there, and how many more fit
local function level_at(n)
  local level, size = 0, level_size(0)
  while n >= size and level < SEEN_TOP do
    level, n = level + 1, n - size
    size = level_size(level)
  end
  return level, n, level < SEEN_TOP and size - n or NEVER
end

local function parts_of(level)
  return SEEN_FAN ^ (level - 1)
end

-- sets_of: what the names of a host's sets on a level begin with; the part follows
local function sets_of(host, level)
  return PREFIX .. 'seen:' .. host .. ':' .. level .. '.'
end

-- seen_count: how many ids a host has, by its count; where that was lost, by its own sets
local function seen_count(host, count)
  local n = number(count)
  if n then
    return math.floor(n)
  elseif redis.call('EXISTS', sets_of(host, 1) .. 0) == 0 then
    return 0
  end
  n = level_size(0)
  for level = 1, SEEN_TOP do
    local here, sets = 0, sets_of(host, level)
    for part = 0, parts_of(level) - 1 do
      here = here + redis.call('SCARD', sets .. part)
    end
    if here == 0 then
      break
    end
    n = n + here
  end
  return n
end

-- ids_at: the ids at these places of ARGV, as arguments
local function ids_at(places)
  local n, first, ids = #places, places[1], {}
  if places[n] - first == n - 1 then
    return unpack(ARGV, first, places[n])
  end
  for j = 1, n do
    ids[j] = ARGV[places[j]]
  end
  return unpack(ids)
end

-- not_in: those of these places whose ids a set does not contain
local function not_in(set, places)
  local left, found = {}, redis.call('SMISMEMBER', set, ids_at(places))
  for j = 1, #found do
    if found[j] == 0 then
      left[#left + 1] = places[j]
    end
  end
  return left
end

local function part_of(id, parts)
  return string.sub(id, -SEEN_DIGITS) % parts
end

-- not_on: the same for a level of a host
local function not_on(bucket, host, level, places)
  if level < 2 then
    return not_in(level == 0 and bucket or sets_of(host, 1) .. 0, places)
  end
  local sets, parts, sorted, left = sets_of(host, level), parts_of(level), {}, {}
  if parts > #places then -- most of them are alone in their set
    for j = 1, #places do
      local id = ARGV[places[j]]
      if redis.call('SISMEMBER', sets .. part_of(id, parts), id) == 0 then
        left[#left + 1] = places[j]
      end
    end
    return left
  end
  for j = 1, #places do
    local part = part_of(ARGV[places[j]], parts)
    local some = sorted[part] or {}
    sorted[part], some[#some + 1] = some, places[j]
  end
  for part, some in pairs(sorted) do
    some = not_in(sets .. part, some)
    for j = 1, #some do
      left[#left + 1] = some[j]
    end
  end
  if #left == #places then
    return places
  end
  table.sort(left)
  return left
end

-- unseen: the places in ARGV, from first to last, whose ids are new to a host with n ids. The levels that this call's
-- ids may enter are read too, so that a key of another type stops the script before its first write.
local function unseen(bucket, host, n, first, last)
  local places = {}
  for i = first, last do
    places[i - first + 1] = i
  end
  local top, here = level_at(n + #places - 1)
  if top > 1 and here < level_size(top - 1) then -- more of them are on the level below
    places = not_on(bucket, host, top - 1, places)
    places = #places > 0 and not_on(bucket, host, top, places) or places
    top = top - 2
  end
  for level = top, 0, -1 do
    places = #places > 0 and not_on(bucket, host, level, places) or places
  end
  return places
end

-- add_to: ids to the sets of a level that has many
local function add_to(host, level, ids)
  local sets, parts, sorted = sets_of(host, level), parts_of(level), {}
  for j = 1, #ids do
    local part = part_of(ids[j], parts)
    local some = sorted[part] or {}
    sorted[part], some[#some + 1] = some, ids[j]
  end
  for part, some in pairs(sorted) do
    redis.call('SADD', sets .. part, unpack(some))
  end
end

-- add_seen: new ids of a host with n of them; how many it has then
local function add_seen(bucket, host, n, ids)
  local from = 1
  while from <= #ids do
    local level, _, fit = level_at(n)
    local to = math.min(#ids, from + fit - 1)
    if level < 2 then
      redis.call('SADD', level == 0 and bucket or sets_of(host, 1) .. 0, unpack(ids, from, to))
    else
      add_to(host, level, { unpack(ids, from, to) })
    end
    n, from = n + to - from + 1, to + 1
  end
  return n
end
