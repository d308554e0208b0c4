-- pack.lua: the oldest entries of a host's tail become a segment, which a worker has compressed: Lua cannot.
-- Why Lua: what is taken out of the tail must be what was packed; other clients may take or pack meanwhile.
-- KEYS  tail and segments of the host
-- ARGS  count, sha1, segment
--       of the entries: how many, the SHA-1 of them joined, the segment that they make
-- RETURNS OK 1 where the tail is still to be packed, else 0 (a repetition finds other entries, and changes nothing)
--         | NO_CRAWL | DELETING
local no = refusal() or deleting()
if no then
  return { no }
end
local tail, segments = KEYS[OWN_KEYS], KEYS[OWN_KEYS + 1]
local n, sha1, segment = tonumber(ARG.count), ARG.sha1, ARG.segment
redis.call('LLEN', segments) -- a key of another type stops the script before its first write
local entries = redis.call('LRANGE', tail, 0, n - 1)
if #entries == n and redis.sha1hex(table.concat(entries)) == sha1 then
  redis.call('LTRIM', tail, n, -1) -- a taking away first, so that it goes through when Redis is full
  redis.call('RPUSH', segments, segment)
end
return { 'OK', redis.call('LLEN', tail) >= SEGMENT and 1 or 0 }
