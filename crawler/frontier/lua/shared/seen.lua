-- seen.lua: the ids of all URLs ever accepted, by host, in levels.
-- The first ids of a host (level 0) are in a set that it shares with other hosts, `seen:<bucket>`, which the caller
-- names. The next ones are in sets of its own, `seen:<host>:<level>.<part>`: one of them on level 1, and SEEN_FAN times
-- as many on each level as on the one below it. An id's last digits choose the part. So a set never has more ids than
-- Redis keeps packed, and the ids of a call are looked up by a few commands. `seen` of a host's hash counts its ids:
-- the level that the next one enters follows from it. Nothing is ever moved.

local SET_SIZE = math.max(math.floor(number(m[26]) or SEEN_SET), 3) -- fixed when the crawl was made (see seen.py)

-- level_size: how many ids of a host a level has when it is full
local function level_size(level)
  return level == 0 and math.min(math.floor(SET_SIZE / 3), SEEN_SHARED) or SET_SIZE * SEEN_FAN ^ (level - 1)
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

-- part_of: the last seven digits of an id modulo the number of parts; `string.byte` makes no string
local byte = string.byte
local function part_of(id, parts)
  local a, b, c, d, e, f, g = byte(id, -7, -1)
  local last = g and a * 1000000 + b * 100000 + c * 10000 + d * 1000 + e * 100 + f * 10 + g - 48 * 1111111 or id
  return last % parts
end

-- by_set: ids by the sets of a level that they belong to
local function by_set(sets, ids, parts)
  local groups, of_part = {}, {}
  for j = 1, #ids do
    local id = ids[j]
    local part = part_of(id, parts)
    local some = of_part[part]
    if some then
      some[#some + 1] = id
    else
      some = { id }
      of_part[part], groups[sets .. part] = some, some
    end
  end
  return groups
end

-- not_on: the same for a level of a host; and if none is in it, their ids by its sets, as far as that is known
local function not_on(bucket, host, level, places)
  if level < 2 then
    return not_in(level == 0 and bucket or sets_of(host, 1) .. 0, places)
  end
  local sets, parts, left, found = sets_of(host, level), parts_of(level), {}, false
  if parts > #places then -- most of them are alone in their set
    for j = 1, #places do
      local id = ARGV[places[j]]
      if redis.call('SISMEMBER', sets .. part_of(id, parts), id) == 0 then
        left[#left + 1] = places[j]
      end
    end
    return left
  end
  local groups = by_set(sets, { ids_at(places) }, parts)
  for set, ids in pairs(groups) do
    local answers = redis.call('SMISMEMBER', set, unpack(ids))
    for j = 1, #answers do
      if answers[j] == 1 then
        found = found or {}
        found[ids[j]] = true
      end
    end
  end
  if not found then
    return places, groups
  end
  for j = 1, #places do
    if not found[ARGV[places[j]]] then
      left[#left + 1] = places[j]
    end
  end
  return left
end

-- unseen: the places in ARGV, from first to last, whose ids are new to a host with n ids. The levels that this call's
-- ids may enter are read too, so that a key of another type stops the script before its first write. If all of them
-- enter one level with many sets, their ids by these sets, and that level.
local function unseen(bucket, host, n, first, last)
  local places, groups = {}, nil
  for i = first, last do
    places[i - first + 1] = i
  end
  local top, here = level_at(n + #places - 1)
  local below = top - 1
  if top > 1 and here < level_size(below) then -- more of them are on the level below
    places = not_on(bucket, host, below, places)
    below = below - 1
  end
  if #places > 0 then
    places, groups = not_on(bucket, host, top, places)
  end
  local many = #places
  for level = below, 0, -1 do
    places = #places > 0 and not_on(bucket, host, level, places) or places
  end
  if #places < many or level_at(n) < top then
    groups = nil
  end
  return places, groups, top
end

-- add_to: ids to the sets of a level that has many; groups: the same by these sets, if that is known
local function add_to(host, level, ids, groups)
  local sets, parts = sets_of(host, level), parts_of(level)
  if parts > #ids then
    for j = 1, #ids do
      redis.call('SADD', sets .. part_of(ids[j], parts), ids[j])
    end
    return
  end
  for set, some in pairs(groups or by_set(sets, ids, parts)) do
    redis.call('SADD', set, unpack(some))
  end
end

-- add_seen: new ids of a host with n of them; how many it has then. groups and of_level: see `unseen`
local function add_seen(bucket, host, n, ids, groups, of_level)
  local from = 1
  while from <= #ids do
    local level, _, fit = level_at(n)
    local to = math.min(#ids, from + fit - 1)
    if level < 2 then
      redis.call('SADD', level == 0 and bucket or sets_of(host, 1) .. 0, unpack(ids, from, to))
    elseif to - from + 1 == #ids then
      add_to(host, level, ids, level == of_level and groups or nil)
    else
      add_to(host, level, { unpack(ids, from, to) })
    end
    n, from = n + to - from + 1, to + 1
  end
  return n
end
