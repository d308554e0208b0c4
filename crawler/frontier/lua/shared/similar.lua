-- similar.lua: pages by the similarity hash of their text (policy/similarity.py), to find an earlier one that is near.
-- The 64 bits of a hash are in five bands. Two hashes that differ in up to four bits have a band in common; most that
-- differ in six do. An entry is 16 bytes: a hash and the id of its page. A page that is near another one has none.

-- read_bands: of each band of `hash` the key and field that pages with the same band are in, and their entries
local function read_bands(hash)
  local high, low = struct.unpack('>I4I4', hash)
  local values = { bit.rshift(high, 19), bit.band(bit.rshift(high, 6), 8191),
    bit.band(high, 63) * 128 + bit.rshift(low, 25), bit.band(bit.rshift(low, 12), 8191), bit.band(low, 4095) }
  local bands = {}
  for n, value in ipairs(values) do
    local key, field = PREFIX .. 'near:' .. (n - 1) * 128 + math.floor(value / 64), value % 64
    local entries = redis.call('HGET', key, field) or ''
    bands[n] = { key = key, field = field, entries = string.sub(entries, 1, #entries - #entries % NEAR_ENTRY) }
  end
  return bands
end

-- near_to: the id of the first page in `bands` whose hash is near that of `entry`, which is not its own; nil: none is.
local function near_to(bands, entry)
  local band, rshift, bxor, unpack_at = bit.band, bit.rshift, bit.bxor, struct.unpack
  local function ones(x) -- how many of 32 bits are set
    x = x - band(rshift(x, 1), 0x55555555)
    x = band(x, 0x33333333) + band(rshift(x, 2), 0x33333333)
    x = band(x + rshift(x, 4), 0x0F0F0F0F)
    x = x + rshift(x, 8)
    return band(x + rshift(x, 16), 63)
  end
  local high, low = unpack_at('>I4I4', entry)
  local id = string.sub(entry, 9)
  for _, found in ipairs(bands) do
    for at = 1, #found.entries, NEAR_ENTRY do
      local differ = ones(bxor(high, (unpack_at('>I4', found.entries, at))))
      if differ <= NEAR_BITS and differ + ones(bxor(low, (unpack_at('>I4', found.entries, at + 4)))) <= NEAR_BITS then
        local other = string.sub(found.entries, at + 8, at + NEAR_ENTRY - 1)
        if other ~= id then
          return other
        end
      end
    end
  end
end

-- Of each band the latest entries stay: a flood of pages makes neither a look-up slow nor the index large.
local function add_to_bands(bands, entry)
  for _, band in ipairs(bands) do
    redis.call('HSET', band.key, band.field, string.sub(band.entries .. entry, -NEAR_MAX * NEAR_ENTRY))
  end
end

local function remove_from_bands(bands, entry)
  for _, band in ipairs(bands) do
    local kept = ''
    for at = 1, #band.entries, NEAR_ENTRY do
      local other = string.sub(band.entries, at, at + NEAR_ENTRY - 1)
      kept = other == entry and kept or kept .. other
    end
    if kept == '' then
      redis.call('HDEL', band.key, band.field)
    else
      redis.call('HSET', band.key, band.field, kept)
    end
  end
end
