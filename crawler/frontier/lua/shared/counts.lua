-- counts.lua: the crawl's counters.

local function count(field, n)
  if n ~= 0 then
    add(COUNTERS, field, n)
  end
end

-- tally: the same for many fields at once, each with what is added to it
local function tally(more)
  local fields, sums = {}, {}
  for field in pairs(more) do
    fields[#fields + 1] = field
  end
  local now = redis.call('HMGET', COUNTERS, unpack(fields))
  for i, field in ipairs(fields) do
    sums[2 * i - 1], sums[2 * i] = field, (number(now[i]) or 0) + more[field]
  end
  redis.call('HSET', COUNTERS, unpack(sums))
end
